"""The confusion matrix, counted image by image, and the scores that come from it.

Constant memory: one (classes, classes) table, whatever the number of images. Every pixel is either
counted, ignored by the truth (255), or an error that names the value; none is dropped in silence.

How absent classes count: a class that neither the truth nor any prediction holds has no IoU (NaN,
`None` in JSON) and is left out of the mean. A class that was predicted but is not in the truth has
IoU 0 and counts; it has no accuracy. This is the convention of MMSegmentation and of the
Cityscapes scripts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.errors import DataError
from briskseg.core.labels import IGNORED
from briskseg.core.types import Floats, Integers
from briskseg.core.wording import counted

ABSENT_RULE = (
    "a class that was predicted but is not in the labels has IoU 0 and counts in the mean; one "
    "that is in neither has no IoU and is left out of the mean"
)

# Pixels counted at once: OpenCV's histogram is float32, which counts exactly up to here.
_BLOCK = 1 << 24


class ConfusionMatrix:
    """Pixels counted by (truth, prediction).

    `counts`: (classes, classes) int64, a row for each true class, a column for each predicted one.
    """

    def __init__(self, classes: int) -> None:
        if not 1 <= classes <= IGNORED:
            raise ValueError(f"classes is {classes}, expected 1..{IGNORED}")
        self.classes = classes
        self.counts: npt.NDArray[np.int64] = np.zeros((classes, classes), dtype=np.int64)

    def update(self, truth_hw: Integers, predicted_hw: Integers) -> None:
        """Count one image: both (H, W) integers, classes 0..classes-1; a truth of 255 is ignored.

        Nothing is counted when an error is raised. Raises DataError for a truth that is neither a
        class nor 255, ValueError for a prediction that is no class (also where the truth is
        ignored) or for differing shapes.
        """
        if truth_hw.shape != predicted_hw.shape:
            raise ValueError(
                f"truth is {truth_hw.shape}, prediction is {predicted_hw.shape}, expected one shape"
            )
        truth = _bytes(truth_hw, "truth", DataError).reshape(-1)
        predicted = _bytes(predicted_hw, "prediction", ValueError).reshape(-1)
        # Every pair of bytes is counted, so that what is no class shows without another pass.
        pairs = np.zeros((256, 256), dtype=np.int64)
        for start in range(0, truth.size, _BLOCK):
            block = [truth[start : start + _BLOCK], predicted[start : start + _BLOCK]]
            pairs += cv2.calcHist(block, [0, 1], None, [256, 256], [0, 256] * 2).astype(np.int64)
        self.add_pairs(pairs)

    def add_pairs(self, pairs: npt.NDArray[np.int64]) -> None:
        """Add pixels that were counted elsewhere, (256, 256) by the bytes (truth, prediction);
        errors as `update`'s."""
        self._check(pairs)
        self.counts += pairs[: self.classes, : self.classes]

    def _check(self, pairs: npt.NDArray[np.int64]) -> None:
        n = self.classes
        strange = pairs.sum(axis=1)[n:IGNORED]
        if strange.any():
            value = n + int(np.flatnonzero(strange)[0])
            raise DataError(
                f"the truth holds the value {value} in {counted(strange[value - n], 'pixel')}, "
                f"expected a class 0..{n - 1} or {IGNORED} (ignored); correct the label file, or "
                "name the class set it was made with"
            )
        strange = pairs.sum(axis=0)[n:]
        if strange.any():
            value = n + int(np.flatnonzero(strange)[-1])
            raise ValueError(
                f"the prediction holds the value {value} in "
                f"{counted(strange[value - n], 'pixel')}, "
                f"expected a class 0..{n - 1}"
            )

    def add(self, other: ConfusionMatrix) -> None:
        """Add another matrix's counts; ValueError where it has another number of classes."""
        if other.classes != self.classes:
            raise ValueError(f"a matrix of {other.classes} classes, expected {self.classes}")
        self.counts += other.counts

    @property
    def iou(self) -> Floats:
        """(classes,) intersection over union in [0, 1]; NaN for an absent class."""
        hits = np.diag(self.counts)
        return _ratio(hits, self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits)

    @property
    def accuracy(self) -> Floats:
        """(classes,) share of a class's true pixels found, in [0, 1]; NaN if the truth has none."""
        return _ratio(np.diag(self.counts), self.counts.sum(axis=1))

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that have one; NaN when every pixel was ignored."""
        return _mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy over the classes the truth holds; NaN when every pixel was ignored."""
        return _mean(self.accuracy)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the scored pixels that are right, in [0, 1]; NaN when all were ignored."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else math.nan

    @property
    def frequency_weighted_iou(self) -> float:
        """IoU weighted by each class's share of the truth; NaN when every pixel was ignored."""
        truth = self.counts.sum(axis=1)
        if not truth.any():
            return math.nan
        held = truth > 0
        return float((self.iou[held] * truth[held]).sum() / truth.sum())

    def absent(self, names: Sequence[str]) -> list[str]:
        """The classes that neither the truth nor any prediction holds, so without an IoU."""
        return [name for name, iou in zip(names, self.iou, strict=True) if math.isnan(iou)]

    def scores(self, names: Sequence[str]) -> dict[str, Any]:
        """Every score by name, as `--json` writes them; None where a score does not exist (NaN)."""
        if len(names) != self.classes:
            raise ValueError(f"{len(names)} names for {self.classes} classes")
        iou, accuracy = self.iou, self.accuracy
        return {
            "miou": _known(self.miou),
            "pixel_accuracy": _known(self.pixel_accuracy),
            "mean_accuracy": _known(self.mean_accuracy),
            "frequency_weighted_iou": _known(self.frequency_weighted_iou),
            "classes": {
                name: {"iou": _known(iou[index]), "accuracy": _known(accuracy[index])}
                for index, name in enumerate(names)
            },
        }


def _bytes(
    labels_hw: Integers, what: str, error: type[DataError] | type[ValueError]
) -> npt.NDArray[np.uint8]:
    if labels_hw.dtype == np.uint8:
        return np.asarray(labels_hw, dtype=np.uint8)
    if labels_hw.dtype.kind not in "iu":
        raise ValueError(f"the {what} is {labels_hw.dtype}, expected integers")
    if labels_hw.size:
        low, high = int(labels_hw.min()), int(labels_hw.max())
        if low < 0 or high > 255:
            value = low if low < 0 else high
            raise error(f"the {what} holds the value {value}, expected 0..255")
    return labels_hw.astype(np.uint8)


def _ratio(part: Integers, whole: Integers) -> Floats:
    """part / whole, NaN where whole is 0."""
    result = np.full(whole.shape, math.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
