"""briskseg export --to web: what the page does in a browser, and what it asks of whom."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.web.conftest import MODEL
from tests.web.servers import serve

import briskseg
from briskseg.core.images import read_image, write_jpeg
from briskseg.core.overlay import overlay


@pytest.fixture(scope="module")
def predictor():
    return briskseg.load(MODEL, "onnx", threads=1)


def read_labels(file: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))


def show(browser, picture: Path) -> None:
    browser.choose(picture)
    browser.wait_status(f"{picture.name}, ")


def live(browser) -> None:
    """Until a camera or a video runs and its times are shown."""
    browser.wait("document.getElementById('rate').textContent != '-'")


def assert_quiet(browser, address: str = "file:") -> None:
    """Nothing was logged, and nothing requested but the page itself and what it made."""
    assert browser.problems == []
    assert browser.requests
    asked = [url for url in browser.requests if not url.startswith(("blob:", "data:"))]
    assert len(asked) == 1, asked
    assert asked[0].startswith(address)


def test_labels_are_those_of_predict(opened, pictures, predictor):
    """Of PNG files to the pixel, but for margins: a browser's rounding is not this machine's."""
    for picture in sorted(pictures.iterdir()):
        show(opened, picture)
        opened.press("l")
        found = read_labels(opened.saved(f"{picture.stem}_labels.png"))
        expected = predictor(read_image(picture))
        assert found.shape == expected.shape
        assert found.dtype == np.uint8
        assert np.count_nonzero(found != expected) <= 1e-4 * expected.size, picture.name
    assert_quiet(opened)


def test_a_photo_is_labeled_as_predict_labels_it(opened, pictures, predictor, tmp_path):
    """Two JPEG decoders differ by a level here and there, and so some borders move by a pixel."""
    photo = tmp_path / "photo.jpg"
    write_jpeg(photo, read_image(pictures / "wide.png"))
    opened.drop(photo)
    opened.wait_status("photo.jpg, 1280x720")
    opened.click("save-labels")
    found = read_labels(opened.saved("photo_labels.png"))
    expected = predictor(read_image(photo))
    assert np.count_nonzero(found != expected) <= 5e-3 * expected.size


def test_what_is_saved_is_what_the_controls_say(opened, pictures, predictor):
    picture = pictures / "own.png"
    image, labels = read_image(picture), predictor(read_image(pictures / "own.png"))
    label_set = predictor.card.labels.to_label_set()
    show(opened, picture)

    def saved() -> np.ndarray:
        for file in opened.downloads.iterdir():
            file.unlink()
        opened.press("s")
        return read_image(opened.saved("own_overlay.png")).astype(int)

    half = overlay(image, labels, label_set)
    assert np.abs(saved() - half).max() <= 2  # a canvas rounds as it likes
    for _ in range(10):
        opened.press("+")
    assert opened.text("opacity-now") == "100 %"
    assert np.array_equal(saved(), label_set.colorize(labels))
    opened.press("2")  # the second class off
    assert not opened.run("document.querySelectorAll('#legend input')[1].checked")
    expected = np.where((labels == 1)[..., None], image, label_set.colorize(labels))
    assert np.array_equal(saved(), expected)
    opened.click("none")
    assert np.array_equal(saved(), image)
    opened.click("all")
    assert np.array_equal(saved(), label_set.colorize(labels))
    opened.press("0")
    assert np.array_equal(saved(), image)
    for _ in range(20):
        opened.press("-")
    assert opened.text("opacity-now") == "0 %"


def test_the_legend_tells_each_class_s_share(opened, pictures, predictor):
    show(opened, pictures / "own.png")
    labels = predictor(read_image(pictures / "own.png"))
    rows = opened.run(
        "[...document.querySelectorAll('#legend li')].map((row) => "
        "[row.querySelector('span').textContent, row.querySelector('small').textContent])"
    )
    names = predictor.card.labels.names
    assert [row[0] for row in rows] == [*names]
    for index, (_, share) in enumerate(rows):
        assert abs(float(share.removesuffix(" %")) - 100 * (labels == index).mean()) < 0.1


def test_the_camera_runs_freezes_and_stops(opened):
    opened.press("c")
    live(opened)
    assert opened.text("status") == "camera, 480x360"
    stages = opened.run("[...document.querySelectorAll('#times th')].map((x) => x.textContent)")
    assert stages == ["read", "resize", "network", "decode", "draw", "all"]

    def view() -> str:
        return str(opened.run("document.getElementById('view').toDataURL()"))

    first = view()
    opened.until(lambda: view() != first, "another frame")
    opened.press("f")
    assert opened.run("document.getElementById('freeze').ariaPressed") == "true"
    opened.run("new Promise((done) => setTimeout(done, 2000))")  # what was begun is shown
    frozen = view()
    opened.run("new Promise((done) => setTimeout(done, 1000))")
    assert view() == frozen
    opened.press("]")
    opened.press("]")
    assert opened.text("smooth-now") == "3 frames"
    opened.press("f")
    opened.until(lambda: view() != frozen, "frames to go on")
    opened.wait("document.getElementById('times').textContent.includes('smooth')")
    opened.press("c")
    assert opened.text("status") == "Camera is off"
    assert_quiet(opened)


def test_a_video_plays(opened, video):
    opened.choose(video)
    live(opened)
    assert opened.text("status") == "drive.webm, 480x360"
    opened.press("l")
    file = opened.saved("drive_*_labels.png")
    assert read_labels(file).shape == (360, 480)
    assert_quiet(opened)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_server_adds_threads_where_it_isolates_the_page(
    browser, page, pictures, predictor, isolated
):
    with serve(page, isolated) as address:
        browser.open(address)
        said = browser.wait_ready()
        cores = browser.run("navigator.hardwareConcurrency")
        threads = min(4, cores) if isolated else 1
        assert said.endswith("; one thread" if threads == 1 else f"; {threads} threads")
        show(browser, pictures / "larger.png")
        browser.press("l")
        found = read_labels(browser.saved("larger_labels.png"))
        expected = predictor(read_image(pictures / "larger.png"))
        assert np.count_nonzero(found != expected) <= 1e-4 * expected.size
        assert_quiet(browser, address)
        browser.begin()


LACKS = {
    "WebAssembly = undefined": "This browser has no WebAssembly",
    "WebAssembly.validate = () => false": "has no SIMD",
    "DecompressionStream = undefined": "cannot unpack the page's content",
    "Worker = undefined": "has no workers",
}


@pytest.mark.parametrize("script", LACKS)
def test_what_a_browser_lacks_is_said(browser, page, script):
    browser.before_page(script)
    browser.open((page / "index.html").as_uri())
    browser.wait("!document.getElementById('problem').hidden")
    assert LACKS[script] in browser.text("problem")
    assert browser.run("document.getElementById('camera').disabled")


REFUSED = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', '%s'); }"
NO_CAMERA = {
    REFUSED % "NotAllowedError": "The camera was refused; allow it",
    REFUSED % "NotFoundError": "No camera was found",
    REFUSED % "NotReadableError": "close other programs that use it",
    "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})": "opened from a file",
}


def test_why_there_is_no_camera_is_said(opened):
    for script, said in NO_CAMERA.items():
        opened.run(f"{{ {script} }}")
        opened.click("camera")
        opened.until(lambda said=said: said in opened.text("problem"), said)
        assert not opened.run("document.getElementById('problem').hidden")
    assert opened.problems == []


def test_a_file_that_is_no_picture_is_said(opened, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("no picture")
    opened.drop(file)
    opened.wait("!document.getElementById('problem').hidden")
    assert opened.text("problem").startswith("notes.txt is no picture or video")


def test_every_control_is_reached_by_tab_and_has_a_name(opened, pictures):
    show(opened, pictures / "own.png")
    wanted = {"camera", "file", "save", "save-labels", "all", "none", "opacity", "smooth"}
    reached, outlined = set(), True
    for _ in range(40):
        opened.press("Tab")
        at = opened.run("document.activeElement.id || document.activeElement.tagName")
        reached.add(at)
        outlined &= opened.run(
            "((x) => x === document.body || getComputedStyle(x.matches('.button *') ? "
            "x.closest('.button') : x).outlineStyle !== 'none')(document.activeElement)"
        )
    assert wanted <= reached
    assert outlined
    nodes = opened.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "checkbox", "slider", "image"}
    named = [node for node in nodes if node.get("role", {}).get("value") in roles]
    assert len(named) >= len(wanted) + 11
    assert all(node["name"]["value"] for node in named)


def test_nothing_sticks_out_of_the_window(opened, pictures):
    show(opened, pictures / "wide.png")
    for width in (320, 390, 820, 1280):
        opened.resize(width, 700)
        assert opened.run("document.documentElement.scrollWidth <= innerWidth")
        right = opened.run(
            "Math.max(...[...document.querySelectorAll('button, input, canvas, span')]"
            ".map((x) => x.getBoundingClientRect().right))"
        )
        assert right <= width
