"""PIDNet's losses on boundaries between classes, and its boundaries of labels.

Xu, Xiong, Bhattacharyya: "PIDNet", CVPR 2023, equations 5 to 7; XuJiacong/PIDNet. The whole loss is
0.4 cross entropy of the P branch's head, `ohem_by_probability` of the logits, 20 `boundary_bce` of
the D branch's head and `boundary_aware` of both. There, every output is first enlarged to the
labels' size (bilinear, align_corners=True).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.labels import IGNORED
from briskseg.training.losses.ohem import ohem_by_probability

CONFIDENCE = 0.8  # from which a pixel counts as lying on a boundary
CLEARED = 6  # pixels along the image's border where no boundary is
WIDTH = 4  # pixels to which a boundary is widened
TAN_22_5 = round(0.4142135623730950488 * 2**15)  # OpenCV's, in units of 2**-15


def boundary_target(labels: Tensor) -> Tensor:
    """Labels (N,H,W) -> (N,H,W) bool, true at boundaries.

    Edges of the labels as an image, found as cv2.Canny(labels, 0.1, 0.2) does; those at the image's
    border are cleared, the rest dilated. 255 is a value like any other here, so that an ignored
    area has a boundary too. PIDNet finds them before it scales and crops the labels.
    """
    edges = _canny(labels.int())
    inside = torch.zeros_like(edges)
    within = slice(CLEARED, -CLEARED)
    inside[:, within, within] = edges[:, within, within]
    # OpenCV's anchor of a kernel of even width is right of its middle
    padded = F.pad(inside.float(), (WIDTH // 2, (WIDTH - 1) // 2) * 2)
    return F.max_pool2d(padded, WIDTH, stride=1) > 0


def _canny(labels: Tensor) -> Tensor:
    """Edges (N,H,W) bool of labels (N,H,W) int32. At thresholds under 1 every local maximum of the
    gradient is an edge: integers have none between 0 and 1, and hysteresis has nothing to add."""
    height, width = labels.shape[-2:]
    rows = torch.arange(-1, height + 1, device=labels.device).clamp(0, height - 1)
    columns = torch.arange(-1, width + 1, device=labels.device).clamp(0, width - 1)
    x = labels[:, rows][:, :, columns]  # integers: exact under autocast too
    across = x[:, :, 2:] - x[:, :, :-2]
    down = x[:, 2:] - x[:, :-2]
    dx = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    dy = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    steepness = dx.abs() + dy.abs()
    around = F.pad(steepness, (1, 1, 1, 1))

    def neighbor(down: int, right: int) -> Tensor:
        return around[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    horizontal = (dy.abs() << 15) < dx.abs() * TAN_22_5
    vertical = (dy.abs() << 15) > dx.abs() * (TAN_22_5 + 2**16)  # the tangent of 67.5 degrees
    falling = (dx ^ dy) >= 0  # the gradient points right and down, or left and up
    on_falling = (steepness > neighbor(-1, -1)) & (steepness > neighbor(1, 1))
    on_rising = (steepness > neighbor(-1, 1)) & (steepness > neighbor(1, -1))
    largest = torch.where(falling, on_falling, on_rising)
    on_column = (steepness > neighbor(-1, 0)) & (steepness >= neighbor(1, 0))
    on_row = (steepness > neighbor(0, -1)) & (steepness >= neighbor(0, 1))
    largest = torch.where(horizontal, on_row, torch.where(vertical, on_column, largest))
    return largest & (steepness > 0)


def boundary_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy where boundary and rest weigh the same: a pixel of the one is multiplied
    by the other's share of all pixels. Logits (N,1,H,W), target (N,H,W) bool -> a scalar."""
    share = target.float().mean()
    weights = torch.where(target, 1 - share, share)
    return F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float(), weights)


def boundary_aware(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    boundary_logits: Tensor,
) -> Tensor:
    """`ohem_by_probability` of the logits over the pixels that the boundary head is sure of: those
    whose sigmoid of `boundary_logits` (N,1,H,W), which get no gradient, is above CONFIDENCE."""
    sure = torch.sigmoid(boundary_logits[:, 0].detach().float()) > CONFIDENCE
    return ohem_by_probability(logits, labels.where(sure, IGNORED), class_weights)
