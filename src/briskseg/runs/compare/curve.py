"""A curve read from a log, and two of them brought to the same positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.types import Floats

Axis = Literal["step", "samples", "time"]
AXES: tuple[Axis, ...] = get_args(Axis)
UNITS: Mapping[Axis, str] = {"step": "steps", "samples": "samples", "time": "s"}


@dataclass(frozen=True)
class Curve:
    """One key of a log.

    log: the file or folder it was read from. values: (n,) as logged, NaN and infinities too.
    positions: for each axis that the log knows, (n,): steps and samples since the start, time in
    seconds since the start. Raises DataError where one is no finite number. is_cut: whether the log
    has a last row that is not whole, and left out.
    """

    log: Path
    key: str
    values: Floats
    positions: Mapping[Axis, Floats]
    is_cut: bool = False

    def __post_init__(self) -> None:
        for axis, numbers in self.positions.items():
            if not np.isfinite(numbers).all():
                index = int(np.isfinite(numbers).argmin())
                raise DataError(
                    f"{self.log}: the {axis} of its entry {index + 1} is {numbers[index]}, "
                    "expected a finite number; correct that line or remove it"
                )

    def along(self, axis: Axis) -> tuple[Floats, Floats]:
        """Positions in rising order, and the value at each; of one logged twice (by a resumed run)
        the later entry. Raises RequestError where the log does not know this axis."""
        if axis not in self.positions:
            known = ", ".join(f"--by {name}" for name in AXES if name in self.positions)
            raise RequestError(f"{self.log} does not say the {axis} of its rows; it allows {known}")
        positions = self.positions[axis]
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        last = np.append(ordered[1:] != ordered[:-1], True)
        return ordered[last], self.values[order][last]


def smoothed(positions: Floats, values: Floats, window: float) -> Floats:
    """At each position the mean of the values from `window` before it, exclusive, up to it.

    The window is in the axis's own unit, so that logs with differing intervals are smoothed alike.
    Where a value in the window is no finite number, so is the mean (NaN).
    """
    known = np.isfinite(values)
    total = np.cumsum(np.concatenate([[0.0], np.where(known, values, 0.0)]))
    unknown = np.cumsum(np.concatenate([[0], ~known]))
    end = np.arange(1, len(values) + 1)
    start = np.minimum(np.searchsorted(positions, positions - window, side="right"), end - 1)
    mean = (total[end] - total[start]) / (end - start)
    mean[unknown[end] > unknown[start]] = np.nan
    return np.asarray(mean)


def align(
    a: tuple[Floats, Floats], b: tuple[Floats, Floats]
) -> tuple[Floats, Floats, Floats, int] | None:
    """The positions of `a` that lie within `b`, the values of both there, and how many of `b` are
    interpolated; None where there are none. Curves are given as their positions and values.

    Where `b` has the same position its value is taken as it is, else it is interpolated linearly.
    """
    if not len(a[0]) or not len(b[0]):
        return None
    shared = (a[0] >= b[0][0]) & (a[0] <= b[0][-1])
    positions, values = a[0][shared], a[1][shared]
    if not len(positions):
        return None
    others = np.interp(positions, *b)
    return positions, values, others, int(np.isin(positions, b[0], invert=True).sum())
