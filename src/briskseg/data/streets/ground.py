"""What lies flat or far away: sky, skyline, road, pavements, markings and the shadows on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.data.streets.scene import (
    BUILDING,
    FAR,
    PAVEMENT,
    ROAD,
    SKY,
    TREE,
    Array,
    Camera,
    Canvas,
    Color,
    Thing,
    any_color,
    noise_patch,
    noise_tile,
    scaled,
)

UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Street:
    """Where the street's parts lie, in meters across from the camera; sides are -1 and +1."""

    edges: tuple[float, float]  # X of the left and the right kerb
    pavements: tuple[float, float]  # widths
    divider: float  # X of the line between the directions
    lane: float  # lane width
    dashed: bool
    yellow: bool  # lines along the kerbs
    zebra: float | None  # Z of a crossing
    openings: tuple[tuple[int, float, float], ...]  # side streets: side, from Z, to Z
    asphalt: Color
    paving: Color
    grass: tuple[bool, bool]  # what lies beyond each pavement
    slab: float  # m between paving joints; 0: asphalt

    def kerb(self, side: int) -> float:
        return self.edges[0] if side < 0 else self.edges[1]

    def front(self, side: int) -> float:
        """X of the building line on a side."""
        return self.kerb(side) + side * (self.pavements[0] if side < 0 else self.pavements[1])

    def is_open(self, side: int, z: float, margin: float = 0.0) -> bool:
        return any(s == side and a - margin < z < b + margin for s, a, b in self.openings)


@dataclass(frozen=True)
class Heaven:
    """The sky's colors and clouds; `cover` is the share that clouds hide."""

    zenith: Color
    horizon: Color
    cloud: Color
    cover: float


def paint_sky(canvas: Canvas, heaven: Heaven, rng: np.random.Generator) -> None:
    """Fill everything above the horizon: a gradient with clouds that flatten with distance."""
    height, width = canvas.camera.size_hw
    rows = int(np.clip(canvas.camera.horizon + 2, 1, height))
    small = (max(2, rows // 4), max(2, width // 4))
    rise = np.linspace(1, 0, small[0], dtype=np.float32)[:, None, None]
    low, high = np.array(heaven.horizon, np.float32), np.array(heaven.zenith, np.float32)
    sky = low + (high - low) * rise**0.7 * np.ones((1, small[1], 1), np.float32)
    zoom = small[1] / rng.uniform(90, 220)
    clouds = noise_patch(rng, (small[0] * 2, small[1]), zoom)
    clouds = cv2.resize(clouds, small[::-1], interpolation=cv2.INTER_AREA)
    clouds = cv2.GaussianBlur(clouds, (0, 0), 1.0)
    threshold = 1.6 - 3.2 * heaven.cover
    alpha = np.clip((clouds - threshold) * 0.8, 0, 0.95)[..., None]
    shade = 1 - 0.12 * np.clip(clouds - threshold - 0.6, 0, 2)[..., None]
    sky += alpha * (np.array(heaven.cloud, np.float32) * shade - sky)
    sky_hwc = np.clip(sky, 0, 255).astype(np.uint8)
    canvas.image_hwc[:rows] = cv2.resize(sky_hwc, (width, rows), interpolation=cv2.INTER_LINEAR)
    canvas.labels_hw[:rows] = SKY


def paint_skyline(canvas: Canvas, rng: np.random.Generator, green: float) -> None:
    """The far end of the street: hazy roofs and tree tops across the whole width."""
    camera, light = canvas.camera, canvas.light
    scale = camera.pixels_per_meter(FAR)
    base = camera.horizon + scale * camera.height
    u = -20.0 * canvas.pixel
    while u < camera.size_hw[1]:
        wide = rng.uniform(8, 26) * scale
        if rng.random() < green:
            color = light.shade((70, 95, 45), UP, FAR * 0.7)
            for _ in range(4):
                middle = np.array([u + rng.uniform(0, 1.2) * wide, base - scale * 3])
                radii = (scale * rng.uniform(3, 6), scale * rng.uniform(3, 8))
                canvas.disk(middle, radii, scaled(color, rng.uniform(0.85, 1.1)), TREE)
        else:
            tall = rng.uniform(7, 18) * scale
            wall = light.shade(any_color(rng, 0.3, 90), (0, 0.3, -0.9), FAR * 0.7)
            box = np.array([[0, 0], [0, -tall], [wide, -tall], [wide, 0]])
            if rng.random() < 0.5:
                box = np.insert(box, 2, [wide / 2, -tall - 3 * scale], 0)
            canvas.fill(box + np.array([u, base]), wall, BUILDING)
        u += wide * rng.uniform(0.7, 1.05)


def strip(camera: Camera, x: tuple[float, float], z: tuple[float, float] = (0.0, FAR)) -> Array:
    """The pixels (n, 2) of a band of ground between two X of the street, from Z to Z."""
    nearest = 0.9 * camera.focal * camera.height / max(camera.size_hw[0] - camera.horizon, 1)
    start = max(z[0], nearest)
    stop = max(z[1], start + 1e-3)
    steps = 2 if camera.bend == 0 else 3 + int(6 * np.log2(stop / start))
    ahead = np.geomspace(start, stop, steps)
    left = np.stack([np.full(steps, x[0]), np.zeros(steps), ahead], 1)
    right = np.stack([np.full(steps, x[1]), np.zeros(steps), ahead], 1)
    return camera.along(np.concatenate([left, right[::-1]]))


def paint_ground(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Lay the ground without its texture: land, pavements with kerbs, road, markings."""
    camera, light = canvas.camera, canvas.light
    left, right = street.edges
    paving = light.shade(street.paving, UP, 0)
    asphalt = light.shade(street.asphalt, UP, 0)
    for side, (x, grass) in enumerate(zip((-400.0, 400.0), street.grass, strict=True)):
        land = light.shade((84, 104, 48), UP, 0) if grass else scaled(paving, 0.94)
        middle = 0.5 * (left + right)
        label = TREE if grass else PAVEMENT
        canvas.fill(strip(camera, (x, middle) if side == 0 else (middle, x)), land, label)
    outer = (left - street.pavements[0], right + street.pavements[1])
    canvas.fill(strip(camera, outer), paving, PAVEMENT)
    joints(canvas, street, paving)
    kerb = scaled(paving, rng.uniform(1.05, 1.25))
    canvas.fill(strip(camera, (left - 0.2, right + 0.2)), kerb, PAVEMENT)
    canvas.fill(strip(camera, street.edges), asphalt, ROAD)
    for side, z0, z1 in street.openings:
        band = (street.kerb(side) - side * 0.1, street.kerb(side) + side * 60)
        canvas.fill(strip(camera, band, (z0 + 1, z1 - 1)), asphalt, ROAD)
    patches(canvas, street, asphalt, rng)
    markings(canvas, street, rng)


def joints(canvas: Canvas, street: Street, paving: Color) -> None:
    """The lines between paving slabs, as far as one can tell them apart."""
    if not street.slab:
        return
    color, camera = scaled(paving, 0.82), canvas.camera
    for side in (-1, 1):
        x0, x1 = street.kerb(side), street.front(side)
        for z in np.arange(3, 22, street.slab):
            ends = camera.along([[x0, 0, z], [x1, 0, z]])
            canvas.fill(np.concatenate([ends, ends[::-1] + [0, 0.3]]), color)
        for x in np.arange(min(x0, x1), max(x0, x1), street.slab):
            canvas.fill(strip(camera, (x, x + 0.02), (3, 22)), color)


def patches(canvas: Canvas, street: Street, asphalt: Color, rng: np.random.Generator) -> None:
    """Repairs, worn wheel tracks and manholes: darker or paler asphalt, still road."""
    left, right = street.edges
    for _ in range(rng.integers(0, 5)):
        x, z = rng.uniform(left, right - 1), rng.uniform(4, 40)
        wide, long = rng.uniform(0.5, 2), rng.uniform(1, 12)
        area = strip(canvas.camera, (x, min(x + wide, right)), (z, z + long))
        canvas.fill(area, scaled(asphalt, rng.uniform(0.78, 1.15)))
    if rng.random() < 0.5:
        for x in (-0.95, 0.65):
            canvas.fill(strip(canvas.camera, (x, x + 0.3)), scaled(asphalt, 0.93))
    for _ in range(rng.integers(0, 3)):
        x, z = rng.uniform(left + 0.4, right - 1), rng.uniform(4, 20)
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        ring = np.stack([x + 0.3 * np.cos(turn), 0 * turn, z + 0.3 * np.sin(turn)], 1)
        canvas.fill(canvas.camera.along(ring), scaled(asphalt, 0.6))


def markings(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Paint on the road: the divider, kerb lines, a zebra crossing with its stop lines."""
    camera, light = canvas.camera, canvas.light
    wear = rng.uniform(0.6, 1.0)
    base = np.array(street.asphalt)
    white = light.shade(tuple(base + (225 - base) * wear), UP, 0)
    yellow = light.shade(tuple(base + (np.array([225, 180, 50]) - base) * wear), UP, 0)
    offset = rng.uniform(0, 6)
    x = street.divider
    if street.dashed:
        dash, gap = (3.0, 6.0) if rng.random() < 0.5 else (2.0, 4.0)
        for z in np.arange(1 + offset, 90, dash + gap):
            canvas.fill(strip(camera, (x - 0.06, x + 0.06), (z, z + dash)), white)
    else:
        for d in (-0.12, 0.12):
            canvas.fill(strip(camera, (x + d - 0.05, x + d + 0.05)), white)
    if street.yellow:
        for side in (-1, 1):
            for d in (0.25, 0.45):
                edge = street.kerb(side) - side * d
                canvas.fill(strip(camera, (edge, edge + side * 0.09)), yellow)
    if street.zebra is not None:
        for x in np.arange(street.edges[0] + 0.3, street.edges[1] - 0.5, 1.1):
            canvas.fill(strip(camera, (x, x + 0.55), (street.zebra, street.zebra + 3)), white)
        for z in (street.zebra - 1.6, street.zebra + 4.4):
            canvas.fill(strip(camera, street.edges, (z, z + 0.25)), white)


def texture_ground(
    canvas: Canvas, things: Sequence[Thing], light_share: float, rng: np.random.Generator
) -> None:
    """Grain, stains, shadows and haze over everything below the horizon, in one pass."""
    camera = canvas.camera
    height, width = camera.size_hw
    top = int(np.clip(camera.horizon + 1.5 * canvas.pixel, 0, height - 1))
    v = np.arange(top, height, dtype=np.float32)
    z = camera.focal * camera.height / np.maximum(v - np.float32(camera.horizon), 0.5)
    u = np.arange(width, dtype=np.float32) - np.float32(camera.center)
    x = u[None] * (z / camera.focal)[:, None] - camera.shift(z)[:, None]
    zz = np.broadcast_to(z[:, None], x.shape)
    fine = ground_noise(x, zz, 45.0, rng) - 128
    broad = ground_noise(x, zz, 1.3, rng) - 128
    reach = (rng.uniform(3, 9) / np.maximum(z, 3))[:, None].clip(0, 1)
    factor = 1 + fine * (rng.uniform(0.001, 0.0028) * reach) + broad * rng.uniform(0.0006, 0.0016)
    factor *= 1 - shadow_mask(canvas, things, top, light_share) / 255
    veil = 1 - np.exp(-z / canvas.light.haze_m)[:, None]
    weight = np.clip(factor * (1 - veil) * 128, 0, 255).astype(np.uint8)
    below = canvas.image_hwc[top:]
    cv2.multiply(below, cv2.merge([weight] * 3), below, 1 / 128)
    air = (veil[..., None] * np.array(canvas.light.haze)).clip(0, 255).astype(np.uint8)
    cv2.add(below, np.repeat(air, width, 1), below)


def ground_noise(x: Array, z: Array, texels: float, rng: np.random.Generator) -> Array:
    """Noise lying on the ground, `texels` a meter, around 128 with deviation 42, float32."""
    shift = rng.uniform(0, 512, 2)
    return cv2.remap(
        noise_tile() * 42 + 128,
        (x * texels + shift[0]).astype(np.float32),
        (z * texels + shift[1]).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def shadow_mask(canvas: Canvas, things: Sequence[Thing], top: int, light_share: float) -> Array:
    """How much (0..255) light is missing on the ground rows from `top` down."""
    height, width = canvas.camera.size_hw
    mask = np.zeros((height - top, width), np.uint8)
    if light_share > 0.05:
        for thing in things:
            for ground in thing.shadow(canvas.light):
                _fill_ground(mask, canvas.camera, ground, top, round(255 * light_share))
    soft = cv2.blur(mask, (max(1, round(1.5 * canvas.pixel)),) * 2)
    touch = np.zeros_like(mask)
    for thing in things:
        for ground in thing.footprint():
            _fill_ground(touch, canvas.camera, ground, top, 170)
    touch = cv2.blur(touch, (max(1, round(3 * canvas.pixel)), max(1, round(2 * canvas.pixel))))
    return cv2.max(soft, touch)


def _fill_ground(mask: Array, camera: Camera, ground_xz: Array, top: int, value: int) -> None:
    """Fill a ground polygon (n, 2), cut at the near plane, into mask rows that start at `top`."""
    kept = clip_near(ground_xz, 1.5)
    if len(kept) < 3:
        return
    flat = np.stack([kept[:, 0], np.zeros(len(kept)), kept[:, 1]], 1)
    points = np.round((camera.along(flat) - [0, top]) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], (value,), cv2.LINE_8, 4)


def clip_near(ground_xz: Array, near: float) -> Array:
    """The part of a ground polygon (n, 2) beyond Z = near (Sutherland and Hodgman)."""
    kept = []
    for a, b in zip(ground_xz, np.roll(ground_xz, -1, 0), strict=True):
        if a[1] >= near:
            kept.append(a)
        if (a[1] >= near) != (b[1] >= near):
            kept.append(a + (b - a) * (near - a[1]) / (b[1] - a[1]))
    return np.array(kept).reshape(-1, 2)
