"""Logits to labels at the image's size, exactly, without making the full-size logits.

Bilinear upsampling then argmax. Every pixel lies between four cells of the logits, weighted by
numbers that are not negative and sum to one. Where one class wins all four cells it wins the pixel
too, so only the other pixels, those near borders, are interpolated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import WeightsError

# Numbers handled at once, so that a pass stays in the cache and memory stays bounded.
_BLOCK = 1 << 18

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.intp]


def decode_labels(
    logits_chw: npt.NDArray[Any], size_hw: tuple[int, int], align_corners: bool = False
) -> Labels:
    """The winning class of each pixel: logits (C, h, w) to labels (H, W) uint8 for any H, W >= 1.

    Equals `F.interpolate(logits, size_hw, mode="bilinear", align_corners=...)` then `argmax`, up to
    the rounding of float32; equal logits go to the lower class. Raises ValueError for other shapes
    or more than 255 classes, WeightsError where the logits hold NaN.
    """
    if logits_chw.ndim != 3 or 0 in logits_chw.shape or logits_chw.shape[0] > 255:
        raise ValueError(f"logits are {logits_chw.shape}, expected (1..255 classes, h, w)")
    if min(size_hw) < 1:
        raise ValueError(f"the size is {size_hw}, expected (height, width) of at least 1")
    logits_chw = np.asarray(logits_chw, dtype=np.float32)
    winners_hw = _winners(logits_chw)
    if winners_hw.shape == size_hw:
        return winners_hw
    rows = neighbors(winners_hw.shape[0], size_hw[0], align_corners)
    columns = neighbors(winners_hw.shape[1], size_hw[1], align_corners)
    labels_hw = winners_hw[rows[0][:, None], columns[0]]
    mixed_hw = _mixed(winners_hw)[rows[0][:, None], columns[0]]
    _interpolate(labels_hw.reshape(-1), np.flatnonzero(mixed_hw), logits_chw, rows, columns)
    return labels_hw


def _winners(logits_chw: Floats) -> Labels:
    """The argmax of each cell, a band of rows at a time."""
    classes, height, width = logits_chw.shape
    winners_hw = np.zeros((height, width), dtype=np.uint8)
    band = max(1, _BLOCK // (4 * width))
    for top in range(0, height, band):
        winner = winners_hw[top : top + band]
        best = logits_chw[0, top : top + band].copy()
        for index in range(1, classes):
            value = logits_chw[index, top : top + band]
            np.copyto(winner, index, where=value > best, casting="unsafe")
            np.maximum(best, value, out=best)  # keeps a NaN, for the check below
        if np.isnan(best).any():
            raise WeightsError(
                "the network's output holds NaN, expected numbers; its weights are damaged, or the "
                "training that made them diverged: use another checkpoint"
            )
    return winners_hw


def neighbors(
    cells: int, pixels: int, align_corners: bool = False
) -> tuple[Indices, Indices, Floats]:
    """For each pixel along one axis: the cell before it, the one after, and the latter's weight.

    As torch places them, in float32: corner pixels lie on corner cells (`align_corners`), or the
    areas of cells and pixels coincide and what lies outside the outermost centers is clamped.
    """
    at = np.arange(pixels, dtype=np.float32)
    if align_corners:
        place = at * np.float32((cells - 1) / max(1, pixels - 1))
    else:
        place = np.maximum((at + np.float32(0.5)) * np.float32(cells / pixels) - np.float32(0.5), 0)
    before = np.minimum(place.astype(np.intp), cells - 1)
    after = np.minimum(before + 1, cells - 1)
    return before, after, np.clip(place - before.astype(np.float32), 0, 1)


def _mixed(winners_hw: Labels) -> npt.NDArray[np.bool_]:
    """Whether a cell, the next one, and the two below them have different winners."""
    mixed = np.zeros(winners_hw.shape, dtype=bool)
    mixed[:, :-1] = winners_hw[:, :-1] != winners_hw[:, 1:]
    mixed[:-1] |= mixed[1:] | (winners_hw[:-1] != winners_hw[1:])
    return mixed


def _interpolate(
    labels: Labels,
    pixels: Indices,
    logits_chw: Floats,
    rows: tuple[Indices, Indices, Floats],
    columns: tuple[Indices, Indices, Floats],
) -> None:
    """Set `labels` (H * W) at the flat positions `pixels` by interpolating there."""
    classes, _, cells_wide = logits_chw.shape
    pixels_wide = columns[0].size
    cells = np.ascontiguousarray(logits_chw.reshape(classes, -1).T)  # a cell's logits side by side
    for start in range(0, pixels.size, _BLOCK // classes):
        flat = pixels[start : start + _BLOCK // classes]
        y, x = np.divmod(flat, pixels_wide)
        left, right, weight_x = columns[0][x], columns[1][x], columns[2][x][:, None]
        top, bottom, weight_y = (
            rows[0][y] * cells_wide,
            rows[1][y] * cells_wide,
            rows[2][y][:, None],
        )
        value = _between(cells[top + left], cells[top + right], weight_x)
        below = _between(cells[bottom + left], cells[bottom + right], weight_x)
        labels[flat] = _between(value, below, weight_y).argmax(axis=1)


def _between(first: Floats, second: Floats, weight: Floats) -> Floats:
    """first * (1 - weight) + second * weight, in the memory of both."""
    first *= 1 - weight
    second *= weight
    first += second
    return first
