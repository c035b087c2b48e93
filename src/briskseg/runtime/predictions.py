"""A predictor's labels of images, videos and cameras, written as files: masks and overlays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import numpy as np

from briskseg.core.errors import BriskError
from briskseg.core.images import read_image, write_png
from briskseg.core.overlay import overlay, with_legend
from briskseg.core.types import Progress
from briskseg.runtime.inputs import Input
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.video.sources import Camera, FrameSource, VideoFile, open_stream
from briskseg.runtime.video.stream import Show, Stream, StreamReport


def write_predictions(predictor: Predictor, source: Input, out: Path) -> list[Path]:
    """Predict on one image and write the results to the folder `out`; their paths.

    NAME_labels.png (one channel, class indices), NAME_color.png (RGB, the classes' colors), both of
    the image's size, and NAME_overlay.png (the colors over the image, a legend below).
    Raises DataError for a damaged file, BriskError where `out` cannot be written.
    """
    label_set = predictor.card.labels.to_label_set()
    base = out / source.name
    image_hwc = read_image(source.path)
    labels_hw = predictor(image_hwc)
    with _writing(base):
        picture = overlay(image_hwc, labels_hw, label_set)
        written = {
            "labels": labels_hw,
            "color": label_set.colorize(labels_hw),
            "overlay": with_legend(picture, label_set, np.unique(labels_hw)),
        }
        paths = []
        for kind, array in written.items():
            paths.append(base.with_name(f"{base.name}_{kind}.png"))
            write_png(paths[-1], array)
    return paths


def stream_predictions(
    predictor: Predictor,
    source: Input,
    out: Path | None,
    show: Show | None = None,
    smooth: int = 1,
    flicker: bool = False,
    progress: Progress | None = None,
    notify: Callable[[str], object] | None = None,
) -> StreamReport:
    """Predict on a video, a camera or a live stream; write NAME_color.mp4 and NAME_overlay.mp4 to
    `out`.

    They have the source's rate: a frame is repeated until the next one's time, and of several at
    one time the last is written. An odd width or height gets one more black row or column, as mp4
    has only even ones. Video compression blurs colors, so for exact labels predict on frames saved
    as images. Without `out` nothing is written. The rest is `Stream`'s. Raises RequestError for a
    camera that is not there, and what `Stream.run` raises. notify: called with a sentence where a
    live stream is lost and where it is back.
    """
    label_set = predictor.card.labels.to_label_set()
    opened: FrameSource
    if source.address is not None:
        opened = open_stream(source.address, notify)
    else:
        opened = VideoFile(source.path) if source.camera is None else Camera(source.camera)
    base = None if out is None else out / source.name
    with closing(opened), nullcontext() if base is None else _writing(base):
        return Stream(predictor, label_set, opened, base, show, smooth, flicker).run(progress)


@contextmanager
def _writing(base: Path) -> Iterator[None]:
    """The folder of `base`, made; whatever the system refuses there, in a sentence."""
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise BriskError(f"{base}_* cannot be written: {error.strerror or error}") from None
