"""A page in a real browser, and what it is shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.web.browser import CHROMIUM, Browser

from briskseg.core.images import write_png
from briskseg.data.synthetic import draw_scene
from briskseg.export import web_runtime

MODEL = "fast-scnn-camvid11"


@pytest.fixture(scope="session", autouse=True)
def _can_be_tested() -> None:
    if CHROMIUM is None:
        pytest.skip("PAGES ARE NOT TESTED: there is no Chromium; make browser")
    if importlib.util.find_spec("websocket") is None:
        pytest.skip("PAGES ARE NOT TESTED: pip install websocket-client, which drives Chromium")
    if wrong := web_runtime.fault():
        pytest.skip(f"PAGES ARE NOT TESTED: {wrong}; make web")


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> Path:
    """The folder that `export` writes for a shipped network, which resizes pictures to 360x480."""
    from briskseg.export import export

    return export(Path(MODEL), "web", tmp_path_factory.mktemp("page") / "out").out


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Drawn streets as PNG files: of the network's size, larger and smaller ones, and odd ones."""
    folder = tmp_path_factory.mktemp("pictures")
    sizes = {"own": (360, 480), "larger": (480, 640), "double": (720, 960), "wide": (720, 1280)}
    sizes |= {"smaller": (240, 320), "odd": (487, 333)}
    for seed, (name, size_hw) in enumerate(sizes.items()):
        write_png(folder / f"{name}.png", draw_scene(seed, size_hw)[0])
    return folder


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Path:
    """A drive along a drawn street of 360x480, for the camera: YUV4MPEG2, 4:2:0."""
    file = tmp_path_factory.mktemp("camera") / "street.y4m"
    with file.open("wb") as written:
        written.write(b"YUV4MPEG2 W480 H360 F30:1 Ip A1:1 C420jpeg\n")
        for frame in drive():
            yuv = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420))
            written.write(b"FRAME\n" + yuv.tobytes())
    return file


def drive() -> Iterator[np.ndarray]:
    """Frames (360, 480, 3) uint8 RGB, each further to the right in a larger one."""
    wide = draw_scene(3, (400, 540))[0]
    for at in range(0, 40, 2):
        yield np.ascontiguousarray(wide[at : at + 360, at : at + 480])


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """The same drive as a WebM file."""
    file = tmp_path_factory.mktemp("video") / "drive.webm"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"VP80"), 30, (480, 360))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no WebM files")
    for frame in drive():
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return file


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory, street) -> Iterator[Browser]:
    """One Chromium for all tests of a process, whose camera shows the street and is allowed."""
    options = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={street}",
    )
    with Browser(tmp_path_factory.mktemp("browser"), *options) as browser:
        yield browser


@pytest.fixture
def browser(shared_browser) -> Browser:
    """The browser, with nothing open and nothing kept."""
    shared_browser.begin()
    return shared_browser


@pytest.fixture
def opened(browser, page) -> Browser:
    """The browser with the page open, as from a double click, and ready."""
    browser.open((page / "index.html").as_uri())
    browser.wait_ready()
    return browser
