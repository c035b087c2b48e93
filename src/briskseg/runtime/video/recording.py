"""Pictures to mp4 videos whose frames keep their times.

OpenCV's writer knows a constant rate alone, and the packages that know more bring encoders under
the GPL. So each video is written at a constant rate, and when it is closed its index (`mp4_times`)
gets the frames' own times.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.errors import BriskError
from briskseg.core.types import Image
from briskseg.runtime.video.mp4_times import set_frame_times


class Recording:
    """One mp4 file a path, all with the same frame times; nothing is made before the first frame.

    rate: frames/s, for the last frame's length. Close it, whatever happens: an mp4 file that was
    not closed has no index and cannot be played.
    """

    def __init__(self, paths: Sequence[Path], rate: float) -> None:
        self.paths = list(paths)
        self._rate = rate
        self._writers: list[cv2.VideoWriter] = []
        self._seconds = array("d")

    @property
    def written(self) -> list[Path]:
        """The files that there are."""
        return self.paths[: len(self._writers)]

    def write(self, pictures_hwc: Sequence[Image], seconds: float) -> None:
        """Add a picture (H, W, 3) uint8 RGB to each file; odd sides get a black row or column, as
        mp4 has only even ones. Raises BriskError where a file cannot be written."""
        shots = [_even_bgr(picture) for picture in pictures_hwc]
        if not self._writers:
            self._open(shots)
        self._seconds.append(seconds)
        for writer, shot in zip(self._writers, shots, strict=True):
            writer.write(shot)

    def close(self) -> None:
        """Finish the files. Raises BriskError where that fails."""
        for writer in self._writers:
            writer.release()
        for path in self.written:
            set_frame_times(path, self._seconds, self._rate)

    def _open(self, shots: Sequence[Image]) -> None:
        for path, shot in zip(self.paths, shots, strict=True):
            size = (shot.shape[1], shot.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), self._rate, size)
            if not writer.isOpened():
                raise BriskError(f"{path} cannot be written as an mp4 video of {size[0]}x{size[1]}")
            self._writers.append(writer)


def _even_bgr(picture_hwc: Image) -> Image:
    height, width = picture_hwc.shape[:2]
    even = cv2.copyMakeBorder(picture_hwc, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2BGR), dtype=np.uint8)
