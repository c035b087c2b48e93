"""Two runs compared: curves, weights and scores, and the verdict in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from briskseg.core.card import load_weights
from briskseg.core.errors import RequestError
from briskseg.core.wording import counted
from briskseg.runs.compare.agreement import Agreement, Rule, agree
from briskseg.runs.compare.curve import UNITS, Axis, Curve, align, smoothed
from briskseg.runs.compare.logs import Log
from briskseg.runs.compare.miou_change import ScoreDifference, compare_scores
from briskseg.runs.run_folder import RunFolder

FEW_POINTS = 5  # fewer are no curve


@dataclass(frozen=True)
class Comparison:
    """Run b against run a, the reference.

    window: what the curves were smoothed over, in the axis's unit. same_log: whether the logs hold
    the same positions and numbers throughout. same_weights: whether the weights are the same bits;
    None where a run has none. scores: None where a run has none, a sentence where they do not fit.
    diverged: those of the two runs ("A", "B") whose loss was no number when they last stopped,
    which their logs do not hold.
    """

    a: Curve
    b: Curve
    axis: Axis
    window: float | None
    agreement: Agreement
    same_log: bool
    same_weights: bool | None
    scores: ScoreDifference | str | None
    diverged: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the rule passes; a run that diverged is equal to none."""
        return self.agreement.within and not self.diverged

    @property
    def verdict(self) -> str:
        """Whether the rule passed, by which of its two bounds, with the numbers."""
        found, rule = self.agreement, self.agreement.rule
        if self.diverged:
            return f"NOT EQUAL: {' and '.join(self.diverged)} diverged; see the end of its log"
        if len(found.not_finite):
            i = int(np.searchsorted(found.positions, found.not_finite[0]))
            return (
                f"NOT EQUAL: {self.a.key} is no finite number at "
                f"{counted(len(found.not_finite), 'point')}, first "
                f"at {self.position(found.not_finite[0])} "
                f"(A {found.a[i]:g}, B {found.b[i]:g})"
            )
        parts = [
            f"MeanRelativeError {_shown(found.relative_error, rule.relative)}",
            f"MeanAbsoluteError {_shown(found.absolute_error, rule.absolute)}",
        ]
        if not found.within:
            return f"NOT EQUAL: {' and '.join(parts)}"
        if self.same_log:
            return f"EQUAL TO THE LAST BIT of the logs: {', '.join(parts)}"
        passed = found.relative_error <= rule.relative
        first, second = parts if passed else parts[::-1]
        passed_by = f"{first} ({second}; one is enough)"
        return f"EQUAL within the rule: {passed_by}{self._part_compared}{self._doubts}"

    @property
    def _part_compared(self) -> str:
        """That one run went on when the other had ended, by more than its logs lie apart."""
        last = self.agreement.positions[-1]
        for name, curve in (("A", self.a), ("B", self.b)):
            positions = curve.along(self.axis)[0]
            if (positions > last).sum() > 1:
                until, end = self.position(last), self.position(positions[-1])
                return f", up to {until}; {name} goes on to {end}"
        return ""

    @property
    def _doubts(self) -> str:
        """Why losses that are equal may say little: few points, or scores that are not."""
        doubts, points, scores = "", len(self.agreement.positions), self.scores
        if points < FEW_POINTS:
            doubts += f"; compared at {counted(points, 'point')} alone, which says little"
        if isinstance(scores, ScoreDifference) and scores.miou.is_clear:
            doubts += f"; but B's mIoU is {100 * (scores.miou.difference or 0):+.2f} points off A's"
        return doubts

    def position(self, at: float) -> str:
        """A position with its unit: step 120, 12.5 s."""
        return f"{at:.1f} s" if self.axis == "time" else f"{self.axis} {at:.0f}"

    def to_json(self) -> dict[str, Any]:
        """Everything found, for JSON; null where a number does not exist or is infinite."""
        found = self.agreement
        positions, widest, scores = found.positions, found.widest, self.scores
        return {
            "a": self._curve_json(self.a),
            "b": self._curve_json(self.b),
            "by": self.axis,
            "smoothed_over": self.window,
            "points": len(positions),
            "interpolated": found.interpolated,
            "first": float(positions[0]),
            "last": float(positions[-1]),
            "mean_relative_error": _finite(found.relative_error),
            "mean_absolute_error": _finite(found.absolute_error),
            "mean_relative_difference": _finite(found.relative_bias),
            "mean_difference": _finite(found.absolute_bias),
            "bounds": {
                "mean_relative_error": found.rule.relative,
                "mean_absolute_error": found.rule.absolute,
            },
            "within": self.equal,
            "diverged": list(self.diverged),
            "same_log": self.same_log,
            "same_weights": self.same_weights,
            "first_difference": found.first_difference,
            "parts_at": found.parts_at,
            "widest": {
                "at": float(positions[widest]),
                "a": _finite(found.a[widest]),
                "b": _finite(found.b[widest]),
                "relative": _finite(found.relative[widest]),
            },
            "no_numbers_at": found.not_finite.tolist(),
            "scores": scores.to_json() if isinstance(scores, ScoreDifference) else None,
            "scores_note": scores if isinstance(scores, str) else None,
            "verdict": self.verdict,
        }

    def _curve_json(self, curve: Curve) -> dict[str, Any]:
        positions, _ = curve.along(self.axis)
        span = {"first": float(positions[0]), "last": float(positions[-1]), "cut": curve.is_cut}
        return {"log": str(curve.log), "key": curve.key, "points": len(positions)} | span


def compare_runs(
    a: Log, b: Log, axis: Axis = "step", window: float | None = None, rule: Rule | None = None
) -> Comparison:
    """Compare run b with run a.

    axis: what is compared with what: equal steps, samples seen, or seconds. window: the curves are
    smoothed over so many steps, samples or seconds, each on its own, before they are aligned.

    Raises RequestError for what is not there, an unknown key or axis, or no common stretch;
    DataError or WeightsError for damage.
    """
    curves = a.read(), b.read()
    points = [curve.along(axis) for curve in curves]
    same_log = all(np.array_equal(x, y) for x, y in zip(*points, strict=True))
    if window is not None:
        points = [(positions, smoothed(positions, y, window)) for positions, y in points]
    aligned = align(*points)
    if aligned is None:
        spans = [f"{positions[0]:g} to {positions[-1]:g}" for positions, _ in points]
        raise RequestError(
            f"the runs have no stretch in common: {curves[0].log} has {spans[0]} {UNITS[axis]}, "
            f"{curves[1].log} {spans[1]}; align them by something else with --by"
        )
    agreement = agree(*aligned, rule or Rule())
    folders = RunFolder(a.path), RunFolder(b.path)  # of a single log file, one that holds nothing
    weights, (ours, theirs) = _same_weights(*folders), (run.read_scores() for run in folders)
    scores = None if ours is None or theirs is None else compare_scores(ours, theirs)
    diverged = tuple(n for n, run in zip("AB", folders, strict=True) if run.diverged.is_file())
    return Comparison(*curves, axis, window, agreement, same_log, weights, scores, diverged)


def _same_weights(a: RunFolder, b: RunFolder) -> bool | None:
    if not (a.weights.is_file() and b.weights.is_file()):
        return None
    ours, theirs = load_weights(a.weights)[0], load_weights(b.weights)[0]
    return ours.keys() == theirs.keys() and all(
        tensor.dtype == theirs[name].dtype
        and tensor.shape == theirs[name].shape
        and tensor.tobytes() == theirs[name].tobytes()
        for name, tensor in ours.items()
    )


def _shown(error: float, bound: float) -> str:
    """The error with the bound that it is compared with."""
    return f"{error:.3g} {'<=' if error <= bound else '>'} {bound:g}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
