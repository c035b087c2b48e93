"""How right a predictor is on a dataset's split: one pass, memory for two images at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.images import resize_labels
from briskseg.core.labels.cityscapes_table import to_label_ids
from briskseg.core.metrics.confusion import ABSENT_RULE, ConfusionMatrix
from briskseg.core.metrics.intervals import LEVEL, RESAMPLES, Interval, miou_interval
from briskseg.core.types import Image, Labels, Progress
from briskseg.data import Dataset, Pair
from briskseg.data.cityscapes.scorer import (
    CityscapesScores,
    CityscapesTruth,
    missing_instances,
    read_truth,
)
from briskseg.evaluation.reading import read_ahead
from briskseg.evaluation.test_time_augmentation import TestTimeAugmentation
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.sliding_window import WindowPredictor


class ImageScore(NamedTuple):
    """One image's scores in [0, 1], NaN where all its pixels are ignored, and its scored pixels.

    intersection, truth, predicted: (classes,) the pixels found right, in the labels and in the
    prediction; IoU = intersection / (truth + predicted - intersection), for any sum of images.
    """

    name: str
    miou: float
    pixel_accuracy: float
    intersection: tuple[int, ...]
    truth: tuple[int, ...]
    predicted: tuple[int, ...]

    @classmethod
    def of(cls, name: str, confusion: ConfusionMatrix) -> ImageScore:
        """The score of one image from its own confusion matrix."""
        counts = confusion.counts
        pixels = (counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0))
        intersection, truth, predicted = (tuple(one.tolist()) for one in pixels)
        return cls(name, confusion.miou, confusion.pixel_accuracy, intersection, truth, predicted)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: the confusion matrix of the split, and every image's own scores.

    network: its name, as in MODELS.
    label_size, window, stride: (height, width) in pixels, or None where labels were scored at their
    own size and images seen whole. cityscapes: the benchmark's own scores, on its data.
    """

    confusion: ConfusionMatrix
    names: tuple[str, ...]
    per_image: tuple[ImageScore, ...]
    network: str
    dataset: str
    split: str
    scales: tuple[float, ...]
    flip: bool
    label_size: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    cityscapes: CityscapesScores | None = None

    @property
    def miou(self) -> float:
        """Mean IoU in [0, 1] over the classes that are in the truth or were predicted."""
        return self.confusion.miou

    @cached_property
    def miou_interval(self) -> Interval:
        """(low, high) in [0, 1], the 95 % interval of mIoU over images, by resampling them (see
        `core/intervals.py`); (None, None) of a single image."""
        parts = [[one.intersection, one.truth, one.predicted] for one in self.per_image]
        return miou_interval(np.array(parts, np.int64).transpose(1, 0, 2))

    def to_json(self) -> dict[str, Any]:
        """Every score, for JSON: shares in [0, 1]; None where a score does not exist."""
        low, high = self.miou_interval
        own = {} if self.cityscapes is None else {"cityscapes": self.cityscapes.to_json()}
        return {
            **self.confusion.scores(self.names),
            "miou_interval": None if low is None else [low, high],
            "miou_interval_level": LEVEL,
            "miou_interval_resamples": RESAMPLES,
            "absent_classes": self.confusion.absent(self.names),
            "absent_classes_rule": ABSENT_RULE,
            **own,
            "network": self.network,
            "dataset": self.dataset,
            "split": self.split,
            "scales": list(self.scales),
            "flip": self.flip,
            "label_size": _listed(self.label_size),
            "window": _listed(self.window),
            "stride": _listed(self.stride),
            "confusion": self.confusion.counts.tolist(),
            "images": [
                {
                    "name": image.name,
                    "miou": _known(image.miou),
                    "pixel_accuracy": _known(image.pixel_accuracy),
                    "intersection": list(image.intersection),
                    "truth": list(image.truth),
                    "predicted": list(image.predicted),
                }
                for image in self.per_image
            ],
        }


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: str = "val",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    progress: Progress | None = None,
    label_size: tuple[int, int] | None = None,
) -> Evaluation:
    """Score `predictor` on every pair of `split`, each at its label's own size.

    With one scale of 1 and no flip each image goes through `predictor(image)`, which is what a user
    gets. Otherwise the image is also seen at the other `scales` (of the size the network takes),
    each one mirrored too with `flip`; the softmax probabilities, resized to the label's size, are
    averaged, as MMSegmentation does. A `WindowPredictor` sees each of these through its windows.
    label_size: (height, width) that labels are resized to with nearest neighbor, and predicted at,
    as the official ERFNet code does with 512x1024. Such scores do not compare with others.
    On Cityscapes its benchmark's scores are counted too. While an image is scored the next one is
    read; `progress(done, total)` is called after each.
    Raises RequestError where the classes differ, for an unknown or empty split and impossible
    scales or sizes; DataError for a damaged pair.
    """
    _check_classes(predictor.card.labels.names, dataset.labels.names)
    views = TestTimeAugmentation(tuple(float(scale) for scale in scales), flip)
    pairs = dataset.pairs(split)
    if not pairs:
        raise RequestError(f"the split '{split}' of {dataset.root} has no images, expected some")
    tally = _Tally(dataset, pairs, label_size)
    for done, sample in enumerate(read_ahead(tally.read, pairs), start=1):
        tally.count(sample, views.labels(predictor, sample.image_hwc, label_size))
        if progress is not None:
            progress(done, len(pairs))
    tally.refuse_nothing(split)
    windows = predictor if isinstance(predictor, WindowPredictor) else None
    return Evaluation(
        confusion=tally.confusion,
        names=dataset.labels.names,
        per_image=tuple(tally.per_image),
        network=predictor.card.network.name,
        dataset=dataset.kind,
        split=split,
        scales=views.scales,
        flip=flip,
        label_size=label_size,
        window=windows.window_hw if windows else None,
        stride=windows.stride_hw if windows else None,
        cityscapes=tally.cityscapes,
    )


class _Sample(NamedTuple):
    """A pair, read, at the size at which it is scored."""

    pair: Pair
    image_hwc: Image
    truth_hw: Labels
    cityscapes: CityscapesTruth | None


class _Tally:
    """Reads the pairs and counts what was predicted."""

    def __init__(
        self, dataset: Dataset, pairs: Sequence[Pair], label_size: tuple[int, int] | None
    ) -> None:
        if label_size is not None and min(label_size) < 1:
            raise RequestError(
                f"the label size is {label_size}, expected (height, width) of 1 or more"
            )
        self.dataset, self.label_size = dataset, label_size
        self.confusion = ConfusionMatrix(len(dataset.labels.names))
        self.per_image: list[ImageScore] = []
        self.cityscapes: CityscapesScores | None = None
        if dataset.kind == "cityscapes":
            reason = missing_instances([pair.label for pair in pairs])
            if label_size is not None:
                reason = "the labels were resized, and objects are weighed by their full sizes"
            self.cityscapes = CityscapesScores(reason)

    def read(self, pair: Pair) -> _Sample:
        image_hwc, truth_hw = self.dataset.read(pair)
        ids = None
        if self.cityscapes is not None:
            ids = read_truth(pair.label, self.cityscapes.without_instances is None)
        if self.label_size is not None:
            truth_hw = resize_labels(truth_hw, self.label_size)
            ids = ids and CityscapesTruth(resize_labels(ids.ids_hw, self.label_size), None)
        return _Sample(pair, image_hwc, truth_hw, ids)

    def count(self, sample: _Sample, labels_hw: Labels) -> None:
        one = ConfusionMatrix(self.confusion.classes)
        try:
            one.update(sample.truth_hw, labels_hw)
            if self.cityscapes is not None and sample.cityscapes is not None:
                self.cityscapes.update(to_label_ids(labels_hw), *sample.cityscapes)
        except DataError as error:
            raise DataError(f"{sample.pair.label}: {error}") from None
        self.confusion.add(one)
        self.per_image.append(ImageScore.of(sample.pair.name, one))

    def refuse_nothing(self, split: str) -> None:
        """Raise DataError where no pixel has been scored."""
        if not self.confusion.counts.any():
            raise DataError(
                f"{self.dataset.root}: every pixel of the {len(self.per_image)} images of "
                f"'{split}' is ignored, so there is nothing to score; look at the label files and "
                "at the value for ignored"
            )


def _check_classes(known: Sequence[str], wanted: Sequence[str]) -> None:
    """The network's class names must be the dataset's, in the same order."""
    for index, (ours, theirs) in enumerate(zip_longest(known, wanted)):
        if ours != theirs:
            raise RequestError(
                f"the model knows {len(known)} classes ({', '.join(known)}), the data has "
                f"{len(wanted)} ({', '.join(wanted)}); the first difference is class {index}: "
                f"{_named(ours)} against {_named(theirs)}; choose the data's class set with "
                "--classes, or a model trained on these classes"
            )


def _named(name: str | None) -> str:
    return "none" if name is None else f"'{name}'"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _listed(size_hw: tuple[int, int] | None) -> list[int] | None:
    return None if size_hw is None else list(size_hw)
