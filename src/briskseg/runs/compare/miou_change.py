"""The scores of two runs: their difference, and how sure it is, by resampling the images.

The interval is that of `core/metrics/intervals.py`, in pairs: the same images are drawn for both
runs, and the middle 95 % of the differences is the interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from briskseg.core.metrics.intervals import (
    LEVEL,
    RESAMPLES,
    Counts,
    Interval,
    middle,
    resampled,
)
from briskseg.runs.scores import Scores


@dataclass(frozen=True)
class Difference:
    """A score of both runs in [0, 1], and b - a with its 95 % interval; None where none exists."""

    a: float | None
    b: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class ScoreDifference:
    """The scores side by side. note: why there are no intervals; empty where there are. warning:
    where A and B were not scored alike, how each was; else empty."""

    split: str
    images: int
    miou: Difference
    classes: dict[str, Difference]
    note: str = ""
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """For JSON: scores and differences as shares in [0, 1]."""
        how = {"confidence": LEVEL, "resamples": 0 if self.note else RESAMPLES}
        return asdict(self) | how


def compare_scores(a: Scores, b: Scores) -> ScoreDifference | str:
    """b against a with intervals, classes matched by their names; a sentence where the two are not
    scores of the same ones."""
    if {*a.classes} != {*b.classes}:
        ours, theirs = ", ".join(a.classes), ", ".join(b.classes)
        return f"the scores are of differing classes: A has {ours}; B has {theirs}"
    note = _unpaired(a, b)
    intervals: list[Interval] = [(None, None)] * (1 + len(a.classes))  # of mIoU, then each class
    if not note:
        scores_a, scores_b = resampled(_counts(a, a), _counts(b, a))
        intervals = [middle(column) for column in (scores_b - scores_a).T]
    mean, *each = intervals
    classes = {
        name: Difference(*_gap(a.classes[name].iou, b.classes[name].iou), *interval)
        for name, interval in zip(a.classes, each, strict=True)
    }
    miou = Difference(*_gap(a.miou, b.miou), *mean)
    warning = f"not scored alike: A {a.seen}, B {b.seen}" if a.seen != b.seen else ""
    return ScoreDifference(a.split, len(a.images), miou, classes, note, warning)


def _counts(scores: Scores, like: Scores) -> Counts:
    """(3, images, classes) in the order of the classes of `like`."""
    order = [*scores.classes]
    return scores.counts()[..., [order.index(name) for name in like.classes]]


def _gap(a: float | None, b: float | None) -> tuple[float | None, float | None, float | None]:
    return a, b, None if a is None or b is None else b - a


def _unpaired(a: Scores, b: Scores) -> str:
    """Why the two cannot be resampled in pairs; empty if they can."""
    for which, scores in (("A", a), ("B", b)):
        if not scores.has_counts:
            return (
                f"no intervals: the scores of {which} lack each image's counts; write them again "
                "with `briskseg evaluate --json`"
            )
    names = [sorted(image.name for image in scores.images) for scores in (a, b)]
    if names[0] != names[1]:
        only = sorted(set(names[0]) ^ set(names[1]))
        named = f", as {only[0]}" if only else ""
        return (
            f"no intervals: the two were scored on differing images ({len(names[0])} and "
            f"{len(names[1])}{named})"
        )
    differ = (_counts(a, a)[1] != _counts(b, a)[1]).any(axis=1)
    if differ.any():
        name = names[0][int(differ.argmax())]
        return f"no intervals: the labels of image {name} were not the same for both"
    return ""
