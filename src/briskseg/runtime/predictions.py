"""A predictor's labels of files, written as files: masks and overlays of images and videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.errors import BriskError, DataError
from briskseg.core.images import read_image, write_png
from briskseg.core.overlay import overlay, with_legend
from briskseg.runtime.inputs import Input
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.video_files import open_video

Image = npt.NDArray[np.uint8]
Frames = Callable[[int, int], None]  # (done, total), after each frame

# What a video without a stated rate is played at.
_USUAL_FPS = 25.0


def write_predictions(
    predictor: Predictor, source: Input, out: Path, progress: Frames | None = None
) -> list[Path]:
    """Predict on one image or video and write the results to the folder `out`; their paths.

    Image: NAME_labels.png (one channel, class indices), NAME_color.png (RGB, the classes' colors),
    both of the image's size, and NAME_overlay.png (the colors over the image, a legend below).
    Video: NAME_color.mp4 and NAME_overlay.mp4, every frame in order, at the video's rate; an odd
    width or height gets one more black row or column, as mp4 has only even ones. Video compression
    blurs colors, so for exact labels predict on frames saved as images.
    Raises DataError for a damaged file, BriskError where `out` cannot be written.
    """
    base = out / source.name
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        if source.is_video:
            return _video(predictor, source.path, base, progress)
        return _image(predictor, source.path, base)
    except OSError as error:
        raise BriskError(f"{base}_* cannot be written: {error.strerror or error}") from None


def _image(predictor: Predictor, path: Path, base: Path) -> list[Path]:
    label_set = predictor.card.labels.to_label_set()
    image_hwc = read_image(path)
    labels_hw = predictor(image_hwc)
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


def _video(predictor: Predictor, path: Path, base: Path, progress: Frames | None) -> list[Path]:
    label_set = predictor.card.labels.to_label_set()
    everything = range(len(label_set.names))  # so that the legend's size never changes
    paths = [base.with_name(f"{base.name}_{kind}.mp4") for kind in ("color", "overlay")]
    with ExitStack() as stack:
        capture = stack.enter_context(open_video(path))
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        total = int(stated) if math.isfinite(stated) and stated > 0 else 0
        writers: list[cv2.VideoWriter] = []
        done = 0
        for done, frame_hwc in enumerate(_frames(capture), start=1):
            labels_hw = predictor(frame_hwc)
            colors_hwc = label_set.colorize(labels_hw)
            picture = with_legend(overlay(frame_hwc, labels_hw, label_set), label_set, everything)
            shots = [_even_bgr(colors_hwc), _even_bgr(picture)]
            if not writers:
                rate = capture.get(cv2.CAP_PROP_FPS)
                for target, first in zip(paths, shots, strict=True):
                    writers.append(stack.enter_context(_writer(target, first, rate)))
            for writer, shot in zip(writers, shots, strict=True):
                writer.write(shot)
            if progress is not None:
                progress(done, max(done, total))
    if done < 0.9 * total or not done:  # the stated number is an estimate in some formats
        raise DataError(
            f"{path}: {done} of {total} frames could be read; the video is damaged or cut off: "
            "copy it again, or re-encode it"
        )
    return paths


def _frames(capture: cv2.VideoCapture) -> Iterator[Image]:
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _even_bgr(picture_hwc: Image) -> Image:
    """As a video writer takes it: BGR, and both sides even."""
    height, width = picture_hwc.shape[:2]
    even = cv2.copyMakeBorder(picture_hwc, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2BGR), dtype=np.uint8)


@contextmanager
def _writer(path: Path, first_hwc: Image, rate: float) -> Iterator[cv2.VideoWriter]:
    fps = rate if math.isfinite(rate) and 0 < rate <= 1000 else _USUAL_FPS
    height, width = first_hwc.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    try:
        if not writer.isOpened():
            raise BriskError(f"{path} cannot be written as an mp4 video of {width}x{height}")
        yield writer
    finally:
        writer.release()
