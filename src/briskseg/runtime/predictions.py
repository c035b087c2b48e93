"""A predictor's labels of images, written as files: masks and overlays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.atomic import writing
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import png_bytes, read_image, write_picture
from briskseg.core.labels import LabelSet
from briskseg.core.overlay import overlay, with_legend
from briskseg.core.parallel import pipelined
from briskseg.core.types import Image, Labels, Progress
from briskseg.runtime.inputs import Input
from briskseg.runtime.result_mark import is_marked, marked

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
            return source, read_image(check_file_name(source.path))
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


def result_files(source: Input, out: Path) -> list[Path]:
    """The files of one image's results: labels, color, overlay."""
    return [out / f"{source.name}_{kind}.png" for kind in ("labels", "color", "overlay")]


def refuse_others(files: Iterable[Path]) -> None:
    """Raise RequestError where a file is there that `write_predictions` has not written: labels of
    the user's own are called so too."""
    for file in files:
        if file.exists() and not is_marked(file):
            raise RequestError(
                f"{file} is there, and is no result of `predict`, which would replace it; name "
                "another folder with --out"
            )


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
    color, shown = label_set.colorize(labels_hw), with_legend(picture, label_set, present)
    files = result_files(source, out)
    with writing(files[0].parent):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for path, array in zip(files, (labels_hw, color, shown), strict=True):
            write_picture(path, marked(png_bytes(array, str(path))))
    return files
