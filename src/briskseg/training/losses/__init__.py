"""The losses by name, and their sum over what a network declares that training reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.labels import IGNORED
from briskseg.models.network import TrainingOutput
from briskseg.recipe import LossPart
from briskseg.training.losses.boundary import boundary_aware, boundary_bce, boundary_target
from briskseg.training.losses.cross_entropy import cross_entropy, sigmoid_cross_entropy
from briskseg.training.losses.detail import detail, detail_target
from briskseg.training.losses.dice import dice
from briskseg.training.losses.lovasz import lovasz_softmax
from briskseg.training.losses.ohem import ohem_by_loss, ohem_by_probability

Outputs = Mapping[str, Tensor]

# (all outputs by name, the name of the loss's own, labels (N,H,W) uint8, the recipe's
# `training.loss`, a factor a class (classes,)) -> a scalar
Loss = Callable[[Outputs, str, Tensor, LossPart, Tensor], Tensor]


def main_loss(
    outputs: Outputs, name: str, labels: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """The recipe's loss; where it mines hard pixels, of these."""
    output, labels = outputs[name], _sampled(labels, outputs[name])
    loss = _of_pixels(output, labels, part, class_weights, mines=True)
    if part.dice:
        loss = loss + part.dice * dice(output, labels)
    if part.lovasz:
        loss = loss + part.lovasz * lovasz_softmax(output, labels)
    return loss


def auxiliary_loss(
    outputs: Outputs, name: str, labels: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """The recipe's loss over all pixels, or where it says so over the hard ones, times its
    `auxiliary`."""
    mines = part.ohem is not None and part.ohem.auxiliary
    labels = _sampled(labels, outputs[name])
    return part.auxiliary * _of_pixels(outputs[name], labels, part, class_weights, mines)


def boundary_loss(
    outputs: Outputs, name: str, labels: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """PIDNet's of its boundary head."""
    return boundary_bce(_enlarged(outputs[name], labels), boundary_target(labels))


def boundary_aware_loss(
    outputs: Outputs, name: str, labels: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """PIDNet's of its logits, where its boundary head sees boundaries."""
    boundary = _enlarged(outputs[name], labels)
    logits = _enlarged(outputs["logits"], labels)
    return boundary_aware(logits, labels.long(), class_weights, boundary)


def detail_loss(
    outputs: Outputs, name: str, labels: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """STDC's of its detail head."""
    return detail(_enlarged(outputs[name], labels), detail_target(labels))


LOSSES: dict[str, Loss] = {
    "main": main_loss,
    "auxiliary": auxiliary_loss,
    "boundary_bce": boundary_loss,
    "boundary_aware": boundary_aware_loss,
    "detail": detail_loss,
}
OF_BORDERS = ("boundary_bce", "detail")  # which an image without labels would teach to have none


class SegmentationLoss(nn.Module):
    """The sum of the losses of a network's outputs, as the network declares them.

    Args:
        part: the recipe's `training.loss`.
        class_weights: (classes,) float, one factor a class.
        main: the output with the main loss: "logits", or another in a stage of its own.
        outputs: `network.outputs`.
        align_corners: `network.align_corners`.
        has_unlabeled: some images have no labels, in which no boundaries are to be learned. A
            batch's loss is then multiplied by the share of its images that have some: else the few
            that do would drown what a teacher says of all.
    """

    class_weights: Tensor

    def __init__(
        self,
        part: LossPart,
        class_weights: Tensor,
        main: str = "logits",
        outputs: Sequence[TrainingOutput] = (),
        align_corners: bool = False,
        has_unlabeled: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.has_unlabeled = has_unlabeled
        self.part, self.align_corners = part, align_corners
        # `main` has the recipe's loss whatever was declared; further losses of it remain
        named = [o for o in outputs if o.name != main or o.loss not in ("main", "auxiliary")]
        self.declared = (TrainingOutput(main), *named)

    def forward(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Outputs (N,classes,h,w) by name, labels (N,H,W) uint8 -> a scalar, float32.

        Outputs that are declared but not there (a stage gives fewer) count nothing; one that is
        there but not declared is a mistake of the network, and a KeyError.

        Where an output is smaller than the labels, the labels are sampled at its size (nearest), as
        ERFNet's official encoder training does, or with `size: full` the output is enlarged
        (bilinear) as the network's own logits are, as MMSegmentation does.
        """
        for name in set(outputs) - {output.name for output in self.declared}:
            raise KeyError(name)
        if self.part.size == "full":
            corners = self.align_corners
            outputs = {name: _enlarged(one, labels, corners) for name, one in outputs.items()}
        terms = []
        labeled = _labeled_images(outputs, labels) if self.has_unlabeled else (outputs, labels)
        for output in self.declared:
            if output.name in outputs:
                seen, known = labeled if output.loss in OF_BORDERS else (outputs, labels)
                if not len(known):
                    terms.append(0 * outputs[output.name].float().sum())
                    continue
                loss = LOSSES[output.loss]
                term = loss(seen, output.name, known, self.part, self.class_weights)
                terms.append(output.weight * term)
        share = len(labeled[1]) / max(1, len(labels)) if self.has_unlabeled else 1.0
        return share * torch.stack(terms).sum()


def _labeled_images(outputs: Outputs, labels: Tensor) -> tuple[Outputs, Tensor]:
    """Those of a batch in which a pixel is labeled."""
    some = (labels != IGNORED).flatten(1).any(1)
    return {name: output[some] for name, output in outputs.items()}, labels[some]


def _of_pixels(
    output: Tensor, labels: Tensor, part: LossPart, class_weights: Tensor, mines: bool
) -> Tensor:
    ohem = part.ohem
    if part.kind == "sigmoid":
        return sigmoid_cross_entropy(output, labels, class_weights, part.mean)
    if ohem is None or not mines:
        return cross_entropy(output, labels, class_weights, part.mean)
    threshold = ohem.threshold
    if ohem.rule == "bisenet":
        return ohem_by_loss(output, labels, class_weights, threshold=threshold, least=ohem.least)
    least = int(ohem.least)
    return ohem_by_probability(
        output, labels, class_weights, threshold=threshold, least=least, rule=ohem.rule
    )


def _sampled(labels: Tensor, output: Tensor) -> Tensor:
    """int64, at the output's size."""
    if output.shape[-2:] != labels.shape[-2:]:
        labels = F.interpolate(labels[:, None], output.shape[-2:], mode="nearest-exact")[:, 0]
    return labels.long()


def _enlarged(output: Tensor, labels: Tensor, align_corners: bool = True) -> Tensor:
    """As large as the labels; PIDNet and STDC align corners."""
    size_hw = labels.shape[-2:]
    if output.shape[-2:] == size_hw:
        return output
    return F.interpolate(output.float(), size_hw, mode="bilinear", align_corners=align_corners)
