"""Where the pixels of one axis lie between the cells of another size, as torch places them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from briskseg.core.types import Floats32

Indices = npt.NDArray[np.intp]

# Pixels of a run; longer ones are cut, so that the pixels between four cells stay few.
_LONGEST = 16


def neighbors(
    cells: int, pixels: int, align_corners: bool = False
) -> tuple[Indices, Indices, Floats32]:
    """For each pixel along one axis: the cell before it, the one after, and the latter's weight.

    As torch places them, in float32: corner pixels lie on corner cells (`align_corners`), or the
    areas of cells and pixels coincide and what lies outside the outermost centers is clamped.
    """
    at = np.arange(pixels, dtype=np.float32)
    if align_corners:
        position = at * np.float32((cells - 1) / max(1, pixels - 1))
    else:
        half = np.float32(0.5)
        position = np.maximum((at + half) * np.float32(cells / pixels) - half, 0)
    before = np.minimum(position.astype(np.intp), cells - 1)
    after = np.minimum(before + 1, cells - 1)
    return before, after, np.clip(position - before.astype(np.float32), 0, 1)


@dataclass(frozen=True)
class Runs:
    """An axis as runs: neighboring pixels between the same two cells.

    nearest: each pixel's cell before it. before, after: each run's two cells, the same cell where
    its pixels take nothing of the other. pixels, weights: (longest run, runs) each position's pixel
    and the weight of the cell after it; a shorter run repeats its last pixel.
    """

    nearest: Indices
    before: Indices
    after: Indices
    pixels: Indices
    weights: Floats32


@lru_cache(maxsize=64)
def runs(cells: int, pixels: int, align_corners: bool) -> Runs:
    """The runs of an axis; remembered, so all its arrays are read-only."""
    before, after, weight = neighbors(cells, pixels, align_corners)
    starts = _starts(before, weight)
    lengths = np.diff(starts, append=pixels)
    at = np.minimum(np.arange(lengths.max())[:, None], lengths - 1) + starts
    weights = weight[at]
    blended = (weights > 0).any(axis=0)
    second = np.where(blended, after[starts], before[starts])
    found = Runs(before, before[starts], second, at, weights)
    for array in vars(found).values():
        array.flags.writeable = False
    return found


def _starts(before: Indices, weight: Floats32) -> Indices:
    """The pixels at which runs begin: at another cell, behind the clamped ones, and in between."""
    clamped = int(np.argmax(weight > 0)) if (weight > 0).any() else 0
    edges = {0, before.size, *(np.flatnonzero(np.diff(before)) + 1).tolist(), clamped}
    starts: list[int] = []
    for start, end in pairwise(sorted(edges)):
        pieces = -(-(end - start) // _LONGEST)
        starts += [start + (end - start) * piece // pieces for piece in range(pieces)]
    return np.array(starts, dtype=np.intp)
