"""Frame times in mp4 files, as FFmpeg reads them back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from briskseg.core.errors import BriskError
from briskseg.runtime.video.mp4_times import set_frame_times


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (32, 16))
    for value in range(6):
        writer.write(np.full((16, 32, 3), 40 * value, np.uint8))
    writer.release()
    return path


def read(path: Path) -> tuple[list[float], list[int], float]:
    """Times in seconds, the pictures' brightness, and frames/s on average."""
    capture, times, values = cv2.VideoCapture(str(path)), [], []
    while True:
        there, frame = capture.read()
        if not there:
            return times, values, capture.get(cv2.CAP_PROP_FPS)
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
        values.append(round(float(frame.mean()), -1))


def test_times_are_kept_and_pictures_left_alone(video: Path) -> None:
    before = read(video)[1]
    for wanted in ([0, 0.5, 0.51, 3, 3.2, 9], [7 + n / 30 for n in range(6)]):
        set_frame_times(video, wanted, 20)
        times, values, _ = read(video)
        np.testing.assert_allclose(times, np.array(wanted) - wanted[0], atol=1e-5)
        assert values == before
    set_frame_times(video, [n / 12.5 for n in range(6)], 12.5)
    assert read(video)[2] == 12.5


def test_days_long_and_too_few_times(video: Path) -> None:
    set_frame_times(video, [0, 1, 200_000], 2)
    times, _, _ = read(video)
    np.testing.assert_allclose(times, [0, 1, 200_000, 200_000.5, 200_001, 200_001.5], atol=1e-3)


def test_a_file_that_is_none(video: Path) -> None:
    for data in (b"", b"text text text text", video.read_bytes()[:-30], bytes(40)):
        video.write_bytes(data)
        with pytest.raises(BriskError, match="was written, but its frames have no times of their"):
            set_frame_times(video, [0.0], 25)
