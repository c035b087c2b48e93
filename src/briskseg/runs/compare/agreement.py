"""How near two aligned curves are: the errors, the model-zoo rule, and where the runs part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from briskseg.core.types import Floats
from briskseg.runs.compare.curve import Aligned

# Whether the runs stay apart is judged on means over one in 20 of all points, and at least 5.
_STRETCHES, _LEAST_STRETCH = 20, 5


@dataclass(frozen=True)
class Rule:
    """An accelerator vendor's model-zoo rule: two runs of a recipe pass as equal where the mean
    relative error or the mean absolute error of their losses is within its bound."""

    relative: float = 0.05
    absolute: float = 0.0002


@dataclass(frozen=True)
class Agreement:
    """Curve b against curve a, the reference, at n >= 1 positions; the rule says what is near.

    The vendor's own scripts average signed differences, so that ups and downs cancel and a lower
    loss always passes; here the errors are of magnitudes, and the signed means stand beside them.
    """

    curves: Aligned
    rule: Rule

    @property
    def finite(self) -> npt.NDArray[np.bool_]:
        """(n,) bool: where both are finite numbers."""
        return np.asarray(np.isfinite(self.curves.a) & np.isfinite(self.curves.b))

    @property
    def relative(self) -> Floats:
        """(n,) |b - a| / |a|; 0 where both are 0, infinite where only a is or one is no number."""
        a, b, finite = self.curves.a, self.curves.b, self.finite
        result = np.full(len(a), np.inf)
        gap = np.abs(np.subtract(b, a, out=np.zeros(len(a)), where=finite))
        np.divide(gap, np.abs(a), out=result, where=finite & (a != 0))
        result[finite & (gap == 0)] = 0.0
        return result

    @property
    def relative_error(self) -> float:
        """Mean relative error over the positions where both are numbers; NaN if there are none."""
        return _mean(self.relative[self.finite])

    @property
    def absolute_error(self) -> float:
        """Mean absolute error over the positions where both are numbers; NaN if there are none."""
        return _mean(np.abs(self._gaps()))

    @property
    def relative_bias(self) -> float:
        """Mean of (b - a) / a, signed: what the vendor's scripts print as MeanRelativeError."""
        return _mean(
            self._gaps() / np.where(self.curves.a == 0, np.nan, self.curves.a)[self.finite]
        )

    @property
    def absolute_bias(self) -> float:
        """Mean of b - a, signed: what the vendor's scripts print as MeanAbsoluteError."""
        return _mean(self._gaps())

    @property
    def not_finite(self) -> Floats:
        """The positions where one of the two, or both, is no finite number."""
        return np.asarray(self.curves.positions[~self.finite])

    @property
    def within(self) -> bool:
        """Whether the rule passes; a curve that holds anything but finite numbers never does."""
        near = self.relative_error <= self.rule.relative
        return bool(self.finite.all()) and (near or self.absolute_error <= self.rule.absolute)

    @property
    def first_difference(self) -> float | None:
        """The first position where the two are not the same number; None if they are everywhere."""
        differ = (self.curves.a != self.curves.b) | ~self.finite
        return float(self.curves.positions[differ.argmax()]) if differ.any() else None

    @property
    def parts_at(self) -> float | None:
        """The first position from which the runs stay apart; None if they never do.

        There the relative difference is above the rule's bound, and from there on so is its mean
        over every stretch of n / 20 points (at least 5, at most n), up to the last. Single points
        may fall below: noisy curves cross each other again and again without being near.
        """
        gaps = self.relative
        window = min(len(gaps), max(_LEAST_STRETCH, len(gaps) // _STRETCHES))
        stretches = np.lib.stride_tricks.sliding_window_view(gaps, window).mean(axis=1)
        near = np.flatnonzero(stretches <= self.rule.relative)
        start = int(near[-1]) + 1 if len(near) else 0
        above = np.flatnonzero(gaps[start : len(stretches)] > self.rule.relative)
        return float(self.curves.positions[start + above[0]]) if len(above) else None

    @property
    def widest(self) -> int:
        """The index of the largest relative difference."""
        return int(self.relative.argmax())

    def _gaps(self) -> Floats:
        finite = self.finite
        return np.asarray(self.curves.b[finite] - self.curves.a[finite])


def _mean(values: Floats) -> float:
    """NaN for none; entries that are NaN (a relative difference to 0) are left out."""
    real = values[~np.isnan(values)]
    return float(real.mean()) if len(real) else float("nan")
