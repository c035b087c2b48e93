"""STDC-Seg's loss of its detail head.

Fan et al.: "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021, section 3.3;
MichaelFan01/STDC-Seg.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from briskseg.training.losses.dice import binary_dice


def detail_target(labels: Tensor) -> Tensor:
    """Labels (N,H,W) -> (N,H,W) bool, true at details.

    A detail is where the Laplacian (8 in the middle, -1 around, 0 outside the image) of the labels
    as an image is positive, at stride 1, or at stride 2 resized to the nearest. 255 is a value like
    any other here. The published code adds stride 4 and takes where the three, times 0.6, 0.3 and
    0.1, have a sum above 0.1: stride 4 alone does not pass, so that it never decides.
    """
    x = F.pad(labels.int(), (1, 1, 1, 1))  # integers: exact under autocast too
    rows = x[:, :-2] + x[:, 1:-1] + x[:, 2:]
    sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]  # of 3x3 pixels
    fine = 9 * labels.int() > sums
    coarse = fine[:, None, ::2, ::2].float()  # the Laplacian with stride 2 is every second one
    return fine | (F.interpolate(coarse, labels.shape[-2:], mode="nearest")[:, 0] > 0)


def detail(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy plus Dice loss: logits (N,1,H,W), target (N,H,W) bool -> a scalar. The
    published code first enlarges the logits to the labels' size (bilinear, align_corners=True)."""
    logits, truth = logits[:, 0].float(), target.float()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, truth)
    return cross_entropy + binary_dice(logits.sigmoid(), truth)
