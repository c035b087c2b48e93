"""scores.json, and what `evaluate --json` writes, read: a run of ours, or what a stranger made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.core.files.safe_names import fault_of_class_name
from briskseg.core.metrics.intervals import Counts
from briskseg.core.wording import hxw


def _as_class_name(name: str) -> str:
    if fault := fault_of_class_name(name):
        raise ValueError(fault)
    return name


ClassName = Annotated[str, AfterValidator(_as_class_name)]
Pixels = Annotated[int, Field(ge=0, le=1 << 53)]
Share = Annotated[float, Field(ge=0, le=1)]
ImageSize = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ClassScores(_Read):
    """One class's shares in [0, 1]; None where the score does not exist."""

    iou: Share | None
    accuracy: Share | None


class ImageScores(_Read):
    """One image's shares in [0, 1], and its pixels of each class; files of before lack these."""

    name: str
    miou: Share | None
    pixel_accuracy: Share | None
    intersection: tuple[Pixels, ...] = ()
    truth: tuple[Pixels, ...] = ()
    predicted: tuple[Pixels, ...] = ()


class Scores(_Read):
    """What `evaluate` found on a split, in a run folder the best weights' on val; shares in [0, 1].

    confusion: (classes, classes) pixels, a row a true class; empty where it is left out.
    """

    miou: Share | None
    miou_interval: tuple[Share, Share] | None = None  # 95 %, over images
    pixel_accuracy: Share | None
    mean_accuracy: Share | None
    frequency_weighted_iou: Share | None
    classes: dict[ClassName, ClassScores]
    confusion: tuple[tuple[Pixels, ...], ...] = ()
    images: tuple[ImageScores, ...] = ()
    split: str = "val"
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    label_size: ImageSize | None = None
    window: ImageSize | None = None
    stride: ImageSize | None = None

    @property
    def has_counts(self) -> bool:
        """Whether every image has its counts, one a class."""
        n = len(self.classes)
        return bool(self.images) and all(
            len(part) == n
            for image in self.images
            for part in (image.intersection, image.truth, image.predicted)
        )

    @property
    def seen(self) -> str:
        """How images were seen and labels taken, after "scored "."""
        views = seen(self.scales, self.flip, self.window, self.stride) or " on whole images"
        resized = "" if self.label_size is None else f", labels resized to {hxw(self.label_size)}"
        return views.lstrip() + resized

    def counts(self) -> Counts:
        """(3, images, classes) in the order of the images' names."""
        images = sorted(self.images, key=lambda image: image.name)
        parts = ("intersection", "truth", "predicted")
        return np.array([[getattr(i, part) for i in images] for part in parts], np.int64)


def seen(
    scales: Sequence[float], flip: bool, window: ImageSize | None, stride: ImageSize | None
) -> str:
    """How the network saw each image, as " at scales 0.5, 1"; "" where it saw it whole and once."""
    views = []
    if tuple(scales) != (1.0,) or flip:
        listed = ", ".join(f"{scale:g}" for scale in scales)
        views.append(f" at scales {listed}{' and mirrored' if flip else ''}")
    if window is not None and stride is not None:
        views.append(f" through windows of {hxw(window)} every {hxw(stride)}")
    return "".join(views)


def read_scores(path: Path) -> Scores:
    """Raises DataError naming the file for one that is missing, damaged or not of this form."""
    cure = f"write it again with `briskseg evaluate MODEL --data DIR --json {quote(str(path))}`"
    try:
        check_size(path, MAX_TEXT_BYTES)
        scores = Scores.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {cure}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DataError(f"{path}: {place}: {first['msg']}; {cure}") from None
    n = len(scores.classes)
    if scores.confusion and any(len(row) != n for row in (scores.confusion, *scores.confusion)):
        raise DataError(
            f"{path}: the confusion matrix does not have {n} rows and columns, one a class; {cure}"
        )
    return scores
