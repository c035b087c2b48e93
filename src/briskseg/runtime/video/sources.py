"""Where a stream's frames come from: a video file that others made, a camera, or an address."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from briskseg.core.errors import DataError
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.limits import max_pixels, too_many_pixels
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.process_settings import opencv_silenced
from briskseg.core.types import Image
from briskseg.core.wording import counted
from briskseg.runtime.inputs import Input

# The rate of what states none, in frames/s.
_USUAL_RATE = 25.0

# How files of the kinds in VIDEO_SUFFIXES begin. FFmpeg goes by the content, and text can be to it
# a list of further files and addresses to read, whatever its name says.
_START = re.compile(
    rb"(?s)RIFF.{4}AVI |\x1aE\xdf\xa3|\x00\x00\x01[\xb3\xba]|G.{187}G"
    rb"|FLV\x01|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\xff\xd8\xff"
    rb"|.{4}(ftyp|moov|mdat|free|skip|wide|pnot)"
)
_START_BYTES = 189

_TIMEOUT_MS = 10_000  # until an address must have answered, or sent its next frame
_WAITS_S = (1.0, 2.0, 4.0)  # before each try to reach an address again


@dataclass(frozen=True)
class Frame:
    """A picture (H, W, 3) uint8 RGB and its time in the stream, in seconds, never decreasing."""

    image_hwc: Image
    seconds: float


class FrameSource(Protocol):
    """Anything that gives frames one after the other, all of one size.

    name: for messages. live: frames come when they come, and late ones are dropped; of any other
    source every frame is taken. rate: frames/s as stated, to within reason. total: how many there
    will be, 0 where nobody knows. Iterating raises DataError where the source ends too early.
    """

    name: str
    live: bool
    rate: float
    total: int

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


class VideoFile:
    """The frames of a video file, or of one at an address, with the times that it gives them.
    Raises DataError for what is none, or whose frames are too large."""

    live = False

    def __init__(self, path: Path | str) -> None:
        self.name = str(path)
        self._capture = open_video(path) if isinstance(path, Path) else open_address(path)
        self.rate = _rate(self._capture)
        stated = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.total = int(stated) if math.isfinite(stated) and stated > 0 else 0

    def __iter__(self) -> Iterator[Frame]:
        done, last = 0, -1 / self.rate
        for done, image_hwc in enumerate(_pictures(self._capture), start=1):
            seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            # Some formats have no times, and damaged files impossible ones.
            if not (done == 1 or last < seconds < math.inf):
                seconds = last + 1 / self.rate
            last = max(0.0, seconds)
            yield Frame(image_hwc, last)
        if done < 0.9 * self.total or not done:  # the stated number is an estimate in some formats
            raise DataError(
                f"{self.name}: {done} of {self.total} frames could be read; the video is damaged "
                "or cut off: copy it again, or re-encode it"
            )

    def close(self) -> None:
        self._capture.release()


class _Live:
    """What gives frames from now until it is closed, with the times at which they came; `_go_on` is
    called where it gives no more."""

    live = True
    total = 0

    def __init__(self, name: str, capture: cv2.VideoCapture) -> None:
        self.name, self._capture = name, capture
        self.rate = _rate(capture)

    def __iter__(self) -> Iterator[Frame]:
        begun, done = 0.0, 0
        while True:
            for image_hwc in _pictures(self._capture):
                now = time.monotonic()
                begun = begun if done else now
                done += 1
                yield Frame(image_hwc, now - begun)
            self._go_on(f"{self.name} gave no more after {counted(done, 'frame')}")

    def _go_on(self, found: str) -> None:
        """Have the capture give more, or raise DataError. found: how it ended."""
        raise DataError(f"{found}, as when it is unplugged")

    def close(self) -> None:
        self._capture.release()


class Camera(_Live):
    """A camera's frames. index: 0 is the first camera. Raises DataError where there is none, or it
    is in use."""

    def __init__(self, index: int) -> None:
        name = f"camera:{index}"
        with opencv_silenced():  # OpenCV prints a warning for each way it tries
            capture = cv2.VideoCapture(index)
        if not capture.isOpened():
            raise DataError(
                f"{name} cannot be opened: there is no such camera, another program uses it, "
                "or you may not; connect it, or try camera:0, camera:1 ..."
            )
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the freshest frame, where it can be set
        super().__init__(name, capture)


class LiveStream(_Live):
    """The frames that an address sends (RTSP, MJPEG over HTTP ...). Where it stops it is reached
    for again, three times within 7 s.

    notify: called with a sentence where it was lost, and where it is back. Raises DataError where
    it cannot be reached.
    """

    def __init__(self, address: str, notify: Callable[[str], object] | None = None) -> None:
        super().__init__(address, open_address(address))
        self._notify = notify or (lambda _: None)

    def _go_on(self, found: str) -> None:
        self._notify(f"{found}; reaching for it again")
        self._capture.release()
        for wait in _WAITS_S:
            time.sleep(wait)
            with suppress(DataError):
                self._capture = open_address(self.name)
                self._notify(f"{self.name} is back")
                return
        raise DataError(
            f"{found}, and could not be reached again within {sum(_WAITS_S):.0f} s; look after the "
            "camera and the network"
        )


def open_source(source: Input, notify: Callable[[str], object] | None = None) -> FrameSource:
    """A video file, a camera, or what lies at an address: a video of known length, or else a live
    stream, which calls `notify`. Raises as these."""
    if source.camera is not None:
        return Camera(source.camera)
    video = VideoFile(source.address or check_file_name(source.path))
    if source.address is None or video.total:
        return video
    video.close()
    return LiveStream(source.address, notify)


def _rate(capture: cv2.VideoCapture) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if math.isfinite(rate) and 0 < rate <= 1000 else _USUAL_RATE


def _pictures(capture: cv2.VideoCapture) -> Iterator[Image]:
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def open_video(path: Path) -> cv2.VideoCapture:
    """The video, from whose header the frames' size is known to be in bounds.

    Raises DataError naming a file that is none, or whose frames have more than `max_pixels()`.
    """
    _check_start(path)
    # The whole path: with no folder before it, FFmpeg takes a name such as `tcp:x` for an address.
    with opencv_silenced():
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    refusal = f"{path} cannot be read as a video; it is damaged or of no known format"
    return _checked(capture, path, refusal)


def open_address(address: str) -> cv2.VideoCapture:
    """What an address sends, as it was given. Raises DataError where it sends no video in time, or
    whose frames have more than `max_pixels()`."""
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    with opencv_silenced():
        capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, [*limits, _TIMEOUT_MS])
    refusal = (
        f"{address} cannot be opened: nothing answers there, it needs a password "
        "(rtsp://USER:PASSWORD@HOST/...), or it sends no video; look whether another player shows "
        "it"
    )
    return _checked(capture, Path(address), refusal)


def _checked(capture: cv2.VideoCapture, path: Path, refusal: str) -> cv2.VideoCapture:
    if not capture.isOpened():
        raise DataError(refusal)
    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not width * height <= (bound := max_pixels()):
        capture.release()
        raise too_many_pixels(path, width, height, bound)
    return capture


def _check_start(path: Path) -> None:
    try:
        if not path.is_file():
            raise DataError(f"{path} is no regular file, expected a video")
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if not _START.match(start):
        refuse_other(path, "a video")
        raise DataError(
            f"{path} cannot be read as a video; it is damaged or of no known format, expected one "
            "of mp4, mov, mkv, webm, avi, mpg, ts, flv, wmv, mjpeg"
        )
