"""The page's own arithmetic, in a browser, beside OpenCV's resizing and the package's decoding."""

from __future__ import annotations

import base64
from importlib.resources import files

import numpy as np
import pytest

from briskseg.core.images import resize_image
from briskseg.runtime.decode.enlargement import Enlargement

RUN = """(() => {{
{source}
const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));
const found = {call};
let text = "";
for (const value of found) text += String.fromCharCode(value);
return btoa(text);
}})()"""


def compute(browser, file: str, data: np.ndarray, call: str) -> np.ndarray:
    """What an expression of `bytes`, the data's, gives after a script of the page: bytes."""
    source = (files("briskseg.export") / "web" / file).read_text("utf-8")
    text = base64.b64encode(data.tobytes()).decode()
    found = browser.run(RUN.format(source=source, data=text, call=call))
    return np.frombuffer(base64.b64decode(found), np.uint8)


# by area, by blocks of whole pixels, of 2x2, bilinearly, by both, from one pixel
RESIZED = [
    ((97, 131), (41, 60)),
    ((99, 120), (33, 30)),
    ((36, 50), (18, 25)),
    ((40, 40), (40, 20)),
    ((24, 32), (36, 48)),
    ((50, 20), (30, 41)),
    ((1, 1), (5, 7)),
]


@pytest.mark.parametrize(("stored", "wanted"), RESIZED)
def test_pictures_are_resized_as_opencv_does(browser, stored, wanted):
    image = np.random.default_rng(3).integers(0, 256, (*stored, 3), dtype=np.uint8)
    rgba = np.dstack([image, np.full(stored, 255, np.uint8)])
    (height, width), size = stored, ", ".join(map(str, wanted))
    call = f"resized({{data: bytes, width: {width}, height: {height}}}, {size})"
    found = compute(browser, "resize.js", rgba, call).reshape(*wanted, 3)
    assert np.array_equal(found, resize_image(image, wanted))


# logits, factor, align corners, the size that the network saw, the picture's
DECODED = [
    ((11, 12, 16), 8, False, (96, 128), (96, 128)),
    ((11, 12, 16), 8, False, (96, 128), (131, 97)),
    ((5, 6, 9), 8, False, (45, 70), (45, 70)),
    ((5, 6, 9), 8, False, (45, 70), (90, 33)),
    ((7, 20, 30), None, True, (100, 111), (100, 111)),
    ((7, 20, 30), None, False, (100, 111), (77, 150)),
    ((4, 12, 13), 1, False, (12, 13), (12, 13)),
    ((3, 1, 1), None, True, (5, 5), (9, 9)),
    ((2, 2, 3), 8, True, (16, 24), (100, 150)),
]


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(("shape", "factor", "corners", "seen", "wanted"), DECODED)
def test_logits_are_decoded_as_the_package_does(
    browser, shape, factor, corners, seen, wanted, rounded
):
    """Also where logits are equal, or -inf."""
    logits = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    logits = np.repeat(logits, 3, axis=1)[:, : shape[1]]
    if rounded:
        logits = np.round(logits)
        logits[0, :, : shape[2] // 2] = -np.inf if factor is None else -1e9
    call = (
        f"labelsOf({{data: new Float32Array(bytes.buffer), classes: {shape[0]}, "
        f"height: {shape[1]}, width: {shape[2]}}}, {{factor: {factor or 'null'}, "
        f"alignCorners: {str(corners).lower()}}}, {[*seen]}, {wanted[0]}, {wanted[1]})"
    )
    found = compute(browser, "decode.js", logits, call).reshape(wanted)
    assert np.array_equal(found, Enlargement(factor, corners).labels(logits, seen, wanted))


def test_logits_of_a_damaged_network_are_refused(browser):
    logits = np.full((3, 4, 5), np.nan, np.float32)
    call = (
        "(() => { try { labelsOf({data: new Float32Array(bytes.buffer), classes: 3, height: 4, "
        "width: 5}, {factor: 8, alignCorners: false}, [32, 40], 32, 40); } "
        "catch (error) { return new TextEncoder().encode(error.message); } })()"
    )
    said = bytes(compute(browser, "decode.js", logits, call)).decode()
    assert said.startswith("The network's output holds NaN or infinity")
