"""The camera, the light and the canvas that every part of a drawn street is painted with.

Positions are in meters: X to the right, Y up, Z ahead, the camera above the origin at its height.
Image positions are (u, v) in pixels of the canvas, which may be finer than the final image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

# CamVid's 11 classes, in the order of `briskseg.core.labels.CAMVID11`.
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)

IGNORED = 255

Array = npt.NDArray[Any]
Points = Array | Sequence[Sequence[float]]
Color = tuple[float, float, float]  # RGB, 0..255

NEAR = 0.6  # m; nothing nearer is projected
FAR = 130.0  # m; the street ends here and the skyline begins
_SHIFT = 4  # fractional bits of cv2's polygon coordinates
_LIMIT = 20000.0  # px; keeps far-off corners inside cv2's integers


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera over flat ground; `bend` is the street's curvature in 1/m."""

    size_hw: tuple[int, int]
    focal: float
    center: float
    horizon: float
    height: float
    bend: float

    def project(self, points: Points) -> Array:
        """Pixels (..., 2) of points (..., 3) that stand still in space."""
        xyz = np.asarray(points, np.float64)
        z = np.maximum(xyz[..., 2], NEAR)
        u = self.center + self.focal * xyz[..., 0] / z
        v = self.horizon + self.focal * (self.height - xyz[..., 1]) / z
        return np.clip(np.stack([u, v], -1), -_LIMIT, _LIMIT)

    def along(self, points: Points) -> Array:
        """Pixels (..., 2) of points (..., 3) whose X is measured from the bending street's axis."""
        xyz = np.array(points, np.float64)
        xyz[..., 0] += self.shift(xyz[..., 2])
        return self.project(xyz)

    def shift(self, z: Any) -> Any:
        """How far (m) the street's axis has bent to the right at distance `z`."""
        return 0.5 * self.bend * z * z

    def turn(self, z: float) -> float:
        """The street's heading (rad, to the right) at distance `z`."""
        return float(np.arctan(self.bend * z))

    def pixels_per_meter(self, z: float) -> float:
        return self.focal / max(z, NEAR)


@dataclass(frozen=True)
class Light:
    """Sun, sky and air: `sun` is the unit vector towards the sun, `haze_m` where 63 % is haze."""

    sun: tuple[float, float, float]
    direct: float
    ambient: float
    tint: Color
    haze: Color
    haze_m: float
    dusk: bool

    def shade(self, color: Color, normal: Sequence[float], z: float) -> Color:
        """The color of a surface with that unit normal at distance `z`."""
        facing = max(0.0, sum(n * s for n, s in zip(normal, self.sun, strict=True)))
        power = self.ambient + self.direct * facing
        return self.through_air(
            (
                color[0] * power * self.tint[0],
                color[1] * power * self.tint[1],
                color[2] * power * self.tint[2],
            ),
            z,
        )

    def through_air(self, color: Color, z: float) -> Color:
        veil = self.veil(z)
        return (
            color[0] + (self.haze[0] - color[0]) * veil,
            color[1] + (self.haze[1] - color[1]) * veil,
            color[2] + (self.haze[2] - color[2]) * veil,
        )

    def veil(self, z: float) -> float:
        """The share of haze in what is seen at distance `z`."""
        return 1.0 - float(np.exp(-z / self.haze_m))

    def cast(self, ground_xz: Points, height: float) -> Array:
        """Where the sun throws points at `height` above ground positions (n, 2)."""
        lift = height / max(self.sun[1], 0.25)
        return np.asarray(ground_xz, np.float64) - lift * np.array([self.sun[0], self.sun[2]])


class Canvas:
    """The picture and its labels, painted together from far to near."""

    def __init__(self, camera: Camera, light: Light, pixel: float) -> None:
        self.camera = camera
        self.light = light
        self.pixel = pixel  # canvas pixels per pixel of the final image
        self.image_hwc = np.zeros((*camera.size_hw, 3), np.uint8)
        self.labels_hw = np.zeros(camera.size_hw, np.uint8)

    def fill(self, points: Array, color: Color, label: int | None = None) -> None:
        """Fill a polygon (n, 2) in pixels; without a label only the picture changes."""
        corners = [np.round(points * (1 << _SHIFT)).astype(np.int32)]
        cv2.fillPoly(self.image_hwc, corners, color, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.labels_hw, corners, (label,), cv2.LINE_8, _SHIFT)

    def label(self, points: Array, label: int) -> None:
        """Label a polygon (n, 2) in pixels and leave the picture as it is."""
        corners = [np.round(points * (1 << _SHIFT)).astype(np.int32)]
        cv2.fillPoly(self.labels_hw, corners, (label,), cv2.LINE_8, _SHIFT)

    def limb(
        self,
        a: Array,
        b: Array,
        widths: tuple[float, float],
        color: Color,
        label: int | None = None,
    ) -> None:
        """Fill a tapering stroke with round ends from `a` to `b`; widths in pixels."""
        along = b - a
        angle = np.arctan2(along[1], along[0])
        cap = angle + np.linspace(np.pi / 2, 3 * np.pi / 2, 5)
        start = a + 0.5 * widths[0] * np.stack([np.cos(cap), np.sin(cap)], 1)
        end = b - 0.5 * widths[1] * np.stack([np.cos(cap), np.sin(cap)], 1)
        self.fill(np.concatenate([start, end]), color, label)

    def disk(
        self, center: Array, radii: tuple[float, float], color: Color, label: int | None = None
    ) -> None:
        """Fill an upright ellipse; radii in pixels."""
        self.fill(center + _CIRCLE * np.array(radii), color, label)

    def window(self, points: Array) -> tuple[slice, slice] | None:
        """The rows and columns that hold the points, cut to the canvas; None when outside."""
        height, width = self.camera.size_hw
        left, top = np.floor(points.min(0)).astype(int)
        right, bottom = np.ceil(points.max(0)).astype(int) + 1
        rows = slice(max(top, 0), min(bottom, height))
        columns = slice(max(left, 0), min(right, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        return rows, columns


_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)


class Thing(Protocol):
    """Something that stands in the street: where, its shadow on the ground, and its picture."""

    @property
    def z(self) -> float:
        """Distance (m) by which things are painted, far to near."""
        ...

    def shadow(self, light: Light) -> list[Array]:
        """Ground polygons (n, 2) of X from the street's axis and Z, in meters."""
        ...

    def footprint(self) -> list[Array]:
        """Ground polygons, as above, where it stands so close that no light gets under it."""
        ...

    def draw(self, canvas: Canvas) -> None: ...


@lru_cache(maxsize=1)
def noise_tile() -> Array:
    """A tileable noise texture, (512, 512) float32, mean 0, deviation 1: octaves of 2 to 64 px."""
    rng = np.random.default_rng(11)
    total = np.zeros((512, 512), np.float32)
    for size, weight in ((8, 0.5), (16, 0.6), (32, 0.7), (64, 0.8), (128, 0.9), (256, 1.0)):
        coarse = np.pad(rng.standard_normal((size, size), np.float32), 2, mode="wrap")
        step = 512 // size
        fine = cv2.resize(coarse, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += weight * fine[2 * step : 2 * step + 512, 2 * step : 2 * step + 512]
    return (total - total.mean()) / total.std()


def noise_patch(rng: np.random.Generator, size_hw: tuple[int, int], zoom: float) -> Array:
    """A random piece of the noise, size_hw float32; `zoom` is how many pixels a texel covers."""
    height, width = (max(1, min(512, int(n / zoom) + 2)) for n in size_hw)
    top, left = int(rng.integers(512)), int(rng.integers(512))
    rows, columns = np.arange(top, top + height) % 512, np.arange(left, left + width) % 512
    piece = noise_tile()[rows][:, columns]
    return cv2.resize(piece, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def any_color(rng: np.random.Generator, saturation: float = 0.7, low: float = 30.0) -> Color:
    """A color of any hue: cars, clothes and shop fronts wear them."""
    hue, value = rng.uniform(0, 6), rng.uniform(low, 235)
    strength = saturation * rng.uniform(0, 1) ** 0.7
    ramp = [np.clip(abs((hue + k) % 6 - 3) - 1, 0, 1) for k in (0, 4, 2)]
    red, green, blue = (value * (1 - strength + strength * float(r)) for r in ramp)
    return red, green, blue


def scaled(color: Color, factor: float) -> Color:
    """The color made darker or brighter."""
    return color[0] * factor, color[1] * factor, color[2] * factor
