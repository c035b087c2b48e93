"""The scores of two runs: their difference, and how sure it is, by resampling the images.

The interval is a paired bootstrap (Efron, Tibshirani, "An introduction to the bootstrap", 1993,
chapter 13): images are drawn with replacement, the same for both runs, every IoU is computed anew
from the drawn images' pixels, and the middle 95 % of the differences is the interval. It says what
other images of the same kind could have shown, not what another seed of the training could; frames
of one drive are near neighbors, which makes it too narrow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from briskseg.compare.curve import Floats
from briskseg.core.errors import DataError

RESAMPLES = 10_000
_AT_ONCE = 1000  # resamples; bounds the memory to 8 bytes x this x images
_SEED = 0

Interval = tuple[float | None, float | None]
Counts = npt.NDArray[np.int64]  # (3, images, classes): intersection, truth, predicted


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _ImageCounts(_Read):
    name: str
    intersection: tuple[int, ...] = ()
    truth: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()


class _ClassScore(_Read):
    iou: float | None


class RunScores(_Read):
    """What `compare` takes from scores.json; IoU in [0, 1], None where it does not exist."""

    miou: float | None
    classes: dict[str, _ClassScore]
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
            "confidence": 0.95,
            "resamples": 0 if self.note else RESAMPLES,
            "note": self.note,
            "miou": asdict(self.miou),
            "classes": {name: asdict(one) for name, one in self.classes.items()},
        }


def read_scores(path: Path) -> RunScores:
    """Read scores.json, or what `evaluate --json` wrote; DataError for anything else."""
    try:
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
    table_a, table_b = a.counts(), b.counts()
    images = table_a.shape[1]
    rng = np.random.default_rng(_SEED)
    found = []
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = rng.multinomial(images, np.full(images, 1 / images), _AT_ONCE).astype(np.float64)
        found.append(_with_mean(_iou(drawn, table_b)) - _with_mean(_iou(drawn, table_a)))
    return [_middle(column) for column in np.concatenate(found).T]


def _iou(drawn: Floats, table: Counts) -> Floats:
    """(resamples, classes) IoU of the drawn images together; NaN for an absent class."""
    hits, truth, predicted = (drawn @ part for part in table)
    union = truth + predicted - hits
    return np.asarray(np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0))


def _with_mean(iou: Floats) -> Floats:
    """(resamples, 1 + classes): the mean over the classes that are there, then each class."""
    there = ~np.isnan(iou)
    number = there.sum(axis=1)
    total = np.where(there, iou, 0.0).sum(axis=1)
    mean = np.divide(total, number, out=np.full(len(iou), np.nan), where=number > 0)
    return np.column_stack([mean, iou])


def _middle(differences: Floats) -> Interval:
    known = differences[~np.isnan(differences)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
