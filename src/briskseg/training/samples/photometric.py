"""How a sample looks: light, color, cast shadows and noise, each drawn as numbers and then applied.

Brightness, contrast, saturation and hue compose into one 3x4 color matrix. Photometric distortion
is a published chain of its own, in HSV.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from briskseg.core.types import Floats, Image
from briskseg.recipe import Factor

# Standard normal quantiles of 256 equally likely levels, scaled to unit variance: random bytes look
# their noise up here, which is several times cheaper than drawing normal numbers pixel by pixel.
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_QUANTILES /= _QUANTILES.std()

# Rows turn RGB into YIQ (luma, and the two color axes that hue rotates); ITU-R BT.601 luma.
_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)
LUMA = _RGB_TO_YIQ[0]


class Color(NamedTuple):
    """One sample's light and color; the defaults change nothing."""

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # radians


def draw_factor(rng: np.random.Generator, spread: Factor | tuple[float, float]) -> float:
    """A factor from a range, evenly, or from a clipped normal distribution."""
    if isinstance(spread, Factor):
        return float(np.clip(rng.normal(1.0, spread.sd), spread.min, spread.max))
    return float(rng.uniform(*spread))


def recolor(image: Image, color: Color) -> Image:
    """Brightness, contrast about the mean gray, saturation and hue as one color matrix."""
    v = color
    if v.brightness == v.contrast == v.saturation == 1 and v.hue == 0:
        return image
    offset = 0.0
    if v.contrast != 1:
        gray = v.brightness * float(np.dot(cv2.mean(image)[:3], LUMA))
        offset = (1 - v.contrast) * min(gray, 255.0)
    if v.saturation == 1 and v.hue == 0:  # the same for each channel: a table is enough
        table = np.arange(256) * (v.brightness * v.contrast) + offset
        return as_image(cv2.LUT(image, _levels(table)))
    return as_image(cv2.transform(image, np.column_stack([color_matrix(v), np.full(3, offset)])))


def color_matrix(color: Color) -> Floats:
    """(3, 3): RGB -> RGB, all but the offset by which contrast keeps the mean gray."""
    v = color
    cos, sin = np.cos(v.hue) * v.saturation, np.sin(v.hue) * v.saturation
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    colors: Floats = _YIQ_TO_RGB @ turn @ _RGB_TO_YIQ
    return colors * (v.brightness * v.contrast)


def draw_shadow(rng: np.random.Generator) -> Image:
    """Bands, a half plane or blobs, darkened to 0.3 .. 0.8 each, on a coarse square map."""
    side = 64
    light = np.full((side, side), 255, np.uint8)
    for _ in range(rng.integers(1, 4)):
        shade = np.zeros((side, side), np.uint8)
        pattern = rng.integers(3)
        if pattern == 2:  # the dappled shade of a tree
            for x, y, a, b in rng.uniform((0, 0, 3, 3), (side, side, 14, 9), (12, 4)):
                cv2.ellipse(shade, ((x, y), (a, b), float(rng.uniform(0, 180))), 255, -1)
        else:  # a building's edge (half plane) or a pole's (band)
            angle, middle = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2) * side
            along = 2 * side * np.array([np.cos(angle), np.sin(angle)])
            across = np.array([-np.sin(angle), np.cos(angle)])
            across *= 2 * side if pattern == 0 else rng.uniform(3, 16)
            corners = [
                middle - along,
                middle + along,
                middle + along + across,
                middle - along + across,
            ]
            cv2.fillConvexPoly(shade, np.round(corners).astype(np.int32), 255)
        strength = rng.uniform(0.2, 0.7)
        dimmed = cv2.addWeighted(shade, -strength, shade, 0, 255)
        light = as_image(cv2.multiply(light, dimmed, scale=1 / 255))
    return as_image(cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.5, 2))))


def cast_shadow(image: Image, shadow: Image) -> Image:
    """Darken an image by a coarse map of the light, 255 is full light."""
    height, width = image.shape[:2]
    light = cv2.resize(shadow, (width, height), interpolation=cv2.INTER_LINEAR)
    return as_image(cv2.multiply(image, cv2.merge([light, light, light]), scale=1 / 255))


def add_noise(image: Image, deviation: float, seed: int) -> Image:
    """Normal noise of this standard deviation, in gray levels, on every value."""
    noise = cv2.LUT(noise_levels(seed, image.shape), noise_table(deviation))
    return as_image(cv2.add(image, noise, dtype=cv2.CV_8U))


def noise_levels(seed: int, shape: tuple[int, ...]) -> Image:
    """Random bytes, whose noise is looked up in `noise_table`."""
    drawn = np.random.default_rng(seed).bytes(int(np.prod(shape)))
    return np.frombuffer(drawn, np.uint8).reshape(shape)


def noise_table(deviation: float) -> NDArray[np.int16]:
    """(256,): the noise, in gray levels, of each byte."""
    return np.clip(np.round(_QUANTILES * deviation), -128, 127).astype(np.int16)


class Distortion(NamedTuple):
    """One sample's photometric distortion; what is off is 0, or a factor of 1.

    Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016, in MMSegmentation's form: each of
    four changes with the same probability, the contrast before or after the colors.
    """

    brightness: float  # gray levels, added: -32 .. 32
    contrast: float  # factor, about black: 0.5 .. 1.5
    contrast_last: bool
    saturation: float  # factor in HSV: 0.5 .. 1.5
    hue: int  # OpenCV's half degrees: -18 .. 17


def draw_distortion(rng: np.random.Generator, probability: float) -> Distortion:
    """Draw the four changes, each taking effect with this probability."""
    brightness, contrast, saturation = rng.uniform((-32, 0.5, 0.5), (32, 1.5, 1.5))
    hue, contrast_last = rng.integers((-18, 0), (18, 2))
    on = rng.random(4) < probability
    return Distortion(
        float(brightness) if on[0] else 0.0,
        float(contrast) if on[1] else 1.0,
        bool(contrast_last),
        float(saturation) if on[2] else 1.0,
        int(hue) if on[3] else 0,
    )


def distort(image: Image, distortion: Distortion) -> Image:
    """Carry a photometric distortion out, clipping after each change as the published code does."""
    d = distortion
    levels = np.arange(256.0)
    if d.brightness or (d.contrast != 1 and not d.contrast_last):
        brightened = _levels(levels + d.brightness).astype(float)
        first = 1.0 if d.contrast_last else d.contrast
        image = as_image(cv2.LUT(image, _levels(brightened * first)))
    if d.saturation != 1 or d.hue:
        table = np.stack([(levels + d.hue) % 180, levels * d.saturation, levels], axis=-1)
        hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), _levels(table[None]))
        image = as_image(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    if d.contrast != 1 and d.contrast_last:
        image = as_image(cv2.LUT(image, _levels(levels * d.contrast)))
    return image


def _levels(values: NDArray[np.floating[Any]]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def as_image(array: Any) -> Image:
    """OpenCV's functions are typed as returning any array; these return bytes."""
    assert array.dtype == np.uint8
    return array  # type: ignore[no-any-return]
