"""Logits to labels at the image's size, exactly, without making the full-size logits.

Bilinear upsampling then argmax. Every pixel lies between four cells of the logits, weighted by
numbers that are not negative and sum to one. Where one class wins all four cells it wins the pixel
too, so only the other pixels, those near borders, are interpolated (`borders.py`).
"""

from __future__ import annotations

import operator

import cv2
import numpy as np

from briskseg.core.errors import WeightsError
from briskseg.core.types import Array, Labels, Logits
from briskseg.runtime.decode.axes import runs
from briskseg.runtime.decode.borders import decide_borders

# Cells whose winners are found at once, so that the passes over the classes stay in the cache.
_BLOCK = 1 << 16


def decode_labels(
    logits_chw: Array, size_hw: tuple[int, int], align_corners: bool = False
) -> Labels:
    """The winning class of each pixel: logits (C, h, w) to labels (H, W) uint8 for any H, W >= 1.

    Equals `F.interpolate(logits, size_hw, mode="bilinear", align_corners=...)` then `argmax`, up to
    the rounding of float32; equal logits go to the lower class, and one of -inf never wins. Logits
    of any float type and memory layout are taken and left alone; float32 in C order and (h, w, C)
    order are read as they are. Besides the labels it allocates a few megabytes at most, whatever
    the size, and it may be called from several threads at once.
    Raises TypeError for what is no array of real numbers, ValueError for other shapes or more than
    255 classes, WeightsError where a logit is NaN, or a cell's highest infinite.
    """
    if not isinstance(logits_chw, np.ndarray) or logits_chw.dtype.kind not in "fiu":
        kind = getattr(logits_chw, "dtype", type(logits_chw).__name__)
        raise TypeError(f"logits are {kind}, expected a NumPy array of real numbers; convert them")
    height, width = map(operator.index, size_hw)
    size_hw = height, width
    if logits_chw.ndim != 3 or 0 in logits_chw.shape or logits_chw.shape[0] > 255:
        raise ValueError(f"logits are {logits_chw.shape}, expected (1..255 classes, h, w)")
    if min(size_hw) < 1:
        raise ValueError(f"the size is {size_hw}, expected (height, width) of at least 1")
    logits_chw = _plain(logits_chw)
    winners_hw = _winners(logits_chw)
    if winners_hw.shape == size_hw:
        return winners_hw
    rows = runs(winners_hw.shape[0], size_hw[0], align_corners)
    columns = runs(winners_hw.shape[1], size_hw[1], align_corners)
    # Whole rows are copied fastest: the columns, as rows, then the rows.
    wide_hw = cv2.transpose(cv2.transpose(winners_hw).take(columns.nearest, axis=0))
    labels_hw: Labels = np.asarray(wide_hw, dtype=np.uint8).take(rows.nearest, axis=0)
    decide_borders(labels_hw, logits_chw, winners_hw, rows, columns)
    return labels_hw


def _plain(logits_chw: Array) -> Logits:
    """The logits as float32 in C order."""
    classes, height, width = logits_chw.shape
    logits_hwc = logits_chw.transpose(1, 2, 0)
    if logits_chw.dtype == np.float32 and logits_hwc.flags.c_contiguous:
        cells = cv2.transpose(logits_hwc.reshape(-1, classes))  # four times as fast as numpy
        return np.asarray(cells, dtype=np.float32).reshape(classes, height, width)
    return np.ascontiguousarray(logits_chw, dtype=np.float32)


def _winners(logits_chw: Logits) -> Labels:
    """The argmax of each cell, a band of rows at a time."""
    classes, height, width = logits_chw.shape
    winners_hw = np.zeros((height, width), dtype=np.uint8)
    band = min(height, max(1, _BLOCK // width))
    best, is_higher = np.empty((band, width), np.float32), np.empty((band, width), bool)
    for top in range(0, height, band):
        values = logits_chw[:, top : top + band]
        rows = values.shape[1]
        winner, highest, higher = winners_hw[top : top + band], best[:rows], is_higher[:rows]
        candidate = higher.view(np.uint8)
        highest[...] = values[0]
        for index in range(1, classes):
            np.greater(values[index], highest, out=higher)
            np.maximum(highest, values[index], out=highest)  # keeps a NaN, for the check below
            np.multiply(candidate, np.uint8(index), out=candidate)
            np.maximum(winner, candidate, out=winner)  # a later class has the higher index
        if not np.isfinite(highest).all():
            raise WeightsError(
                "the network's output holds NaN or infinity, expected finite numbers; its weights "
                "are damaged, or the training that made them diverged: use another checkpoint"
            )
    return winners_hw
