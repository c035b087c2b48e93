"""The Lovász-Softmax loss: a differentiable stand-in for one minus the IoU.

Berman, Triki, Blaschko: "The Lovász-Softmax loss: A tractable surrogate for the optimization of the
intersection-over-union measure in neural networks", CVPR 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from briskseg.core.labels import IGNORED


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over the classes that the batch's labels have. Logits (N,classes,H,W), labels
    (N,H,W) int64, 255 ignored -> a scalar; without any labeled pixel 0 with gradient 0."""
    labeled = labels != IGNORED
    probabilities = logits.float().softmax(1).movedim(1, 0)[:, labeled]  # (classes,P)
    labels = labels[labeled]
    losses = []
    for label in torch.unique(labels).tolist():
        truth = labels == label
        losses.append(_extension((probabilities[label] - truth.float()).abs(), truth))
    return torch.stack(losses).mean() if losses else probabilities.sum()


def _extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Equation 8: the errors (P,), largest first, each times what the Jaccard loss grows by when
    its pixel is mispredicted besides all before it. truth (P,) bool: the pixels of the class."""
    errors, order = errors.sort(descending=True)
    missed = truth[order].float().cumsum(0)  # of the class, up to each pixel
    false = (~truth[order]).float().cumsum(0)  # of other classes
    total = truth.sum()
    jaccard_loss = 1 - (total - missed) / (total + false)
    growth = jaccard_loss.diff(prepend=jaccard_loss.new_zeros(1))
    return (errors * growth).sum()
