"""The pixels between cells of different winners: interpolated and decided, a block at a time.

Four cells, two runs of pixels (one down, one across) between them: a *patch*, where not all of its
four winners are equal. Nearly always two classes win all there is to win of a patch: any other lies
at or below one of the two in all four cells, so nowhere above it between them. Then the sign of one
interpolated difference decides; the few patches where more classes may win take all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from briskseg.core.types import Floats32, Labels
from briskseg.runtime.decode.axes import Indices, Runs

# Numbers of a step, so that it stays in the cache.
_BLOCK = 1 << 16

# What a logit of -inf counts as: no class that has it wins, and 0 times it is 0.
_LOWEST = np.float32(-1e37)


def decide_borders(
    labels_hw: Labels, logits_chw: Floats32, winners_hw: Labels, rows: Runs, columns: Runs
) -> None:
    """Set the labels of all pixels whose four cells have different winners."""
    row, column = np.nonzero(_mixed(winners_hw, rows, columns))
    classes, _, cells_wide = logits_chw.shape
    logits = logits_chw.reshape(classes, -1)
    winners = winners_hw.reshape(-1)
    for part in _blocks(row.size, 4 * classes):
        patches = Patches(labels_hw, rows, columns, row[part], column[part])
        cells = patches.cells(cells_wide)
        corners = np.maximum(logits.take(cells, axis=1), _LOWEST)  # (classes, 4, patches)
        first, second, alone = _pairs(corners, winners.take(cells))
        pairs, rest = np.flatnonzero(alone), np.flatnonzero(~alone)
        for some in _blocks(pairs.size, patches.size):
            _decide_pairs(patches, corners, first, second, pairs[some])
        for some in _blocks(rest.size, patches.size):
            _decide_all(patches, corners, rest[some])


@dataclass(frozen=True)
class Patches:
    """Patches by their runs: `row` and `column` index into `rows` and `columns`."""

    labels_hw: Labels
    rows: Runs
    columns: Runs
    row: Indices
    column: Indices

    @property
    def size(self) -> int:
        """Pixels of a patch, repeated ones included."""
        return len(self.rows.pixels) * len(self.columns.pixels)

    def cells(self, cells_wide: int) -> Indices:
        """The flat positions (4, patches) of their cells: the upper two, then the lower two."""
        top, bottom = (side[self.row] * cells_wide for side in (self.rows.before, self.rows.after))
        left, right = self.columns.before[self.column], self.columns.after[self.column]
        return np.stack([top + left, top + right, bottom + left, bottom + right])

    def weights(self, some: Indices) -> tuple[Floats32, Floats32]:
        """Weights (longest run, patches) of the lower and of the right cells."""
        down = self.rows.weights.take(self.row[some], axis=1)
        return down, self.columns.weights.take(self.column[some], axis=1)

    def write(self, some: Indices, labels: Labels) -> None:
        """Write labels (run down, run across, patches) to their pixels."""
        y = self.rows.pixels.take(self.row[some], axis=1) * self.labels_hw.shape[1]
        x = self.columns.pixels.take(self.column[some], axis=1)
        self.labels_hw.reshape(-1)[y[:, None] + x] = labels


def _mixed(winners_hw: Labels, rows: Runs, columns: Runs) -> npt.NDArray[np.bool_]:
    """Whether the four cells around each pair of runs (rows, columns) have different winners."""
    left, right = winners_hw.take(columns.before, axis=1), winners_hw.take(columns.after, axis=1)
    across = left != right
    mixed: npt.NDArray[np.bool_] = across.take(rows.before, axis=0)
    mixed |= across.take(rows.after, axis=0)
    mixed |= left.take(rows.before, axis=0) != left.take(rows.after, axis=0)
    return mixed


def _pairs(corners: Floats32, winners: Labels) -> tuple[Indices, Indices, npt.NDArray[np.bool_]]:
    """The lowest and the highest class that win a cell of each patch, and whether no other may."""
    first, second = winners.min(axis=0).astype(np.intp), winners.max(axis=0).astype(np.intp)
    patch = np.arange(first.size)
    others = ((winners != first) & (winners != second)).any(axis=0)
    above = (corners > corners[first, :, patch].T).any(axis=1)
    above &= (corners > corners[second, :, patch].T).any(axis=1)
    return first, second, ~(others | above.any(axis=0))


def _decide_pairs(
    patches: Patches, corners: Floats32, first: Indices, second: Indices, some: Indices
) -> None:
    lower, higher = first[some], second[some]
    difference = (corners[lower, :, some] - corners[higher, :, some]).T
    loses = _between(difference, *patches.weights(some)) < 0
    labels = loses.view(np.uint8)
    labels *= (higher - lower).astype(np.uint8)
    labels += lower.astype(np.uint8)
    patches.write(some, labels)


def _decide_all(patches: Patches, corners: Floats32, some: Indices) -> None:
    """Interpolate every class of some patches."""
    down, across = patches.weights(some)
    best = _between(corners[0][:, some], down, across)
    labels = np.zeros(best.shape, dtype=np.uint8)
    for index in range(1, corners.shape[0]):
        value = _between(corners[index][:, some], down, across)
        labels[value > best] = index
        np.maximum(best, value, out=best)
    patches.write(some, labels)


def _between(corners: Floats32, down: Floats32, across: Floats32) -> Floats32:
    """Values (4, patches) of the cells, interpolated: (run down, run across, patches)."""
    upper_left, upper_right, lower_left, lower_right = corners
    left = upper_left * (1 - down) + lower_left * down
    right = upper_right * (1 - down) + lower_right * down
    value: Floats32 = left[:, None] * (1 - across)
    value += right[:, None] * across
    return value


def _blocks(items: int, numbers_each: int) -> Iterator[slice]:
    step = max(1, _BLOCK // numbers_each)
    return (slice(start, start + step) for start in range(0, items, step))
