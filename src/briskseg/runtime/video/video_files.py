"""Videos that others made, opened: what kind of file it is and how large its frames are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from briskseg.core.errors import DataError
from briskseg.core.files.limits import max_pixels, too_many_pixels
from briskseg.core.process_settings import opencv_silenced

# How files of the kinds in VIDEO_SUFFIXES begin. FFmpeg goes by the content, and text can be to it
# a list of further files and addresses to read, whatever its name says.
_START = re.compile(
    rb"(?s)RIFF.{4}AVI |\x1aE\xdf\xa3|\x00\x00\x01[\xb3\xba]|G.{187}G"
    rb"|.{4}(ftyp|moov|mdat|free|skip|wide|pnot)"
)
_START_BYTES = 189


@contextmanager
def open_video(path: Path) -> Iterator[cv2.VideoCapture]:
    """The video, from whose header the frames' size is known to be in bounds.

    Raises DataError naming a file that is none, or whose frames have more than `max_pixels()`.
    """
    _check_start(path)
    # The whole path: with no folder before it, FFmpeg takes a name such as `tcp:x` for an address.
    with opencv_silenced():
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise DataError(
                f"{path} cannot be read as a video; it is damaged or of no known format"
            )
        width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if not width * height <= (bound := max_pixels()):
            raise too_many_pixels(path, width, height, bound)
        yield capture
    finally:
        capture.release()


def _check_start(path: Path) -> None:
    try:
        if not path.is_file():
            raise DataError(f"{path} is no regular file, expected a video")
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if not _START.match(start):
        raise DataError(
            f"{path} cannot be read as a video; it is damaged or of no known format, expected one "
            "of mp4, mov, mkv, webm, avi, mpg"
        )
