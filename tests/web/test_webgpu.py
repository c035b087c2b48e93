"""briskseg export --to webgpu: on the GPU where the browser has one, else as the usual page."""

from __future__ import annotations

import numpy as np
import pytest
from tests.web.browser import Browser
from tests.web.servers import serve
from tests.web.test_page import assert_quiet, read_labels, show

import briskseg
from briskseg.core.images import read_image

SOFTWARE_GPU = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--ignore-gpu-blocklist",
)


@pytest.fixture(scope="module")
def gpu_page(weights_file, tmp_path_factory):
    """The page of a network that takes pictures as they are."""
    pytest.importorskip("onnxscript")
    from briskseg.export import export

    return export(weights_file, "webgpu", tmp_path_factory.mktemp("gpu") / "page").out


def assert_labels(browser, weights_file, pictures):
    picture = pictures / "smaller.png"
    show(browser, picture)
    browser.press("l")
    found = read_labels(browser.saved("smaller_labels.png"))
    expected = briskseg.load(weights_file, "torch")(read_image(picture))
    assert np.count_nonzero(found != expected) <= 1e-3 * expected.size


def test_a_gpu_labels_as_predict_does(gpu_page, weights_file, pictures, tmp_path):
    """Where the page may have threads, of which WebGPU takes one."""
    with (
        Browser(tmp_path / "browser", *SOFTWARE_GPU) as browser,
        serve(gpu_page, isolated=True) as address,
    ):
        browser.open(address)
        said = browser.wait_ready()
        if not browser.run("navigator.gpu.requestAdapter().then((gpu) => gpu !== null)"):
            pytest.skip("WEBGPU IS NOT TESTED: this Chromium has no software renderer")
        assert said.endswith("; WebGPU")
        assert_labels(browser, weights_file, pictures)
        assert_quiet(browser, address)


def test_without_a_gpu_the_page_is_the_usual_one(browser, gpu_page, weights_file, pictures):
    browser.open((gpu_page / "index.html").as_uri())
    assert browser.wait_ready().endswith("; one thread")
    assert_labels(browser, weights_file, pictures)


def test_so_it_is_where_the_gpu_gives_no_device(browser, gpu_page, weights_file, pictures):
    lost = (
        "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({"
        " requestDevice: async () => { throw new Error('lost'); } }) } });"
    )
    browser.before_page(
        "const Real = Blob; Blob = function (parts, options) {"
        f" const isWorker = String(parts[0]).includes('self.onmessage');"
        f' return new Real(isWorker ? ["{lost}", ...parts] : parts, options); }};'
    )
    browser.open((gpu_page / "index.html").as_uri())
    assert browser.wait_ready().endswith("; one thread")
    assert_labels(browser, weights_file, pictures)
