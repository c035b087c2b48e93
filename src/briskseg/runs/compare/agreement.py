"""How near two aligned curves are: the errors, the model-zoo rule, and where the runs part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from briskseg.core.types import Floats

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

    positions, a, b: (n,). interpolated: how many of b lie between two of its own points.
    relative: (n,) |b - a| / |a|; 0 where both are 0, infinite where only a is or one is no number.
    relative_error, absolute_error: means over the positions where both are numbers, NaN if there
        are none. relative_bias, absolute_bias: of (b - a) / a and b - a, signed: what the
        vendor's scripts print as MeanRelativeError and MeanAbsoluteError.
    not_finite: the positions where one of the two, or both, is no finite number.
    first_difference: the first position where they are not the same number; None if there is none.
    """

    rule: Rule
    positions: Floats
    a: Floats
    b: Floats
    interpolated: int
    relative: Floats
    relative_error: float
    absolute_error: float
    relative_bias: float
    absolute_bias: float
    not_finite: Floats
    first_difference: float | None

    @property
    def within(self) -> bool:
        """Whether the rule passes; a curve that holds anything but finite numbers never does."""
        near = self.relative_error <= self.rule.relative
        return not len(self.not_finite) and (near or self.absolute_error <= self.rule.absolute)

    @property
    def widest(self) -> int:
        """The index of the largest relative difference."""
        return int(self.relative.argmax())

    @property
    def parts_at(self) -> float | None:
        """The first position from which the runs stay apart, None if there is none: there the
        relative difference is above the bound, and from there on so is its mean over every stretch
        of n / 20 points (at least 5, at most n), up to the last. Single points may fall below:
        noisy curves cross each other again and again without being near."""
        relative, bound = self.relative, self.rule.relative
        window = min(len(relative), max(_LEAST_STRETCH, len(relative) // _STRETCHES))
        stretches = np.lib.stride_tricks.sliding_window_view(relative, window).mean(axis=1)
        if stretches[-1] <= bound:
            return None
        near = np.flatnonzero(stretches <= bound)
        start = int(near[-1]) + 1 if len(near) else 0
        # fewer last points than that may be chance, unless they are what the rule fails by
        stop = len(relative) + 1 - min(len(relative), _LEAST_STRETCH) if self.within else None
        above = np.flatnonzero(relative[start:stop] > bound)
        return float(self.positions[start + above[0]]) if len(above) else None


def agree(positions: Floats, a: Floats, b: Floats, interpolated: int, rule: Rule) -> Agreement:
    """Hold curve b against curve a, both of them at these positions."""
    finite = np.isfinite(a) & np.isfinite(b)
    gaps = b[finite] - a[finite]
    relative = np.full(len(a), np.inf)
    relative[finite & (a == b)] = 0.0
    divided = finite & (a != 0)
    relative[divided] = np.abs(b[divided] - a[divided]) / np.abs(a[divided])
    differ = (a != b) | ~finite
    return Agreement(
        rule,
        positions,
        a,
        b,
        interpolated,
        relative,
        relative_error=_mean(relative[finite]),
        absolute_error=_mean(np.abs(gaps)),
        relative_bias=_mean(gaps / np.where(a == 0, np.nan, a)[finite]),
        absolute_bias=_mean(gaps),
        not_finite=positions[~finite],
        first_difference=float(positions[differ.argmax()]) if differ.any() else None,
    )


def _mean(values: Floats) -> float:
    """NaN for none; entries that are NaN (a relative difference to 0) are left out."""
    real = values[~np.isnan(values)]
    return float(real.mean()) if len(real) else float("nan")
