"""A predictor's labels of images, written as files: masks and overlays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.errors import DataError
from briskseg.core.files.atomic import writing
from briskseg.core.images import read_image, write_png
from briskseg.core.labels import LabelSet
from briskseg.core.overlay import overlay, with_legend
from briskseg.core.parallel import pipelined
from briskseg.core.types import Image, Labels, Progress
from briskseg.runtime.inputs import Input

# (input, its image, its labels) -> the files that were written
Write = Callable[[Input, Image, Labels], list[Path]]


def label_images(
    predict: Callable[[Image], Labels],
    sources: Sequence[Input],
    write: Write,
    progress: Progress | None = None,
) -> Generator[list[Path] | DataError, None, None]:
    """Each image's files, in order, or what is wrong with it; reading, inference and writing
    overlap (`pipelined`), so `write` is called from several threads.

    Raises what `predict` and `write` raise besides DataError.
    """

    def read(source: Input) -> tuple[Input, Image] | DataError:
        try:
            return source, read_image(source.path)
        except DataError as error:
            return error

    def infer(found: tuple[Input, Image] | DataError) -> tuple[Input, Image, Labels] | DataError:
        if isinstance(found, DataError):
            return found
        try:
            return *found, predict(found[1])
        except DataError as error:
            return error

    def written(labeled: tuple[Input, Image, Labels] | DataError) -> list[Path] | DataError:
        if isinstance(labeled, DataError):
            return labeled
        try:
            return write(*labeled)
        except DataError as error:
            return error

    return pipelined(sources, read, infer, written, progress=progress)


def write_predictions(
    source: Input, image_hwc: Image, labels_hw: Labels, label_set: LabelSet, out: Path
) -> list[Path]:
    """Draw one image's labels and write the results to the folder `out`; their paths.

    NAME_labels.png (one channel, class indices), NAME_color.png (RGB, the classes' colors), both of
    the image's size, and NAME_overlay.png (the colors over the image, a legend below).
    Raises BriskError where `out` cannot be written.
    """
    picture = overlay(image_hwc, labels_hw, label_set)
    present = np.flatnonzero(cv2.calcHist([labels_hw], [0], None, [256], [0, 256]))
    base = out / source.name
    written = {
        base.with_name(f"{base.name}_labels.png"): labels_hw,
        base.with_name(f"{base.name}_color.png"): label_set.colorize(labels_hw),
        base.with_name(f"{base.name}_overlay.png"): with_legend(picture, label_set, present),
    }
    with writing(base.parent):
        base.parent.mkdir(parents=True, exist_ok=True)
        for path, array in written.items():
            write_png(path, array)
    return [*written]
