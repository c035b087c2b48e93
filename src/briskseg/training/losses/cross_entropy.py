"""Cross entropy over labeled pixels, weighted by class.

Of several processes each divides by what all of them have labeled, on average: the mean of their
losses, and so of their gradients, is that of one process with all the images.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.labels import IGNORED


def cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor, mean: str = "weights"
) -> Tensor:
    """The weighted mean of -log p(true class) over labeled pixels.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) int64; 255 is ignored.
        class_weights: (classes,).
        mean: "weights": the sum is divided by the labeled pixels' weights, as torch does; "pixels":
            by the number of all pixels.

    Returns:
        A scalar. Without any labeled pixel it is 0 with gradient 0, not NaN.
    """
    logits = logits.float().contiguous()
    total = F.cross_entropy(logits, labels, class_weights, ignore_index=IGNORED, reduction="sum")
    if mean == "pixels":
        return total / labels.numel()
    # looked up, not counted: counting would wait for a GPU
    each = F.pad(class_weights, (0, IGNORED + 1 - len(class_weights)))[labels]
    return divided(total, each.sum())


def sigmoid_cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor, mean: str = "weights"
) -> Tensor:
    """The mean over pixels and classes of the binary cross entropy of "is of this class".

    As MMSegmentation's CrossEntropyLoss with `use_sigmoid`, where a class's weight multiplies its
    positive pixels' term. Arguments as `cross_entropy`'s, but "weights" divides by the labeled
    pixels whatever their weights.
    """
    kept = labels != IGNORED
    true = labels.where(kept, 0)[:, None]
    logits = logits.float()
    positive = logits.gather(1, true)[:, 0]  # of the true class
    # -log(1 - s(x)) = softplus(x) for every class, where the true one has -log s(x) = softplus(-x)
    each = F.softplus(logits).sum(1) - F.softplus(positive)
    each = each + class_weights[true[:, 0]] * F.softplus(-positive)
    pixels = kept.sum() if mean == "weights" else torch.tensor(labels.numel(), device=labels.device)
    return divided((each * kept).sum() / logits.shape[1], pixels)


def divided(total: Tensor, by: Tensor) -> Tensor:
    """total / the mean of `by` over all processes, so that the mean of their losses, of which DDP
    takes the gradient, is that of one process with all the images. 0 / 0 is 0 here."""
    by = by.detach().float()
    # Not in validation, where one process has an image more than another.
    if torch.is_grad_enabled() and dist.is_available() and dist.is_initialized():
        by = by.clone()
        dist.all_reduce(by)
        by = by / dist.get_world_size()
    return total / by.clamp_min(torch.finfo(torch.float32).tiny)
