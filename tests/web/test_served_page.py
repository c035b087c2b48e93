"""The page that `briskseg serve` gives: labels from the browser or from the server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.serving.processes import MODEL, Server, serving
from tests.web.conftest import drive
from tests.web.test_page import live, read_labels, show

import briskseg
from briskseg.core.images import read_image

pytest.importorskip("uvicorn", reason="THE SERVED PAGE IS NOT TESTED: pip install '.[serve]'")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def served(browser, server):
    browser.open(f"{server.address}/")
    browser.wait_ready()
    return browser


@pytest.fixture(scope="module")
def predictor():
    return briskseg.load(MODEL, "onnx", threads=1)


def choose(browser, place: str) -> None:
    browser.run(
        f"(() => {{ const select = document.getElementById('place'); select.value = '{place}';"
        "select.dispatchEvent(new Event('change')); })()"
    )


def asked(browser) -> list[str]:
    return [url for url in browser.requests if not url.startswith(("blob:", "data:"))]


def test_the_server_labels_once_it_is_chosen(served, server, pictures, predictor):
    picture = pictures / "wide.png"
    expected = predictor(read_image(picture))
    show(served, picture)
    assert asked(served) == [f"{server.address}/"]
    assert "with labels from this browser no picture leaves" in served.run(
        "document.querySelector('footer').textContent.toLowerCase()"
    )
    choose(served, "server")
    served.wait("document.getElementById('times').innerText.includes('server')")
    served.press("l")
    found = read_labels(served.saved("wide_labels.png"))
    assert np.array_equal(found, expected)  # the very pixels were sent, as a PNG
    assert asked(served) == [f"{server.address}/", f"{server.address}/segment?as=runs"]
    choose(served, "browser")
    served.wait("document.getElementById('times').innerText.includes('network')")
    assert len(asked(served)) == 2
    assert served.problems == []


def test_the_server_labels_a_camera(served, server, predictor):
    choose(served, "server")
    served.press("c")
    live(served)
    stages = served.run("[...document.querySelectorAll('#times th')].map((x) => x.textContent)")
    assert stages == ["read", "encode", "server", "draw", "all"]
    served.press("f")
    served.press("l")
    found = read_labels(served.saved("camera*_labels.png"))
    drives = [predictor(frame) for frame in drive()]
    assert max((found == labels).mean() for labels in drives) > 0.9
    assert served.problems == []


def test_the_browser_s_user_types_the_token_once(browser, pictures, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef")
    with serving("--token-file", file) as server:
        browser.open(server.address.replace("://", "://anyone:0123456789abcdef@"))
        browser.wait_ready()
        choose(browser, "server")
        show(browser, pictures / "own.png")
        assert "server" in browser.text("times")
        assert not browser.text("problem")


def test_a_server_s_fault_is_said(browser):
    with serving() as server:
        browser.open(f"{server.address}/")
        browser.wait_ready()
        server.terminate()
        server.ended()
        choose(browser, "server")
        browser.press("c")
        browser.until(lambda: browser.text("problem"), "a complaint")
        assert "cannot be reached" in browser.text("problem")


def test_a_network_without_onnx_file_is_labeled_by_the_server_alone(browser, pictures):
    with serving("--window", "360x480") as server:
        browser.open(f"{server.address}/")
        browser.wait_status("the server labels")
        show(browser, pictures / "own.png")
        assert asked(browser)[1:] == [f"{server.address}/segment?as=runs"]
        assert browser.run("document.getElementById('place').options.length") == 1
        assert browser.problems == []
