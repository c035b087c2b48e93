"""Two runs compared: curves, weights and scores, and the verdict in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.card import load_weights
from briskseg.core.errors import RequestError
from briskseg.runs.compare.agreement import Agreement, Rule
from briskseg.runs.compare.curve import UNITS, Axis, Curve, align, smoothed
from briskseg.runs.compare.logs import Log
from briskseg.runs.compare.miou_change import ScoreDifference, compare_scores
from briskseg.runs.scores import read_scores


@dataclass(frozen=True)
class Comparison:
    """Run b against run a, the reference.

    window: what the curves were smoothed over, in the axis's unit. same_log: whether the logs hold
    the same places and numbers throughout. same_weights: whether the weights are the same bits;
    None where a run has none. scores: None where a run has none, a sentence where they do not fit.
    """

    a: Curve
    b: Curve
    axis: Axis
    window: float | None
    agreement: Agreement
    same_log: bool
    same_weights: bool | None
    scores: ScoreDifference | str | None

    @property
    def verdict(self) -> str:
        """Whether the rule passed, by which of its two bounds, with the numbers."""
        found, rule = self.agreement, self.agreement.rule
        if len(found.unknown):
            return (
                f"NOT EQUAL: {self.a.key} is no finite number at {len(found.unknown)} places, "
                f"first at {self.place(found.unknown[0])} ({self._who(found.unknown[0])})"
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
        return f"EQUAL within the rule: {first} ({second}; one is enough)"

    def place(self, at: float) -> str:
        """A place as people say it: step 120, 12.5 s."""
        return f"{at:.1f} s" if self.axis == "time" else f"{self.axis} {at:.0f}"

    def _who(self, at: float) -> str:
        curves = self.agreement.curves
        index = int(np.searchsorted(curves.places, at))
        return f"A {curves.a[index]:g}, B {curves.b[index]:g}"

    def to_json(self) -> dict[str, Any]:
        """Everything found, for JSON; null where a number does not exist or is infinite."""
        found = self.agreement
        curves, widest = found.curves, found.widest
        scores = self.scores
        return {
            "a": _curve_facts(self.a, self.axis),
            "b": _curve_facts(self.b, self.axis),
            "by": self.axis,
            "smoothed_over": self.window,
            "points": len(curves.places),
            "interpolated": curves.interpolated,
            "first": float(curves.places[0]),
            "last": float(curves.places[-1]),
            "mean_relative_error": _finite(found.relative_error),
            "mean_absolute_error": _finite(found.absolute_error),
            "mean_relative_difference": _finite(found.relative_bias),
            "mean_difference": _finite(found.absolute_bias),
            "bounds": {
                "mean_relative_error": found.rule.relative,
                "mean_absolute_error": found.rule.absolute,
            },
            "within": found.within,
            "same_log": self.same_log,
            "same_weights": self.same_weights,
            "first_difference": found.first_difference,
            "parts_at": found.parts_at,
            "widest": {
                "at": float(curves.places[widest]),
                "a": _finite(curves.a[widest]),
                "b": _finite(curves.b[widest]),
                "relative": _finite(found.relative[widest]),
            },
            "no_numbers_at": found.unknown.tolist(),
            "scores": scores.to_json() if isinstance(scores, ScoreDifference) else None,
            "scores_note": scores if isinstance(scores, str) else None,
            "verdict": self.verdict,
        }


def compare_runs(
    a: Log, b: Log, axis: Axis = "step", window: float | None = None, rule: Rule | None = None
) -> Comparison:
    """Compare run b with run a.

    axis: what is held against what: equal steps, samples seen, or seconds. window: the curves are
    smoothed over so many steps, samples or seconds, each on its own, before they are aligned.

    Raises RequestError for what is not there, an unknown key or axis, or no common stretch;
    DataError or WeightsError for damage.
    """
    read_a, read_b = a.read(), b.read()
    along_a, along_b = read_a.along(axis), read_b.along(axis)
    same_log = all(np.array_equal(x, y) for x, y in zip(along_a, along_b, strict=True))
    if window is not None:
        along_a, along_b = (
            (places, smoothed(places, values, window)) for places, values in (along_a, along_b)
        )
    aligned = align(along_a, along_b)
    if aligned is None:
        spans = [f"{along[0][0]:g} to {along[0][-1]:g}" for along in (along_a, along_b)]
        raise RequestError(
            f"the runs have no stretch in common: {read_a.log} has {spans[0]} {UNITS[axis]}, "
            f"{read_b.log} {spans[1]}; align them by something else with --by"
        )
    return Comparison(
        a=read_a,
        b=read_b,
        axis=axis,
        window=window,
        agreement=Agreement(aligned, rule or Rule()),
        same_log=same_log,
        same_weights=_same_weights(a.path, b.path),
        scores=_scores(a.path, b.path),
    )


def _same_weights(a: Path, b: Path) -> bool | None:
    files = [path / "model.safetensors" for path in (a, b)]
    if not all(file.is_file() for file in files):
        return None
    ours, theirs = (load_weights(file)[0] for file in files)
    return ours.keys() == theirs.keys() and all(
        tensor.dtype == theirs[name].dtype
        and tensor.shape == theirs[name].shape
        and tensor.tobytes() == theirs[name].tobytes()
        for name, tensor in ours.items()
    )


def _scores(a: Path, b: Path) -> ScoreDifference | str | None:
    files = [path / "scores.json" for path in (a, b)]
    if not all(file.is_file() for file in files):
        return None
    return compare_scores(*(read_scores(file) for file in files))


def _curve_facts(curve: Curve, axis: Axis) -> dict[str, Any]:
    places, _ = curve.along(axis)
    return {
        "log": str(curve.log),
        "key": curve.key,
        "points": len(places),
        "first": float(places[0]),
        "last": float(places[-1]),
    }


def _shown(error: float, bound: float) -> str:
    """As the zoo prints it, with the bound it is held against."""
    return f"{error:.3g} {'<=' if error <= bound else '>'} {bound:g}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
