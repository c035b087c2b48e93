"""The losses by name, and their sum over what a network declares that training reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import TrainingOutput
from briskseg.recipe import LossPart
from briskseg.training.losses.cross_entropy import (
    cross_entropy,
    hard_cross_entropy,
    sigmoid_cross_entropy,
)

Outputs = Mapping[str, Tensor]

# (all outputs by name, the name of the loss's own, its target (N,H,W), the recipe's
# `training.loss`, a factor a class (classes,)) -> a scalar
Loss = Callable[[Outputs, str, Tensor, LossPart, Tensor], Tensor]


def main_loss(
    outputs: Outputs, name: str, target: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """The recipe's loss; where it mines hard pixels, of these."""
    if part.ohem is None:
        return _of_all_pixels(outputs[name], target, part, class_weights)
    output, labels = _at_one_size(outputs[name], target, part)
    return hard_cross_entropy(output, labels, class_weights, part.ohem)


def auxiliary_loss(
    outputs: Outputs, name: str, target: Tensor, part: LossPart, class_weights: Tensor
) -> Tensor:
    """The recipe's loss over all pixels, times its `auxiliary`."""
    return part.auxiliary * _of_all_pixels(outputs[name], target, part, class_weights)


LOSSES: dict[str, Loss] = {"main": main_loss, "auxiliary": auxiliary_loss}

# What each target is, of labels (N,H,W) uint8, 255 ignored.
TARGETS: dict[str, Callable[[Tensor], Tensor]] = {"labels": lambda labels: labels}


class SegmentationLoss(nn.Module):
    """The sum of the losses of a network's outputs, as the network declares them.

    Args:
        part: the recipe's `training.loss`.
        class_weights: (classes,) float, one factor a class.
        main: the output with the main loss: "logits", or another in a stage of its own.
        outputs: `network.outputs`.
    """

    class_weights: Tensor

    def __init__(
        self,
        part: LossPart,
        class_weights: Tensor,
        main: str = "logits",
        outputs: Sequence[TrainingOutput] = (),
    ) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.part = part
        self.declared = {output.name: output for output in outputs}
        declared = self.declared.get(main, TrainingOutput(main))
        self.declared[main] = replace(declared, loss="main", weight=1.0)

    def forward(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Outputs (N,classes,h,w) by name, labels (N,H,W) uint8 -> a scalar, float32.

        Outputs that are declared but not there (a stage gives fewer) count nothing; one that is
        there but not declared is a mistake of the network, and a KeyError.

        Where an output is smaller than the labels, the labels are sampled at its size (nearest), as
        ERFNet's official encoder training does, or with `size: full` the output is enlarged
        (bilinear), as MMSegmentation does.
        """
        terms = []
        for name in outputs:
            output = self.declared[name]
            target, loss = TARGETS[output.target](labels), LOSSES[output.loss]
            term = loss(outputs, name, target, self.part, self.class_weights)
            terms.append(output.weight * term)
        return torch.stack(terms).sum()


def _of_all_pixels(output: Tensor, target: Tensor, part: LossPart, class_weights: Tensor) -> Tensor:
    output, labels = _at_one_size(output, target, part)
    kinds = {"sigmoid": sigmoid_cross_entropy, "cross_entropy": cross_entropy}
    return kinds[part.kind](output, labels, class_weights, part.mean)


def _at_one_size(output: Tensor, labels: Tensor, part: LossPart) -> tuple[Tensor, Tensor]:
    """The output and its labels, int64, as large as one another."""
    size_hw = labels.shape[-2:]
    if output.shape[-2:] != size_hw and part.size == "full":
        output = F.interpolate(output.float(), size_hw, mode="bilinear")
    elif output.shape[-2:] != size_hw:
        labels = F.interpolate(labels[:, None], output.shape[-2:], mode="nearest-exact")[:, 0]
    return output, labels.long()
