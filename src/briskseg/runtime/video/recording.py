"""Pictures to mp4 videos of a constant rate, each shown from its time on.

OpenCV's writer knows a constant rate alone, and the packages that know more bring encoders under
the GPL. So the time is cut into slots of 1/rate: a picture is repeated until the next one's slot,
and of those that fall into one slot the last is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.errors import BriskError
from briskseg.core.files.atomic import writing
from briskseg.core.types import Image
from briskseg.runtime.result_mark import mark_video

# A longer pause between two frames is cut to this: a damaged video may state any time, and every
# slot of it would be written.
_LONGEST_PAUSE_S = 10.0


class Recording:
    """One mp4 file a path, all with the same frame times; nothing is made before the first frame.

    rate: frames/s. Close it, whatever happens: an mp4 file that was not closed has no index and
    cannot be played.
    """

    def __init__(self, paths: Sequence[Path], rate: float) -> None:
        self.paths = list(paths)
        self._rate = rate
        self._writers: list[cv2.VideoWriter] = []
        self._waiting: list[Image] = []  # the latest pictures, until it is known how long they last
        self._slot, self._seconds = 0.0, 0.0  # where they begin, in slots and in the source's time

    @property
    def written(self) -> list[Path]:
        """The files that there are."""
        return self.paths[: len(self._writers)]

    def write(self, pictures_hwc: Sequence[Image], seconds: float) -> None:
        """Add a picture (H, W, 3) uint8 RGB to each file; odd sides get a black row or column, as
        mp4 has only even ones. Raises BriskError where a file cannot be written."""
        shots = []
        for picture in pictures_hwc:
            odd_rows, odd_columns = picture.shape[0] % 2, picture.shape[1] % 2
            even = cv2.copyMakeBorder(picture, 0, odd_rows, 0, odd_columns, cv2.BORDER_CONSTANT)
            shots.append(np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2BGR), dtype=np.uint8))
        if self._writers:
            pause = min(max(0.0, seconds - self._seconds), _LONGEST_PAUSE_S)
            following = self._slot + pause * self._rate
            self._repeat(round(following) - round(self._slot))
            self._slot = following
        else:
            for path, shot in zip(self.paths, shots, strict=True):
                self._begin(path, (shot.shape[1], shot.shape[0]))
        self._waiting, self._seconds = shots, seconds

    def close(self) -> None:
        """Finish the files. Raises BriskError for one that cannot be played, and takes it away:
        OpenCV's writer says nothing where the disk is full."""
        self._repeat(1)
        for writer in self._writers:
            writer.release()
        for path in self.written:
            if not cv2.VideoCapture(str(path.absolute())).isOpened():
                path.unlink(missing_ok=True)
                raise BriskError(
                    f"{path} cannot be played as it was written, and is removed: the disk may be "
                    "full; make room, or name another folder"
                )
            with writing(path):
                mark_video(path)

    def _begin(self, path: Path, size_wh: tuple[int, int]) -> None:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        file = str(path.absolute())  # of "a:b.mp4" FFmpeg takes "a:" for a protocol
        writer = cv2.VideoWriter(file, cv2.VideoWriter.fourcc(*"mp4v"), self._rate, size_wh)
        if not writer.isOpened():
            raise BriskError(
                f"{path} cannot be written as an mp4 video of {size_wh[0]}x{size_wh[1]}"
            )
        self._writers.append(writer)

    def _repeat(self, times: int) -> None:
        for _ in range(times):
            for writer, shot in zip(self._writers, self._waiting, strict=False):
                writer.write(shot)
