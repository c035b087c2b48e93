"""How right a predictor is on a dataset's split: one pass, memory for two images at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from shlex import quote
from typing import Any, NamedTuple

import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.metrics.confusion import ABSENT_RULE, ConfusionMatrix
from briskseg.core.metrics.intervals import LEVEL, RESAMPLES, Interval, miou_interval
from briskseg.core.parallel import thread_map
from briskseg.core.types import Progress
from briskseg.core.wording import counted
from briskseg.data import Dataset
from briskseg.data.frequencies import refuse_binary_masks
from briskseg.data.masks.class_files import list_with
from briskseg.evaluation.test_time_augmentation import check_scales, labels_of_views
from briskseg.runtime.predictor import Predictor, Ran
from briskseg.runtime.sliding_window import WindowPredictor


class ImageScore(NamedTuple):
    """One image's scores in [0, 1], NaN where all its pixels are ignored, and its scored pixels.

    intersection, truth, predicted: (classes,) the pixels found right, in the labels and in the
    prediction; IoU = intersection / (truth + predicted - intersection), for any sum of images.
    """

    name: str
    miou: float
    pixel_accuracy: float
    intersection: list[int]
    truth: list[int]
    predicted: list[int]

    @classmethod
    def of(cls, name: str, confusion: ConfusionMatrix) -> ImageScore:
        """The score of one image from its own confusion matrix."""
        counts = confusion.counts
        pixels = (counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0))
        return cls(
            name, confusion.miou, confusion.pixel_accuracy, *(part.tolist() for part in pixels)
        )

    def to_json(self) -> dict[str, Any]:
        """For JSON: None where a score does not exist."""
        fields = self._asdict().items()
        return {name: None if value != value else value for name, value in fields}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: the confusion matrix of the split, and every image's own scores.

    network: its name, as in MODELS.
    label_size, window, stride: (height, width) in pixels, or None where labels were scored at their
    own size and images seen whole. benchmark: scores that the data set's own benchmark has beside
    these, under its name. ran: the file, backend and precision that predicted.
    """

    confusion: ConfusionMatrix
    names: tuple[str, ...]
    per_image: tuple[ImageScore, ...] = field(repr=False)
    network: str
    dataset: str
    split: str
    scales: tuple[float, ...]
    flip: bool
    label_size: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    benchmark: Mapping[str, Any] = field(default_factory=dict)
    ran: Ran | None = None

    @property
    def miou(self) -> float:
        """Mean IoU in [0, 1] over the classes that are in the truth or were predicted."""
        return self.confusion.miou

    @cached_property
    def miou_interval(self) -> Interval:
        """(low, high) in [0, 1], the 95 % interval of mIoU over images, by resampling them (see
        `core/metrics/intervals.py`); (None, None) of a single image."""
        parts = [[one.intersection, one.truth, one.predicted] for one in self.per_image]
        return miou_interval(np.array(parts, np.int64).transpose(1, 0, 2))

    def to_json(self) -> dict[str, Any]:
        """Every score, for JSON: shares in [0, 1]; None where a score does not exist."""
        low, high = self.miou_interval
        return {
            **self.confusion.scores(self.names),
            "miou_interval": None if low is None else [low, high],
            "miou_interval_level": LEVEL,
            "miou_interval_resamples": RESAMPLES,
            "absent_classes": self.confusion.absent(self.names),
            "absent_classes_rule": ABSENT_RULE,
            **self.benchmark,
            "network": self.network,
            "ran": None if self.ran is None else self.ran._asdict(),
            "dataset": self.dataset,
            "split": self.split,
            "scales": self.scales,
            "flip": self.flip,
            "label_size": self.label_size,
            "window": self.window,
            "stride": self.stride,
            "confusion": self.confusion.counts.tolist(),
            "images": [image.to_json() for image in self.per_image],
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

    Classes are matched by their names, and the scores are in the data's order.
    With one scale of 1 and no flip each image goes through `predictor(image)`, which is what a user
    gets. Otherwise the image is also seen at the other `scales` (of the size the network takes),
    each one mirrored too with `flip`; the softmax probabilities of the logits, resized to the
    label's size before, are averaged, as MMSegmentation does. A `WindowPredictor` sees each of
    these through its windows.
    label_size: (height, width) that labels are resized to with nearest neighbor, and predicted at,
    as the official ERFNet code does with 512x1024. Such scores do not compare with others.
    A benchmark's own scores are counted too where the data set has them. While an image is scored
    the next one is read; `progress(done, total)` is called after each.
    Raises RequestError where the classes differ, for an unknown or empty split and impossible
    scales or sizes; DataError for a damaged pair, or for masks of two classes that hold 0 and 255.
    """
    _check_kinds(predictor, dataset)
    known = predictor.card.labels.names
    dataset = dataset.of_classes(known)
    check_classes(known, dataset)
    check_scales(scales)
    pairs = dataset.pairs(split)
    if not pairs:
        raise RequestError(f"the split '{split}' of {dataset.root} has no images, expected some")
    refuse_binary_masks(dataset)
    scorer, per_image = dataset.scorer(split, label_size), list[ImageScore]()
    in_data = np.array([dataset.names.index(name) for name in known], np.uint8)
    for sample in thread_map(scorer.read, pairs, threads=1, ahead=1, progress=progress):
        seen_hw = labels_of_views(predictor, sample.image_hwc, scales, flip, label_size)
        per_image.append(ImageScore.of(sample.pair.name, scorer.count(sample, in_data[seen_hw])))
    if not scorer.confusion.counts.any():
        raise DataError(
            f"{dataset.root}: every pixel of {counted(len(pairs), 'image')} of '{split}' is "
            "ignored, so there is nothing to score; look at the label files and at the value for "
            "ignored"
        )
    windows = predictor if isinstance(predictor, WindowPredictor) else None
    return Evaluation(
        confusion=scorer.confusion,
        names=dataset.labels.names,
        per_image=tuple(per_image),
        network=predictor.card.network.name,
        dataset=dataset.kind,
        split=split,
        scales=tuple(map(float, scales)),
        flip=flip,
        label_size=label_size,
        window=windows.window_hw if windows else None,
        stride=windows.stride_hw if windows else None,
        benchmark=scorer.benchmark(),
        ran=predictor.ran,
    )


def _check_kinds(predictor: object, dataset: object) -> None:
    """Raise RequestError where a program gave something else, a path say."""
    if not isinstance(predictor, Predictor) or not isinstance(dataset, Dataset):
        found = f"{type(predictor).__name__} and {type(dataset).__name__}"
        raise RequestError(
            f"evaluate takes a predictor and a data set, found {found}; make them with "
            "briskseg.load(MODEL) and briskseg.open_dataset(DIR)"
        )


def check_classes(known: Sequence[str], dataset: Dataset) -> None:
    """The network's class names must be the dataset's, in whatever order."""
    wanted = dataset.names
    lacking = {
        "data": [f"'{name}'" for name in known if name not in wanted],
        "model": [f"'{name}'" for name in wanted if name not in known],
    }
    lacks = [f"the {who} lacks {', '.join(names)}" for who, names in lacking.items() if names]
    if lacks:
        raise RequestError(
            f"the model knows {counted(len(known), 'class')} ({', '.join(known)}), the data has "
            f"{len(wanted)} ({', '.join(wanted)}): {' and '.join(lacks)}; "
            f"{_fix_hint(known, dataset)}"
        )


def _fix_hint(known: Sequence[str], dataset: Dataset) -> str:
    """What makes the classes one: a list of the model's for the same labels, or another model."""
    if listed := list_with(dataset, known):
        command = f"printf '{listed}' > {quote(str(dataset.root / 'classes.txt'))}"
        return f"list the model's classes too, as the label files say them: {command}"
    return (
        "choose a model trained on these classes (`briskseg train` makes one), or where the data "
        "have several class sets, as CamVid, another one with --classes"
    )
