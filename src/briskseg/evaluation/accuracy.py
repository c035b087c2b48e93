"""How right a predictor is on a dataset's split: one pass, memory for one image at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.confusion import ConfusionMatrix
from briskseg.core.errors import DataError, RequestError
from briskseg.data import Dataset
from briskseg.runtime.predictor import Predictor

Image = npt.NDArray[np.uint8]


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
    """What `evaluate` found: the confusion matrix of the split, and every image's own scores."""

    confusion: ConfusionMatrix
    names: tuple[str, ...]
    per_image: tuple[ImageScore, ...]
    model: str
    dataset: str
    split: str
    scales: tuple[float, ...]
    flip: bool

    @property
    def miou(self) -> float:
        """Mean IoU in [0, 1] over the classes that are in the truth or were predicted."""
        return self.confusion.miou

    def to_json(self) -> dict[str, Any]:
        """Every score, for JSON: shares in [0, 1]; None where a score does not exist."""
        return {
            **self.confusion.scores(self.names),
            "model": self.model,
            "dataset": self.dataset,
            "split": self.split,
            "scales": list(self.scales),
            "flip": self.flip,
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
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score `predictor` on every pair of `split`, each at its label's own size.

    With one scale of 1 and no flip each image goes through `predictor(image)`, which is what a user
    gets. Otherwise the image is also seen at the other `scales` (of the size the network takes),
    each one mirrored too with `flip`; the softmax probabilities, resized to the label's size, are
    averaged, as MMSegmentation does.
    `progress(done, total)` is called after each image.
    Raises RequestError where the classes differ, for an unknown or empty split and impossible
    scales; DataError for a damaged pair.
    """
    names = dataset.labels.names
    _check_classes(predictor.card.labels.names, names)
    if not scales or not all(math.isfinite(scale) and 0 < scale <= 16 for scale in scales):
        raise RequestError(f"scales are {list(scales)}, expected numbers above 0 and up to 16")
    pairs = dataset.pairs(split)
    if not pairs:
        raise RequestError(f"the split '{split}' of {dataset.root} has no images, expected some")
    plain = tuple(scales) == (1.0,) and not flip
    total = ConfusionMatrix(len(names))
    per_image = []
    for done, pair in enumerate(pairs, start=1):
        image_hwc, truth_hw = dataset.read(pair)
        labels_hw = predictor(image_hwc) if plain else _averaged(predictor, image_hwc, scales, flip)
        one = ConfusionMatrix(len(names))
        try:
            one.update(truth_hw, labels_hw)
        except DataError as error:
            raise DataError(f"{pair.label}: {error}") from None
        total.add(one)
        per_image.append(ImageScore.of(pair.name, one))
        if progress is not None:
            progress(done, len(pairs))
    if not total.counts.any():
        raise DataError(
            f"{dataset.root}: every pixel of the {len(pairs)} images of '{split}' is ignored, so "
            "there is nothing to score; look at the label files and at the value for ignored"
        )
    return Evaluation(
        confusion=total,
        names=names,
        per_image=tuple(per_image),
        model=predictor.card.network.name,
        dataset=dataset.kind,
        split=split,
        scales=tuple(float(scale) for scale in scales),
        flip=flip,
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


def _averaged(
    predictor: Predictor, image_hwc: Image, scales: Sequence[float], flip: bool
) -> npt.NDArray[np.uint8]:
    """Labels (H, W) by the sum of softmax probabilities over the scales, and mirrored ones."""
    height, width = image_hwc.shape[:2]
    base = predictor.card.input.size or (height, width)
    total_hwc = np.zeros((height, width, predictor.card.network.classes), dtype=np.float32)
    for scale in scales:
        size_hw = (max(1, round(base[0] * scale)), max(1, round(base[1] * scale)))
        total_hwc += _probabilities(predictor.logits(image_hwc, size_hw), (height, width))
        if flip:
            mirrored = predictor.logits(np.ascontiguousarray(image_hwc[:, ::-1]), size_hw)
            total_hwc += _probabilities(mirrored[:, :, ::-1], (height, width))
    labels_hw: npt.NDArray[np.uint8] = total_hwc.argmax(axis=2).astype(np.uint8)
    return labels_hw


def _probabilities(
    logits_chw: npt.NDArray[np.float32], size_hw: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Softmax (H, W, C) of the logits, resized bilinearly to `size_hw` before it."""
    logits_hwc = np.ascontiguousarray(logits_chw.transpose(1, 2, 0))
    if logits_hwc.shape[:2] != size_hw:
        resized = cv2.resize(logits_hwc, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        logits_hwc = resized.reshape(*size_hw, -1).astype(np.float32, copy=False)  # C = 1 is lost
    logits_hwc -= logits_hwc.max(axis=2, keepdims=True)
    np.exp(logits_hwc, out=logits_hwc)
    logits_hwc /= logits_hwc.sum(axis=2, keepdims=True)
    return logits_hwc


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
