"""Cross entropy over labeled pixels, weighted by class, on every output that training has."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.labels import IGNORED
from briskseg.recipe import OhemPart


class SegmentationLoss(nn.Module):
    """The logits' loss plus `auxiliary` times the loss of each further output.

    Args:
        class_weights: (classes,) float, one factor a class.
        auxiliary: weight of each output other than "logits".
        ohem: hard-pixel mining on the logits, or None.
    """

    class_weights: Tensor

    def __init__(self, class_weights: Tensor, auxiliary: float, ohem: OhemPart | None) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights)
        self.auxiliary = auxiliary
        self.ohem = ohem

    def forward(self, outputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Outputs (N,classes,h,w) by name, labels (N,H,W) uint8 -> a scalar, float32.

        An auxiliary output smaller than the labels is compared with the labels sampled at its own
        size (nearest), as ERFNet's official encoder training does.
        """
        targets = labels.long()
        loss = cross_entropy(outputs["logits"], targets, self.class_weights, self.ohem)
        for name, output in outputs.items():
            if name != "logits":
                near = F.interpolate(labels[:, None], output.shape[-2:], mode="nearest-exact")[:, 0]
                term = cross_entropy(output, near.long(), self.class_weights, None)
                loss = loss + self.auxiliary * term
        return loss


def cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor, ohem: OhemPart | None = None
) -> Tensor:
    """The weighted mean of -log p(true class) over labeled pixels.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) int64; 255 is ignored.
        class_weights: (classes,); the mean is divided by the sum of the weights, as torch does.
        ohem: keeps only the hardest pixels (Shrivastava et al., 2016; the threshold on the true
            class's probability is OCNet's and MMSegmentation's form).

    Returns:
        A scalar. Without any labeled pixel it is 0 with gradient 0, not NaN.
    """
    logits = logits.float().contiguous()
    if ohem is None:
        total = F.cross_entropy(
            logits, labels, class_weights, ignore_index=IGNORED, reduction="sum"
        )
        counts = torch.bincount(labels.flatten(), minlength=IGNORED + 1)[: len(class_weights)]
        weight = (counts * class_weights).sum()
        return total / weight.clamp_min(torch.finfo(torch.float32).tiny)
    kept = labels != IGNORED
    each = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORED)[kept]
    weights = class_weights[labels[kept]]
    hard = _hardest(each.detach(), ohem)
    weight = (weights * hard).sum()
    return (each * weights * hard).sum() / weight.clamp_min(torch.finfo(torch.float32).tiny)


def _hardest(losses: Tensor, ohem: OhemPart) -> Tensor:
    """True where a pixel's loss is among those that count; losses (P,) unweighted."""
    least = int(ohem.least * losses.numel())
    if losses.numel() == 0 or least == losses.numel():
        return torch.ones_like(losses, dtype=torch.bool)
    bound = -torch.log(torch.tensor(max(ohem.threshold, 1e-12), device=losses.device))
    if least > 0:
        bound = torch.minimum(bound, torch.topk(losses, least, sorted=True).values[-1])
    return losses >= bound
