"""Trees, hedges and bushes: ragged masses of leaves, lit from the sun's side."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.data.streets.scene import TREE, Array, Canvas, Color, Light, noise_patch, scaled

LEAVES: tuple[Color, ...] = (
    (72, 100, 40),
    (60, 88, 48),
    (92, 112, 44),
    (104, 108, 52),
    (150, 118, 42),  # autumn
    (138, 84, 40),
    (98, 86, 66),  # a bare crown, seen from afar
)


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

    def footprint(self) -> list[Array]:
        return [_round(self.x, self.z, 0.5)]

    def shadow(self, light: Light) -> list[Array]:
        center = light.cast([[self.x, self.z]], 0.5 * (self.height + self.trunk))[0]
        lift = 0.5 * (self.height - self.trunk)
        away = -np.array([light.sun[0], light.sun[2]]) * lift / max(light.sun[1], 0.25)
        crown = _round(center[0], center[1], self.spread)
        reach = np.concatenate([crown - away * 0.6, crown + away * 0.6]).astype(np.float32)
        stem = np.array([[self.x - 0.2, self.z], [self.x + 0.2, self.z]])
        trunk = np.concatenate([stem, light.cast(stem[::-1], self.trunk + 1)])
        return [cv2.convexHull(reach)[:, 0].astype(np.float64), trunk]

    def draw(self, canvas: Canvas) -> None:
        rng = np.random.default_rng(self.look)
        scale = canvas.camera.pixels_per_meter(self.z)
        foot = canvas.camera.along([self.x, 0, self.z])
        fork = foot - [0, scale * (self.trunk + 0.6)]
        thick = scale * (0.18 + 0.025 * self.height)
        bark = canvas.light.shade((88, 74, 58), (0, 0.3, -0.9), self.z)
        canvas.limb(foot, fork, (thick * 1.2, thick * 0.8), bark, TREE)
        sunny = foot - [0, 1.0]
        canvas.limb(
            sunny + np.array([thick * 0.25, 0]), fork, (thick * 0.3, thick * 0.2), scaled(bark, 1.2)
        )
        crown = self.height - self.trunk
        middle = foot - [0, scale * (self.trunk + crown / 2)]
        masses = [(middle[0], middle[1], 0.72 * scale * self.spread, 0.45 * scale * crown)]
        for _ in range(7):
            angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.65)
            size = rng.uniform(0.3, 0.5)
            u = middle[0] + np.cos(angle) * out * scale * self.spread
            v = middle[1] + np.sin(angle) * out * scale * crown * 0.5
            masses.append((u, v, size * scale * self.spread, size * scale * crown * 0.55))
            canvas.limb(fork, np.array([u, v]), (thick * 0.5, thick * 0.2), bark, TREE)
        foliage(canvas, np.array(masses), self.leaves, self.z, rng)


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
        return 0.5 * (self.z0 + self.z1)

    def footprint(self) -> list[Array]:
        x0, x1 = self.x - self.side * 0.3, self.x + self.side
        return [np.array([[x0, self.z0], [x0, self.z1], [x1, self.z1], [x1, self.z0]])]

    def shadow(self, light: Light) -> list[Array]:
        base = np.array([[self.x, self.z0], [self.x, self.z1]])
        return [np.concatenate([base, light.cast(base[::-1], self.height)])]

    def draw(self, canvas: Canvas) -> None:
        rng = np.random.default_rng(self.look)
        start, stop = max(self.z0, 2.0), self.z1
        masses = []
        z = stop
        while z > start:
            scale = canvas.camera.pixels_per_meter(z)
            u, v = canvas.camera.along([self.x + self.side * 0.5, self.height * 0.45, z])
            size = rng.uniform(0.9, 1.15)
            masses.append((u, v, 0.9 * scale, 0.62 * size * self.height * scale))
            z -= 0.8
        if masses:
            foliage(canvas, np.array(masses), self.leaves, self.z, rng)


def foliage(
    canvas: Canvas, masses: Array, leaves: Color, z: float, rng: np.random.Generator
) -> None:
    """Paint the union of ellipses (n, 4) of u, v and radii as leaves with a ragged edge."""
    low, high = masses[:, :2] - 1.25 * masses[:, 2:], masses[:, :2] + 1.25 * masses[:, 2:]
    window = canvas.window(np.concatenate([low, high]))
    if window is None:
        return
    rows, columns = window
    size_hw = (rows.stop - rows.start, columns.stop - columns.start)
    step = max(1, min(size_hw) // 24)
    v = np.arange(rows.start, rows.stop + step, step, dtype=np.float32)[:, None]
    u = np.arange(columns.start, columns.stop + step, step, dtype=np.float32)[None]
    field = np.full((v.size, u.size), -4.0, np.float32)
    bulge = np.zeros_like(field)
    sun = canvas.light.sun
    for cu, cv, ru, rv in masses.astype(np.float32):
        du, dv = (u - cu) / ru, (v - cv) / rv
        inside = 1 - du * du - dv * dv
        lit = np.where(inside > field, 0.5 * du * np.float32(sun[0]) - 0.55 * dv, bulge)
        bulge = lit.astype(np.float32)
        field = np.maximum(field, inside)
    spread = (u.size * step, v.size * step)
    cut = (slice(size_hw[0]), slice(size_hw[1]))
    field = cv2.resize(field, spread, interpolation=cv2.INTER_LINEAR)[cut]
    bulge = cv2.resize(bulge, spread, interpolation=cv2.INTER_LINEAR)[cut]
    leaf = max(0.5, canvas.camera.pixels_per_meter(z) * 0.05)
    noise = noise_patch(rng, size_hw, leaf)
    mask = ((field + 0.28 * noise) > 0.12).astype(np.uint8)
    tone = np.clip(128 + 44 * noise + 60 * bulge, 0, 255).astype(np.uint8)
    power = canvas.light.ambient + canvas.light.direct * 0.6
    tint = canvas.light.tint
    ramp = np.linspace(0.3, 1.75, 256)[:, None] * np.array(leaves) * power * np.array(tint)
    veil = canvas.light.veil(z)
    colors = np.clip(ramp * (1 - veil) + np.array(canvas.light.haze) * veil, 0, 255)
    picture = colors.astype(np.uint8)[tone]
    image = canvas.image_hwc[rows, columns]
    np.copyto(image, picture, where=mask[..., None] > 0)
    canvas.labels_hw[rows, columns][mask > 0] = TREE


def _round(x: float, z: float, radius: float) -> Array:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([x + radius * np.cos(turn), z + radius * np.sin(turn)], 1)
