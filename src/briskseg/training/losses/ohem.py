"""Cross entropy over the hardest pixels alone (online hard example mining: Shrivastava, Gupta,
Girshick, CVPR 2016), in the forms that real-time networks are trained with.

Logits (N,classes,H,W), labels (N,H,W) int64 with 255 where they are to be ignored, class weights
(classes,). Every loss is a scalar, float32; without any labeled pixel it is 0 with gradient 0.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.labels import IGNORED


def ohem_by_probability(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    threshold: float = 0.9,
    least: int = 131_072,
    rule: Literal["pidnet", "mmsegmentation", "paddle"] = "pidnet",
) -> Tensor:
    """Over the pixels whose true class has less than `threshold` probability, or, where those are
    fewer than `least`, the `least` of lowest probability.

    rule: whose form. "pidnet" is PIDNet's and DDRNet's: `least` are of the whole batch, and the sum
    of the weighted losses is divided by the number of pixels that count. "mmsegmentation" is that
    of its OHEMPixelSampler: `least` are per image, and the sum is divided by the number of all
    pixels. "paddle" is PaddleSeg's: as "pidnet", but all labeled pixels count where there are at
    most `least`, and otherwise one less than `least`.
    """
    labeled = labels != IGNORED
    each = F.cross_entropy(logits.float(), labels, reduction="none", ignore_index=IGNORED)
    probability = torch.exp(-each.detach()).where(labeled, 2.0)  # ignored pixels come last
    count = labeled.sum()
    if rule == "mmsegmentation":
        least *= len(labels)
    # the pixel at this index of the order is the first that may be left out
    index = (count - 1).clamp(0, least - 1 if rule == "paddle" else least)
    bound = probability.flatten().sort().values.gather(0, index[None]).clamp_min(threshold)
    hard = probability < bound
    if rule == "paddle":
        hard |= count <= least
    weights = class_weights[labels.where(labeled, 0)] * (hard & labeled)
    pixels = labels.numel() if rule == "mmsegmentation" else (hard & labeled).sum().clamp_min(1)
    return (each * weights).sum() / pixels


def ohem_by_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    threshold: float = 0.7,
    least: float = 1 / 16,
) -> Tensor:
    """The mean over the pixels whose loss is above -log `threshold`, or, where those are fewer than
    `least`, over the `least` of highest loss.

    CoinCheung/BiSeNet's form with a `least` of up to 1, a share of the labeled pixels, and
    STDC-Seg's with a number; there it is a sixteenth of all pixels of the batch on a device.
    """
    each = F.cross_entropy(
        logits.float(), labels, class_weights, reduction="none", ignore_index=IGNORED
    )
    ordered = each.flatten().sort(descending=True).values  # ignored pixels are 0
    labeled = (labels != IGNORED).sum()
    few = (labeled * least).long() if least <= 1 else labeled.new_tensor(min(least, labels.numel()))
    bound = -math.log(max(threshold, 1e-12))
    count = torch.maximum((ordered > bound).sum(), few)
    hard = torch.arange(len(ordered), device=ordered.device) < count
    return (ordered * hard).sum() / count.clamp_min(1)
