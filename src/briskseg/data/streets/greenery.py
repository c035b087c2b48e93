"""Trees, hedges and bushes: ragged masses of leaves, lit from the sun's side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.scene import (
    FACING,
    TREE,
    Canvas,
    Color,
    Light,
    Shape,
    noise_patch,
    scaled,
)

LEAVES: tuple[Color, ...] = (
    (72, 100, 40),
    (60, 88, 48),
    (92, 112, 44),
    (104, 108, 52),
    (150, 118, 42),  # autumn
    (138, 84, 40),
    (98, 86, 66),  # a bare crown, seen from afar
)
Mass = tuple[float, float, float, float]  # an ellipse: u, v and its radii in pixels


@dataclass(frozen=True)
class Tree:
    """A trunk at (x, z) with a crown of several masses of leaves."""

    x: float
    z: float
    height: float
    spread: float  # m, radius of the crown
    trunk: float  # m up to the crown
    leaves: Color
    look: int

    def footprint(self) -> list[Shape]:
        return [_ring(self.x, self.z, 0.5)]

    def shadow(self, light: Light) -> list[Shape]:
        x, z = light.throw(0.5 * (self.height + self.trunk))
        crown = _ring(self.x + x, self.z + z, self.spread)
        reach = np.array(light.throw(0.3 * (self.height - self.trunk)))
        hull = cv2.convexHull(np.concatenate([crown - reach, crown + reach]).astype(np.float32))
        x, z = light.throw(self.trunk + 1)
        left, right = self.x - 0.2, self.x + 0.2
        stem = [(left, self.z), (right, self.z), (right + x, self.z + z), (left + x, self.z + z)]
        return [hull[:, 0], stem]

    def draw(self, canvas: Canvas) -> None:
        scale = canvas.camera.scale(self.z)
        u, v = canvas.camera.at(self.x, 0, self.z)
        if canvas.misses(u, 1.3 * scale * self.spread):
            return
        rng = np.random.default_rng(self.look)
        fork = (u, v - scale * (self.trunk + 0.6))
        thick = scale * (0.18 + 0.025 * self.height)
        bark = canvas.light.shade((88, 74, 58), FACING, self.z)
        canvas.limb((u, v), fork, (thick * 1.2, thick * 0.8), bark, TREE)
        lit = (u + math.copysign(thick * 0.25, canvas.light.sun[0]), v - 1)
        canvas.limb(lit, fork, (thick * 0.3, thick * 0.2), scaled(bark, 1.25))
        across, up = scale * self.spread, 0.5 * scale * (self.height - self.trunk)
        middle = (u, v - scale * self.trunk - up)
        masses: list[Mass] = [(*middle, 0.72 * across, 0.9 * up)]
        for _ in range(7 if scale * self.height > 30 else 3):
            turn, out, size = rng.random(3).tolist()
            turn, out, size = 2 * math.pi * turn, 0.35 + 0.3 * out, 0.3 + 0.2 * size
            spot = (
                middle[0] + math.cos(turn) * out * across,
                middle[1] + math.sin(turn) * out * up,
            )
            masses.append((*spot, size * across, 1.1 * size * up))
            if thick > 3:
                canvas.limb(fork, spot, (thick * 0.5, thick * 0.2), bark, TREE)
        foliage(canvas, masses, self.leaves, self.z, rng)


@dataclass(frozen=True)
class Hedge:
    """A clipped or wild row of bushes along the street, from Z to Z."""

    side: int
    x: float
    z0: float
    z1: float
    height: float
    leaves: Color
    look: int

    @property
    def z(self) -> float:
        return self.z1

    def footprint(self) -> list[Shape]:
        x0, x1 = self.x - self.side * 0.3, self.x + self.side
        return [[(x0, self.z0), (x0, self.z1), (x1, self.z1), (x1, self.z0)]]

    def shadow(self, light: Light) -> list[Shape]:
        x, z = light.throw(self.height)
        near, far = (self.x, self.z0), (self.x, self.z1)
        return [[near, far, (far[0] + x, far[1] + z), (near[0] + x, near[1] + z)]]

    def draw(self, canvas: Canvas) -> None:
        rng = np.random.default_rng(self.look)
        start, z = max(self.z0, 2.0), self.z1
        masses: list[Mass] = []
        while z > start:
            scale = canvas.camera.scale(z)
            u, v = canvas.camera.at(self.x + self.side * 0.5, self.height * 0.45, z)
            if not canvas.misses(u, 2 * scale):
                size = rng.uniform(0.9, 1.15)
                masses.append((u, v, 0.9 * scale, 0.62 * size * self.height * scale))
            z -= max(0.8, z / 25)
        if masses:
            foliage(canvas, masses, self.leaves, 0.5 * (start + self.z1), rng)


def foliage(
    canvas: Canvas, masses: Sequence[Mass], leaves: Color, z: float, rng: np.random.Generator
) -> None:
    """Paint the union of ellipses as leaves with a ragged edge."""
    ellipses = np.array(masses, np.float32)
    reach = 1.25 * ellipses[:, 2:]
    window = canvas.window(np.concatenate([ellipses[:, :2] - reach, ellipses[:, :2] + reach]))
    if window is None:
        return
    rows, columns = window
    size_hw = (rows.stop - rows.start, columns.stop - columns.start)
    field, bulge = _volume(ellipses, window, canvas.light.sun[0])
    leaf = max(0.5, canvas.camera.scale(z) * 0.032)
    noise = noise_patch(rng, size_hw, leaf)
    mask = (field + np.float32(0.28) * noise) > 0.12
    tone = np.clip(128 + np.float32(44) * noise + np.float32(60) * bulge, 0, 255).astype(np.uint8)
    light = canvas.light
    power, veil = light.ambient + 0.6 * light.direct, light.veil(z)
    full = np.array(leaves) * np.array(light.tint) * (power * (1 - veil))
    ramp = np.linspace(0.3, 1.75, 256)[:, None] * full + np.array(light.haze) * veil
    picture = np.clip(ramp, 0, 255).astype(np.uint8)[tone]
    cv2.copyTo(picture, mask.view(np.uint8), canvas.image_hwc[rows, columns])
    canvas.labels_hw[rows, columns][mask] = TREE


def _volume(ellipses: Array, window: tuple[slice, slice], sun_x: float) -> tuple[Array, Array]:
    """Depth inside the union of ellipses (1 at a center, 0 at an edge), and how lit it is."""
    rows, columns = window
    size_hw = (rows.stop - rows.start, columns.stop - columns.start)
    step = max(1, min(size_hw) // 20)
    v = np.arange(rows.start, rows.stop + step, step, dtype=np.float32)[None, :, None]
    u = np.arange(columns.start, columns.stop + step, step, dtype=np.float32)[None, None]
    cu, cv, ru, rv = ellipses.T[..., None, None]
    du, dv = (u - cu) / ru, (v - cv) / rv
    inside = 1 - du * du - dv * dv
    first = inside.argmax(0)[None]
    lit = np.float32(0.5 * sun_x) * du - np.float32(0.55) * dv
    field = np.take_along_axis(inside, first, 0)[0]
    bulge = np.take_along_axis(lit, first, 0)[0]
    spread, (high, wide) = (u.size * step, v.size * step), size_hw
    grown = [cv2.resize(part, spread, interpolation=cv2.INTER_LINEAR) for part in (field, bulge)]
    return grown[0][:high, :wide], grown[1][:high, :wide]


def _ring(x: float, z: float, radius: float) -> Array:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([x + radius * np.cos(turn), z + radius * np.sin(turn)], 1)
