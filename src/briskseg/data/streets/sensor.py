"""What the camera adds: the bonnet below it, blur, exposure, color cast, vignette and noise."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from briskseg.data.streets.scene import IGNORED, Array, Canvas, any_color, scaled


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
    gleam = edge + np.array([0, 0.25 * rise])
    canvas.fill(np.concatenate([gleam, corners]), color)


def expose(image_hwc: Array, dusk: bool, rng: np.random.Generator) -> Array:
    """The picture as the sensor delivers it, (H, W, 3) uint8."""
    if rng.random() < 0.5:
        image_hwc = cv2.GaussianBlur(image_hwc, (3, 3), rng.uniform(0.35, 0.9))
    gain = rng.uniform(0.45, 0.85) if dusk else rng.uniform(0.72, 1.25)
    cast = gain * rng.uniform(0.93, 1.07, 3)
    gamma = rng.uniform(0.85, 1.2)
    level = np.linspace(0, 1, 256)[:, None]
    lifted = rng.uniform(0, 0.05)
    curve = lifted + (1 - lifted) * np.clip(level * cast, 0, None) ** gamma
    curve = np.where(curve > 0.8, 0.8 + 0.2 * np.tanh((curve - 0.8) / 0.2), curve)
    table = np.clip(255 * curve, 0, 255).astype(np.uint8).reshape(256, 1, 3)
    image_hwc = cv2.LUT(image_hwc, table)
    size = image_hwc.size
    start = int(rng.integers(len(sensor_noise())))
    stream = np.take(sensor_noise(), np.arange(start, start + size), mode="wrap")
    strength = rng.uniform(1.5, 7) if dusk else rng.uniform(0.8, 4)
    noise = (stream.reshape(image_hwc.shape) * np.float32(strength)).astype(np.int16)
    return np.clip(image_hwc + noise, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def sensor_noise() -> Array:
    """A long stream of normal noise, float32, that every picture starts at its own place."""
    return np.random.default_rng(7).standard_normal(1_000_003, np.float32)
