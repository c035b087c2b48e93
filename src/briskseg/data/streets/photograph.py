"""The photograph of a street: what sky, sun, air and camera make of its shapes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.outlines import Rng, Thing, disk, vivid
from briskseg.data.streets.painter import FAR, Camera, Label, Light, Painter, Shape

TILE = 512  # texels a side of the noise
ROUGH = np.zeros(256, np.float32)  # by label; cars, people, signs and the sky are smooth
ROUGH[[Label.ROAD, Label.PAVEMENT, Label.BUILDING, Label.FENCE]] = 1
ROUGH[Label.TREE] = 1.6
# Direct light and light from all around, their tint, the sky at zenith and horizon, its clouds.
WEATHER = (
    (0.75, 0.42, (1.04, 1.0, 0.94), (100, 152, 222), (205, 220, 236), (246, 246, 248)),  # sunny
    (0.12, 0.78, (0.97, 1.0, 1.03), (190, 193, 196), (212, 214, 217), (220, 222, 225)),  # overcast
    (0.12, 0.5, (0.98, 0.94, 1.0), (72, 84, 128), (238, 182, 150), (120, 104, 118)),  # dusk
)


def photograph(
    camera: Camera, flat: list[Shape], standing: list[Shape], rng: Rng
) -> tuple[Array, Array]:
    """The image (H, W, 3) uint8 and labels (H, W) uint8 of what lies `flat` and what stands."""
    light, sky = _draw_light(rng)
    painter = Painter(camera, light)
    _paint_sky(painter, sky, rng)
    painter.paint(flat, hazy=False)
    _light_ground(painter, standing)
    painter.paint(standing)
    painter.image_hwc = _multiplied(painter.image_hwc, _texture(painter, rng))
    if rng.random() < 0.35:  # we see the bonnet of our own car, which nobody labels
        low = camera.height - 2 * (camera.size_hw[0] - camera.horizon) / camera.focal
        car = Thing(rng.uniform(-0.1, 0.1), 2.0)
        nose = disk(0, low, rng.uniform(1.5, 2), rng.uniform(0.08, 0.22))
        car.face(nose, vivid(rng), Label.IGNORED)
        painter.paint(car.shapes)
    return _expose(painter.image_hwc, rng), painter.labels_hw


def _draw_light(rng: Rng) -> tuple[Light, Array]:
    """The light of some weather, and the colors (3, 3) of its sky: zenith, horizon, clouds."""
    turn, rise = rng.choice((-1, 1)) * rng.uniform(0.5, 2.6), rng.uniform(0.4, 0.95)
    flat = np.sqrt(1 - rise**2)
    sun = np.array([flat * np.cos(turn), rise, flat * np.sin(turn)])
    direct, ambient, tint, *colors = WEATHER[rng.choice(len(WEATHER), p=(0.5, 0.36, 0.14))]
    sky = np.array(colors) * rng.uniform(0.85, 1.1) * rng.uniform(0.95, 1.05, (3, 3))
    return Light(sun, direct, ambient, tint, 0.95 * sky[1], rng.uniform(90, 450)), sky


def _paint_sky(painter: Painter, colors: Array, rng: Rng) -> None:
    """Fill everything down to the horizon: from zenith to horizon, with clouds."""
    camera = painter.camera
    width, rows = camera.size_hw[1], int(np.clip(camera.horizon + 2, 1, camera.size_hw[0]))
    zenith, horizon, cloud = colors.astype(np.float32)
    rise = np.linspace(1, 0, 60, dtype=np.float32)[:, None, None]
    top, left = rng.integers(TILE - 50, size=2)
    noise = _noise_tile()[top : top + 40, left : left + 50]
    clouds = cv2.resize(noise, (160, 60), interpolation=cv2.INTER_CUBIC)[..., None]
    cover = np.clip(0.45 * clouds + rng.uniform(-0.5, 0.5), 0, 0.95)
    field = horizon + (zenith - horizon) * rise**0.7
    field = field + cover * (cloud * (1 - 0.15 * cover * rise) - field)
    sky = np.clip(field, 0, 255).astype(np.uint8)
    painter.image_hwc[:rows] = cv2.resize(sky, (width, rows), interpolation=cv2.INTER_LINEAR)


def _light_ground(painter: Painter, standing: list[Shape]) -> None:
    """Lay shadows and haze on the ground, below the horizon."""
    camera, light = painter.camera, painter.light
    top = int(np.clip(camera.horizon + 1.5, 0, camera.size_hw[0] - 1))
    veil = light.veil(_distance(camera)[top:])[:, None].astype(np.float32)
    bright = np.repeat(1 - veil, camera.size_hw[1], 1)
    if light.direct > 0.3:
        shade, soft = Painter(camera, light), 1 + 2 * (camera.size_hw[0] // 300)
        casts = [s for s in standing if s.label is not None and s.corners[0, 2] < FAR / 2]
        shade.paint(casts, fall=-light.sun / light.sun[1])
        shadow = (shade.labels_hw[top:] != Label.SKY).astype(np.float32)
        shadow = cv2.blur(shadow, (soft, soft))
        bright *= 1 - shadow * np.float32(0.8 * light.direct / (light.direct + light.ambient))
    air = (veil[..., None] * np.array(light.haze)).astype(np.uint8)
    land = _multiplied(painter.image_hwc[top:], bright)
    painter.image_hwc[top:] = cv2.add(land, np.repeat(air, camera.size_hw[1], 1))


def _distance(camera: Camera) -> Array:
    """The distance (H,) in meters of the ground on each row, or of its mirror image above us."""
    rows = np.abs(np.arange(camera.size_hw[0], dtype=np.float32) - np.float32(camera.horizon))
    return np.asarray(np.float32(camera.focal * camera.height) / np.maximum(rows, 0.5))


def _texture(painter: Painter, rng: Rng) -> Array:
    """Factors (H, W) float32: grain and stains in perspective, as rough as the class is."""
    camera = painter.camera
    z = _distance(camera)[:, None]
    across = np.arange(camera.size_hw[1], dtype=np.float32) - np.float32(camera.center)
    x_hw, z_hw = across * (z / np.float32(camera.focal)), np.repeat(z, len(across), 1)
    u, v = (22 * part + rng.uniform(0, TILE) for part in (x_hw, z_hw))  # 22 texels a meter
    noise = cv2.remap(_noise_tile(), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    rough = np.minimum(9 / z, 1) * np.float32(rng.uniform(0.04, 0.11))  # blurred with distance
    return np.asarray(1 + noise * rough * ROUGH[painter.labels_hw])


def _multiplied(image_hwc: Array, factor_hw: Array) -> Array:
    weight = np.clip(128 * factor_hw, 0, 255).astype(np.uint8)
    return np.asarray(cv2.multiply(image_hwc, cv2.merge([weight] * 3), scale=1 / 128))


def _expose(image_hwc: Array, rng: Rng) -> Array:
    """The picture as the sensor delivers it: blur, exposure, color cast, noise."""
    if rng.random() < 0.5:
        image_hwc = cv2.GaussianBlur(image_hwc, (3, 3), rng.uniform(0.35, 0.9))
    level = np.linspace(0, 1, 256)[:, None] * rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
    curve = 0.02 + 0.98 * level ** rng.uniform(0.85, 1.2)
    curve = np.where(curve > 0.8, 0.8 + 0.2 * np.tanh((curve - 0.8) / 0.2), curve)
    table = (255 * curve).astype(np.uint8).reshape(256, 1, 3)
    noise = np.frombuffer(rng.bytes(image_hwc.size), np.uint8).reshape(image_hwc.shape)
    share = rng.uniform(0.01, 0.07)
    return cv2.addWeighted(cv2.LUT(image_hwc, table), 1.0, noise, share, -128 * share)


@lru_cache(maxsize=1)
def _noise_tile() -> Array:
    """Noise of octaves from 2 to 64 texels, mean 0 and deviation 1, (TILE, TILE) float32."""
    rng = np.random.default_rng(11)
    total = np.zeros((TILE, TILE), np.float32)
    for size in (8, 16, 32, 64, 128, 256):
        coarse = size**0.2 * rng.standard_normal((size, size), np.float32)
        total += cv2.resize(coarse, (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    tile: Array = total / total.std()
    return tile
