"""Dice losses: one minus the overlap of prediction and truth, with probabilities for sets.

Milletari, Navab, Ahmadi: "V-Net", 3DV 2016; without squares in the denominator, as STDC-Seg.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from briskseg.core.labels import IGNORED


def binary_dice(probability: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """The mean over the images of 1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth).

    probability, target: (N, ...) float in [0, 1]. Returns a scalar.
    """
    p, t = probability.flatten(1), target.flatten(1)
    overlap = (2 * (p * t).sum(1) + smooth) / (p.sum(1) + t.sum(1) + smooth)
    return (1 - overlap).mean()


def dice(logits: Tensor, labels: Tensor, smooth: float = 1.0) -> Tensor:
    """The mean over the classes of the same for each class's softmax, with the labeled pixels of
    the whole batch. Logits (N,classes,H,W), labels (N,H,W) int64, 255 ignored -> a scalar."""
    labeled = labels != IGNORED
    p = logits.float().softmax(1) * labeled[:, None]
    truth = F.one_hot(labels.where(labeled, 0), p.shape[1]).movedim(3, 1) * labeled[:, None]
    return binary_dice(p.transpose(0, 1), truth.transpose(0, 1).float(), smooth)
