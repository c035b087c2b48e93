"""The window: its pixels on a screen without hardware, and its absence in a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from briskseg.core.errors import RequestError
from briskseg.runtime.video.window import Window

pytest.importorskip("tkinter")

# In a process of its own: Xlib ends the process whose screen has gone.
SHOWS = """
import sys
from pathlib import Path
import cv2, numpy as np
from PIL import ImageGrab
from briskseg.cli.predict import label_stream, report_text
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard
from briskseg.runtime.inputs import Input
from briskseg.runtime.backends import Backend
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.video.window import Window

def shown(color):
    return int((np.asarray(ImageGrab.grab().convert("RGB")) == color).all(axis=2).sum())

window = Window("a camera")
for color in ((200, 30, 60), (10, 220, 90)):
    assert window.show(np.full((50, 80, 3), color, np.uint8), "24.0 frames/s")
    assert shown(color) == 50 * 80, shown(color)
assert window.show(np.full((900, 600, 3), (0, 0, 250), np.uint8))  # larger than the screen
assert 0.5 * 270 * 180 < shown((0, 0, 250)) <= 270 * 180, shown((0, 0, 250))
window._root.focus_force()
window._root.update()
window._root.event_generate("<Escape>")
assert not window.show(np.zeros((5, 5, 3), np.uint8))
window.close()

class Halves(Backend):
    def infer(self, image_hwc):
        return np.stack([image_hwc[..., 0], 255 - image_hwc[..., 0]]).astype(np.float32)

card = Card(
    network=NetworkCard(name="erfnet", classes=2, options={}),
    labels=LabelsCard(names=("sky", "road"), colors=((70, 130, 180), (128, 64, 128))),
    input=InputCard(mean=(0, 0, 0), std=(1, 1, 1)),
    source="two halves",
)
drive = Input(Path(sys.argv[1]), "drive")
print(report_text(label_stream(Predictor(Halves(), card), drive, None, show=True)))
"""


@pytest.fixture
def screen() -> Iterator[str]:
    """The name of a display of 400x300."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian and Ubuntu: xvfb): no window was tested")
    numbers, told = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(told), "-screen", "0", "400x300x24", "-nolisten", "tcp"],
        pass_fds=[told],
        stderr=subprocess.DEVNULL,
    )
    try:
        os.close(told)
        with os.fdopen(numbers) as lines:
            yield f":{int(lines.readline())}"
    finally:
        server.terminate()
        server.wait()


def test_pictures_and_a_video_are_on_the_screen_and_nothing_is_written(
    screen: str, tmp_path: Path
) -> None:
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(tmp_path / "drive.mp4"), code, 25, (64, 48))
    for value in range(5):
        writer.write(np.full((48, 64, 3), 50 * value, np.uint8))
    writer.release()
    done = subprocess.run(
        [sys.executable, "-c", SHOWS, "drive.mp4"],
        cwd=tmp_path,
        env={**os.environ, "DISPLAY": screen},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("drive.mp4: 5 frames in ")
    assert "    show\n" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["drive.mp4"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a display")
def test_no_display_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, command, weights_file: Path
) -> None:
    monkeypatch.setenv("DISPLAY", "")
    done = command("predict", weights_file, "camera:0", "--show")
    assert done.status == 2
    assert "showing a window needs a display, and there is none (DISPLAY is ''); leave" in done.err


def test_no_tkinter_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(RequestError, match="needs tkinter, which this Python lacks; install it"):
        Window("a camera")
