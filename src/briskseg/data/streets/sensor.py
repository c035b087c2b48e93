"""What the camera adds: our own bonnet below it, blur, exposure, color cast and noise."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from briskseg.core.labels import IGNORED
from briskseg.core.types import Array
from briskseg.data.streets.scene import Canvas, any_color, scaled

_NOISE_LENGTH = 1_000_003
_NOISE_DEVIATION = 32.0


def paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """The nose of our own car along the lower edge; ignored."""
    height, width = canvas.camera.size_hw
    rise = rng.uniform(0.05, 0.12) * height
    slant = rng.uniform(-0.5, 0.5)
    share = np.linspace(-0.05, 1.05, 24)
    crest = (1 - np.abs(2 * share - 1 - 0.3 * slant) ** 2.5) * rise
    edge = np.stack([share * width, height - crest], 1)
    corners = np.array([[1.05 * width, height + 5.0], [-0.05 * width, height + 5.0]])
    color = canvas.light.shade(any_color(rng, 0.6, 20), (0, 0.7, -0.5), 0)
    canvas.fill(np.concatenate([edge, corners]), scaled(color, 0.8), IGNORED)
    edge[:, 1] += 0.25 * rise
    canvas.fill(np.concatenate([edge, corners]), color)


def expose(image_hwc: Array, dusk: bool, rng: np.random.Generator) -> Array:
    """The picture as the sensor delivers it, (H, W, 3) uint8."""
    if rng.random() < 0.5:
        image_hwc = cv2.GaussianBlur(image_hwc, (3, 3), rng.uniform(0.35, 0.9))
    gain = rng.uniform(0.65, 1.1) if dusk else rng.uniform(0.8, 1.25)
    cast = gain * rng.uniform(0.93, 1.07, 3)
    gamma, lift = rng.uniform(0.85, 1.2), rng.uniform(0, 0.05)
    level = np.linspace(0, 1, 256)[:, None]
    curve = lift + (1 - lift) * (level * cast) ** gamma
    curve = np.where(curve > 0.8, 0.8 + 0.2 * np.tanh((curve - 0.8) / 0.2), curve)
    table = np.clip(255 * curve, 0, 255).astype(np.uint8).reshape(256, 1, 3)
    image_hwc = cv2.LUT(image_hwc, table)
    start, size = int(rng.integers(_NOISE_LENGTH)), image_hwc.size
    stream = sensor_noise()[start : start + size]
    if len(stream) < size:
        stream = np.resize(sensor_noise(), start + size)[start:]
    share = (rng.uniform(1.5, 7) if dusk else rng.uniform(0.8, 4)) / _NOISE_DEVIATION
    noise = stream.reshape(image_hwc.shape)
    return cv2.addWeighted(image_hwc, 1.0, noise, share, -128 * share)


@lru_cache(maxsize=1)
def sensor_noise() -> Array:
    """A long stream of normal noise around 128, uint8; every picture starts at its own place."""
    noise = np.random.default_rng(7).standard_normal(2 * _NOISE_LENGTH, np.float32)
    stream: Array = np.clip(np.rint(128 + _NOISE_DEVIATION * noise), 0, 255).astype(np.uint8)
    return stream
