"""The scores of two runs: their difference, and how sure it is, by resampling the images.

The interval is that of `core/intervals.py`, in pairs: the same images are drawn for both runs, and
the middle 95 % of the differences is the interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from briskseg.core.bounds import MAX_TEXT_BYTES, check_size
from briskseg.core.errors import DataError
from briskseg.core.intervals import LEVEL, RESAMPLES, Counts, Interval, middle, resampled
from briskseg.core.names import fault_of_class_name


def _as_class_name(name: str) -> str:
    if fault := fault_of_class_name(name):
        raise ValueError(fault)
    return name


ClassName = Annotated[str, AfterValidator(_as_class_name)]
Pixels = Annotated[int, Field(ge=0, le=1 << 53)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _ImageCounts(_Read):
    name: str
    intersection: tuple[Pixels, ...] = ()
    truth: tuple[Pixels, ...] = ()
    predicted: tuple[Pixels, ...] = ()


class _ClassScore(_Read):
    iou: Share | None


class RunScores(_Read):
    """What `compare` takes from scores.json; IoU in [0, 1], None where it does not exist."""

    miou: Share | None
    classes: dict[ClassName, _ClassScore]
    images: tuple[_ImageCounts, ...] = ()
    split: str = "val"

    @property
    def has_counts(self) -> bool:
        """Whether every image has its counts, one a class."""
        n = len(self.classes)
        return bool(self.images) and all(
            len(part) == n
            for image in self.images
            for part in (image.intersection, image.truth, image.predicted)
        )

    def counts(self) -> Counts:
        """(3, images, classes) in the order of the images' names."""
        images = sorted(self.images, key=lambda image: image.name)
        parts = ("intersection", "truth", "predicted")
        return np.array([[getattr(i, part) for i in images] for part in parts], np.int64)


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
    """The scores side by side. note: why there are no intervals; empty where there are."""

    split: str
    images: int
    miou: Difference
    classes: dict[str, Difference]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """For JSON: scores and differences as shares in [0, 1]."""
        return {
            "split": self.split,
            "images": self.images,
            "confidence": LEVEL,
            "resamples": 0 if self.note else RESAMPLES,
            "note": self.note,
            "miou": asdict(self.miou),
            "classes": {name: asdict(one) for name, one in self.classes.items()},
        }


def read_scores(path: Path) -> RunScores:
    """Read scores.json, or what `evaluate --json` wrote; DataError for anything else."""
    try:
        check_size(path, MAX_TEXT_BYTES)
        return RunScores.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise DataError(
            f"{path}: {problem}; write it again with `briskseg evaluate --json {path}`"
        ) from None


def compare_scores(a: RunScores, b: RunScores) -> ScoreDifference | str:
    """b against a with intervals; a sentence where the two are not scores of the same classes."""
    if list(a.classes) != list(b.classes):
        ours, theirs = ", ".join(a.classes), ", ".join(b.classes)
        return f"the scores are of differing classes: A has {ours}; B has {theirs}"
    note = _unpaired(a, b)
    none: Interval = (None, None)
    mean, *each = [none] * (1 + len(a.classes)) if note else _intervals(a, b)
    classes = {
        name: Difference(*_gap(a.classes[name].iou, b.classes[name].iou), *interval)
        for name, interval in zip(a.classes, each, strict=True)
    }
    miou = Difference(*_gap(a.miou, b.miou), *mean)
    return ScoreDifference(a.split, len(a.images), miou, classes, note)


def _gap(a: float | None, b: float | None) -> tuple[float | None, float | None, float | None]:
    return a, b, None if a is None or b is None else b - a


def _unpaired(a: RunScores, b: RunScores) -> str:
    """Why the two cannot be resampled in pairs; empty if they can."""
    for which, scores in (("A", a), ("B", b)):
        if not scores.has_counts:
            return (
                f"no intervals: the scores of {which} lack each image's counts; write them again "
                "with `briskseg evaluate --json`"
            )
    names = ([image.name for image in a.images], [image.name for image in b.images])
    if sorted(names[0]) != sorted(names[1]):
        only = sorted(set(names[0]) ^ set(names[1]))
        named = f", as {only[0]}" if only else ""
        return (
            f"no intervals: the two were scored on differing images ({len(names[0])} and "
            f"{len(names[1])}{named})"
        )
    differ = (a.counts()[1] != b.counts()[1]).any(axis=1)
    if differ.any():
        name = sorted(names[0])[int(differ.argmax())]
        return f"no intervals: the labels of image {name} were not the same for both"
    return ""


def _intervals(a: RunScores, b: RunScores) -> list[Interval]:
    """(low, high) of mIoU, then of each class."""
    scores_a, scores_b = resampled(a.counts(), b.counts())
    return [middle(column) for column in (scores_b - scores_a).T]
