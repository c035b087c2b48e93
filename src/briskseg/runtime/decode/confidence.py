"""How sure a network is of an image: the winning class's probability, averaged."""

from __future__ import annotations

import numpy as np

from briskseg.core.types import Logits

# Cells at once, so that the passes over the classes stay in the cache.
_BLOCK = 1 << 14


def mean_confidence(logits_chw: Logits) -> float:
    """The mean over the cells of logits (C, h, w) float32 of the highest class's softmax
    probability, in [1/C, 1]."""
    classes = logits_chw.shape[0]
    logits = logits_chw.reshape(classes, -1)
    total, cells = 0.0, logits.shape[1]
    for start in range(0, cells, _BLOCK):
        block = logits[:, start : start + _BLOCK]
        others = np.exp(block - block.max(axis=0)).sum(axis=0)  # the highest itself adds 1
        total += float((1.0 / others).sum(dtype=np.float64))
    return total / cells
