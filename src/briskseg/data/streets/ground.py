"""What lies flat: the road, its pavements and markings, their grain, and the shadows on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.scene import (
    FAR,
    PAVEMENT,
    ROAD,
    SHIFT,
    TREE,
    UP,
    Camera,
    Canvas,
    Color,
    Point,
    Shape,
    Thing,
    fixed,
    noise_tile,
    scaled,
)


@dataclass(frozen=True)
class Street:
    """Where the street's parts lie, in meters across from the camera; sides are -1 and +1."""

    edges: tuple[float, float]  # X of the left and the right kerb
    pavements: tuple[float, float]  # widths
    divider: float  # X of the line between the directions
    lane: float  # lane width
    dashed: bool
    yellow: bool  # lines along the kerbs
    band: Color | None  # of a colored lane along the kerbs
    arrow: tuple[float, float] | None  # X and Z of an arrow on the road
    zebra: float | None  # Z of a crossing
    openings: tuple[tuple[int, float, float], ...]  # side streets: side, from Z, to Z
    end: float  # Z of the houses that close the street; FAR: it goes on
    asphalt: Color
    paving: Color
    grass: tuple[bool, bool]  # what lies beyond each pavement
    slab: float  # m between paving joints; 0: asphalt

    def kerb(self, side: int) -> float:
        """X of the kerb on a side."""
        return self.edges[0] if side < 0 else self.edges[1]

    def front(self, side: int) -> float:
        """X of the building line on a side."""
        return self.kerb(side) + side * (self.pavements[0] if side < 0 else self.pavements[1])

    def is_open(self, side: int, z: float, margin: float = 0.0) -> bool:
        """Whether a side street leaves at Z on that side."""
        return any(s == side and a - margin < z < b + margin for s, a, b in self.openings)


def strip(camera: Camera, x: tuple[float, float], z: tuple[float, float] = (0.0, FAR)) -> Shape:
    """The outline in pixels of a band of ground between two X of the street, from Z to Z."""
    nearest = 0.9 * camera.focal * camera.height / max(camera.size_hw[0] - camera.horizon, 1)
    start = max(z[0], nearest)
    stop = max(z[1], start + 1e-3)
    at = camera.at
    if camera.bend == 0 or stop < 1.3 * start:
        return [at(x[0], 0, start), at(x[0], 0, stop), at(x[1], 0, stop), at(x[1], 0, start)]
    ahead = np.geomspace(start, stop, 3 + int(5 * np.log2(stop / start)))
    left, right = camera.along(x[0], 0.0, ahead), camera.along(x[1], 0.0, ahead)
    return np.concatenate([left, right[::-1]])


def paint_ground(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Lay the ground without its texture: land, pavements with kerbs, road, markings."""
    camera, light = canvas.camera, canvas.light
    left, right = street.edges
    paving = light.shade(street.paving, UP, 0)
    asphalt = light.shade(street.asphalt, UP, 0)
    middle = 0.5 * (left + right)
    for span, grass in zip(((-400.0, middle), (middle, 400.0)), street.grass, strict=True):
        land = light.shade((84, 104, 48), UP, 0) if grass else scaled(paving, 0.94)
        canvas.fill(strip(camera, span), land, TREE if grass else PAVEMENT)
    outer = (left - street.pavements[0], right + street.pavements[1])
    canvas.fill(strip(camera, outer), paving, PAVEMENT)
    _joints(canvas, street, paving)
    kerb = scaled(paving, rng.uniform(1.05, 1.25))
    reach = (0.0, street.end - 3 if street.end < FAR else FAR)
    canvas.fill(strip(camera, (left - 0.2, right + 0.2), reach), kerb, PAVEMENT)
    canvas.fill(strip(camera, (left - 0.04, right + 0.04), reach), scaled(asphalt, 0.6), ROAD)
    canvas.fill(strip(camera, street.edges, reach), asphalt, ROAD)
    for side, z0, z1 in street.openings:
        band = (street.kerb(side) - side * 0.1, street.kerb(side) + side * 60)
        canvas.fill(strip(camera, band, (z0 + 1, z1 - 1)), asphalt, ROAD)
    _patches(canvas, street, asphalt, rng)
    if street.band is not None:
        for side in (-1, 1):
            lane = (street.kerb(side) - side * 1.4, street.kerb(side))
            canvas.fill(strip(camera, lane, reach), light.shade(street.band, UP, 0))
    _markings(canvas, street, rng)


def _joints(canvas: Canvas, street: Street, paving: Color) -> None:
    """The lines between paving slabs, as far as one can tell them apart."""
    if not street.slab:
        return
    camera, color = canvas.camera, scaled(paving, 0.8)
    for side in (-1, 1):
        x0, x1 = street.kerb(side), street.front(side)
        z = np.arange(3, 15, street.slab)
        corners = ((x0, 0.0), (x1, 0.0), (x1, 0.04), (x0, 0.04))
        ends = [camera.along(x, 0.0, z + depth) for x, depth in corners]
        canvas.fill_all(np.stack(ends, 1), color)
        for x in np.arange(min(x0, x1), max(x0, x1), street.slab).tolist():
            canvas.fill(strip(camera, (x, x + 0.03), (3, 15)), color)


def _patches(canvas: Canvas, street: Street, asphalt: Color, rng: np.random.Generator) -> None:
    """Repairs, worn wheel tracks and manholes: darker or paler asphalt, still road."""
    left, right = street.edges
    camera = canvas.camera
    for _ in range(rng.integers(0, 5)):
        x, z = rng.uniform(left, right - 1), rng.uniform(4, 40)
        wide, long = rng.uniform(0.5, 2), rng.uniform(1, 12)
        area = strip(camera, (x, min(x + wide, right)), (z, z + long))
        canvas.fill(area, scaled(asphalt, rng.uniform(0.82, 1.12)))
    if rng.random() < 0.5:
        for x in (-0.95, 0.65):
            canvas.fill(strip(camera, (x, x + 0.3)), scaled(asphalt, 0.94))
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for _ in range(rng.integers(0, 3)):
        x, z = rng.uniform(left + 0.4, right - 1), rng.uniform(4, 20)
        ring = camera.along(x + 0.3 * np.cos(turn), 0.0, z + 0.3 * np.sin(turn))
        canvas.fill(ring, scaled(asphalt, 0.6))


def _markings(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Paint on the road: the divider, kerb lines, a zebra crossing with its stop lines."""
    camera, light = canvas.camera, canvas.light
    wear = rng.uniform(0.6, 1.0)

    def worn(r: float, g: float, b: float) -> Color:
        a, b0, c = street.asphalt
        return light.shade((a + (r - a) * wear, b0 + (g - b0) * wear, c + (b - c) * wear), UP, 0)

    white, yellow = worn(225, 225, 222), worn(222, 180, 60)
    offset = rng.uniform(0, 6)
    x = street.divider
    if street.dashed:
        dash, gap = (3.0, 6.0) if rng.random() < 0.5 else (2.0, 4.0)
        for z in np.arange(1 + offset, 90, dash + gap).tolist():
            canvas.fill(strip(camera, (x - 0.06, x + 0.06), (z, z + dash)), white)
    else:
        for d in (-0.12, 0.12):
            canvas.fill(strip(camera, (x + d - 0.05, x + d + 0.05)), white)
    if street.arrow is not None:
        x, z = street.arrow
        shaft, tip = strip(camera, (x - 0.1, x + 0.1), (z, z + 2.4)), z + 4.2
        canvas.fill(shaft, white)
        ends = ((x - 0.45, z + 2.4), (x, tip), (x + 0.45, z + 2.4))
        canvas.fill([camera.at(across, 0, ahead) for across, ahead in ends], white)
    if street.yellow:
        for side in (-1, 1):
            for d in (0.25, 0.45):
                edge = street.kerb(side) - side * d
                canvas.fill(strip(camera, (edge, edge + side * 0.09)), yellow)
    if street.zebra is not None:
        for x in np.arange(street.edges[0] + 0.3, street.edges[1] - 0.5, 1.1).tolist():
            canvas.fill(strip(camera, (x, x + 0.55), (street.zebra, street.zebra + 3)), white)
        for z in (street.zebra - 1.6, street.zebra + 4.4):
            canvas.fill(strip(camera, street.edges, (z, z + 0.25)), white)


def texture_ground(
    canvas: Canvas, things: Sequence[Thing], dark: float, rng: np.random.Generator
) -> None:
    """Grain, stains, shadows and haze over everything below the horizon, in one pass.

    `dark` (0..1) is the share of the light that a shadow takes away.
    """
    camera = canvas.camera
    height, width = camera.size_hw
    top = int(np.clip(camera.horizon + 1.5, 0, height - 1))
    v = np.arange(top, height, dtype=np.float32)
    z = np.float32(camera.focal * camera.height) / np.maximum(v - np.float32(camera.horizon), 0.5)
    u = np.arange(width, dtype=np.float32) - np.float32(camera.center)
    bend = np.float32(0.5 * camera.bend) * z * z
    x_hw = u[None] * (z / np.float32(camera.focal))[:, None] - bend[:, None]
    z_hw = np.repeat(z[:, None], width, 1)
    reach = (rng.uniform(3, 9) / np.maximum(z, 3)).clip(0, 1)[:, None]
    grain = _ground_noise(x_hw, z_hw, 45.0, rng) * (rng.uniform(0.03, 0.085) * reach)
    grain += _ground_noise(x_hw, z_hw, 1.3, rng) * rng.uniform(0.025, 0.065)
    shadow = _shadow_mask(canvas, things, top, dark) * np.float32(1 / 255)
    veil = 1 - np.exp(-z / np.float32(canvas.light.haze_m))[:, None]
    weight = (1 + grain.astype(np.float32)) * (1 - shadow) * (128 * (1 - veil))
    weight = np.clip(weight, 0, 255).astype(np.uint8)
    below = canvas.image_hwc[top:]
    cv2.multiply(below, cv2.merge([weight] * 3), below, 1 / 128)
    air = (veil[..., None] * np.array(canvas.light.haze)).clip(0, 255).astype(np.uint8)
    cv2.add(below, np.repeat(air, width, 1), below)


def _ground_noise(x_hw: Array, z_hw: Array, texels: float, rng: np.random.Generator) -> Array:
    """Noise lying on the ground, `texels` a meter, mean 0 and deviation 1, float32."""
    shift_x, shift_z = rng.uniform(0, 512, 2).astype(np.float32)
    scale = np.float32(texels)
    return cv2.remap(
        noise_tile(),
        x_hw * scale + shift_x,
        z_hw * scale + shift_z,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def _shadow_mask(canvas: Canvas, things: Sequence[Thing], top: int, dark: float) -> Array:
    """How much (0..255) light is missing on the ground rows from `top` down."""
    camera = canvas.camera
    height, width = camera.size_hw
    mask = np.zeros((height - top, width), np.uint8)
    touch = np.zeros_like(mask)
    for thing in things:
        if dark > 0.05 and thing.z < 55:
            for ground in thing.shadow(canvas.light):
                _fill_ground(mask, camera, ground, top, round(255 * dark))
        if thing.z < 30:
            for ground in thing.footprint():
                _fill_ground(touch, camera, ground, top, 165)
    soft = max(1, round(height / 150))
    return cv2.max(cv2.blur(mask, (soft, soft)), cv2.blur(touch, (2 * soft + 1, soft)))


def _fill_ground(mask: Array, camera: Camera, ground: Shape, top: int, value: int) -> None:
    """Fill a ground polygon, cut at the near plane, into mask rows that start at `top`."""
    corners = clip_near([(float(x), float(z)) for x, z in ground], 1.5)
    if len(corners) < 3:
        return
    shape = fixed([camera.at(x, 0, z) for x, z in corners])
    shape[:, 1] -= top << SHIFT
    cv2.fillPoly(mask, [shape], (value,), cv2.LINE_8, SHIFT)


def clip_near(ground: list[Point], near: float) -> list[Point]:
    """The part of a ground polygon beyond Z = near (Sutherland and Hodgman)."""
    if min(z for _, z in ground) >= near:
        return ground
    kept = []
    for k, (x, z) in enumerate(ground):
        x0, z0 = ground[k - 1]
        if (z >= near) != (z0 >= near):
            share = (near - z0) / (z - z0)
            kept.append((x0 + (x - x0) * share, near))
        if z >= near:
            kept.append((x, z))
    return kept
