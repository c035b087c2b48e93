"""The sky with its clouds, and the skyline where the street ends."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.data.streets.scene import (
    BUILDING,
    FAR,
    SKY,
    TREE,
    UP,
    Canvas,
    Color,
    any_color,
    noise_patch,
    scaled,
)


@dataclass(frozen=True)
class Sky:
    """The sky's colors and clouds; `cover` is the share that clouds hide."""

    zenith: Color
    horizon: Color
    cloud: Color
    cover: float


def paint_sky(canvas: Canvas, sky: Sky, rng: np.random.Generator) -> None:
    """Fill everything down to the horizon: a gradient with clouds that flatten with distance."""
    height, width = canvas.camera.size_hw
    rows = int(np.clip(canvas.camera.horizon + 2, 1, height))
    small = (max(2, rows // 3), max(2, width // 3))
    rise = np.linspace(1, 0, small[0], dtype=np.float32)[:, None, None]
    low, high = np.array(sky.horizon, np.float32), np.array(sky.zenith, np.float32)
    field = low + (high - low) * rise**0.7 * np.ones((1, small[1], 1), np.float32)
    clouds = noise_patch(rng, (small[0] * 2, small[1]), small[1] / rng.uniform(90, 220))
    clouds = cv2.resize(clouds, small[::-1], interpolation=cv2.INTER_AREA)
    clouds = cv2.GaussianBlur(clouds, (0, 0), small[1] / 70)
    threshold = np.float32(1.6 - 3.2 * sky.cover)
    alpha = np.clip((clouds - threshold) * 0.55, 0, 0.95)[..., None]
    shade = 1 - 0.12 * np.clip(clouds - threshold - 0.6, 0, 2)[..., None]
    field += alpha * (np.array(sky.cloud, np.float32) * shade - field)
    field_hwc = np.clip(field, 0, 255).astype(np.uint8)
    canvas.image_hwc[:rows] = cv2.resize(field_hwc, (width, rows), interpolation=cv2.INTER_LINEAR)
    canvas.labels_hw[:rows] = SKY


def paint_skyline(canvas: Canvas, green: float, rng: np.random.Generator) -> None:
    """The far end of the street: hazy roofs and tree tops across the whole width."""
    camera, light = canvas.camera, canvas.light
    scale = camera.scale(FAR)
    base = camera.horizon + scale * camera.height
    leaf = light.shade((70, 95, 45), UP, FAR * 0.7)
    u = -6.0 * scale
    while u < camera.size_hw[1]:
        wide = rng.uniform(8, 26) * scale
        if rng.random() < green:
            for _ in range(4):
                middle = (u + rng.uniform(0, 1.2) * wide, base - scale * 3)
                radii = (scale * rng.uniform(3, 6), scale * rng.uniform(3, 8))
                canvas.disk(middle, radii, scaled(leaf, rng.uniform(0.85, 1.1)), TREE)
        else:
            tall = rng.uniform(7, 18) * scale
            wall = light.shade(any_color(rng, 0.3, 90), (0, 0.3, -0.9), FAR * 0.7)
            outline = [(u, base), (u, base - tall), (u + wide, base - tall), (u + wide, base)]
            if rng.random() < 0.5:
                outline.insert(2, (u + wide / 2, base - tall - 3 * scale))
            canvas.fill(outline, wall, BUILDING)
        u += wide * rng.uniform(0.7, 1.05)
