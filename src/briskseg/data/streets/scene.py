"""The camera, the light and the canvas that every part of a drawn street is painted with.

Positions are in meters: X to the right, Y up, Z ahead, the camera above the origin at its height.
Image positions are (u, v) in pixels of the canvas. Small shapes are lists of plain floats: for a
handful of corners Python's arithmetic is several times faster than numpy's.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np

from briskseg.core.types import Array

# CamVid's 11 classes, in the order of `briskseg.core.labels.CAMVID11`.
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)

Point = tuple[float, float]
Shape = Array | Sequence[Point]  # corners of a polygon in pixels
Color = tuple[float, float, float]  # RGB, 0..255

NEAR = 0.6  # m; nothing nearer is projected
FAR = 130.0  # m; the street ends here and the skyline begins
UP = (0.0, 1.0, 0.0)
FACING = (0.0, 0.3, -0.95)  # the normal of things that are round or face the camera
SHIFT = 4  # fractional bits of cv2's polygon coordinates


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera over flat ground; `bend` is the street's curvature in 1/m."""

    size_hw: tuple[int, int]
    focal: float
    center: float
    horizon: float
    height: float
    bend: float

    def at(self, x: float, y: float, z: float) -> Point:
        """The pixel of a point whose `x` is measured from the bending street's axis."""
        scale = self.focal / max(z, NEAR)
        u = self.center + scale * (x + 0.5 * self.bend * z * z)
        return u, self.horizon + scale * (self.height - y)

    def along(self, x: Any, y: Any, z: Any) -> Array:
        """Pixels (n, 2) of points given as arrays, as `at` finds them."""
        scale = self.focal / np.maximum(z, NEAR)
        u = self.center + scale * (x + 0.5 * self.bend * z * z)
        v = self.horizon + scale * (self.height - y)
        return np.stack(np.broadcast_arrays(u, v), -1)

    def project(self, points: Array) -> Array:
        """Pixels (n, 2) of points (n, 3) whose X is measured in space, not along the street."""
        scale = self.focal / np.maximum(points[:, 2], NEAR)
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = self.center + scale * points[:, 0]
        pixels[:, 1] = self.horizon + scale * (self.height - points[:, 1])
        return pixels

    def shift(self, z: float) -> float:
        """How far (m) the street's axis has bent to the right at distance `z`."""
        return 0.5 * self.bend * z * z

    def turn(self, z: float) -> float:
        """The street's heading (rad, to the right) at distance `z`."""
        return math.atan(self.bend * z)

    def scale(self, z: float) -> float:
        """Pixels a meter at distance `z`."""
        return self.focal / max(z, NEAR)


@dataclass(frozen=True)
class Light:
    """Sun, sky and air: `sun` is the unit vector towards the sun, `haze_m` where 63 % is haze."""

    sun: tuple[float, float, float]
    direct: float
    ambient: float
    tint: Color  # factors
    haze: Color
    haze_m: float
    dusk: bool

    def shade(self, color: Color, normal: Sequence[float], z: float) -> Color:
        """The color of a surface with that unit normal at distance `z`."""
        sun, tint = self.sun, self.tint
        facing = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
        power = self.ambient + self.direct * max(0.0, facing)
        lit = (color[0] * power * tint[0], color[1] * power * tint[1], color[2] * power * tint[2])
        return self.through_air(lit, z)

    def through_air(self, color: Color, z: float) -> Color:
        """The color as it arrives at the camera from distance `z`."""
        haze, veil = self.haze, self.veil(z)
        return (
            min(255.0, color[0] + (haze[0] - color[0]) * veil),
            min(255.0, color[1] + (haze[1] - color[1]) * veil),
            min(255.0, color[2] + (haze[2] - color[2]) * veil),
        )

    def veil(self, z: float) -> float:
        """The share of haze in what is seen at distance `z`."""
        return 1.0 - math.exp(-z / self.haze_m)

    def throw(self, height: float) -> Point:
        """How far (m, X and Z) the sun casts the shadow of a point at that height."""
        lift = height / max(self.sun[1], 0.3)
        return -lift * self.sun[0], -lift * self.sun[2]


class Canvas:
    """The picture and its labels, painted together from far to near."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self.image_hwc = np.zeros((*camera.size_hw, 3), np.uint8)
        self.labels_hw = np.zeros(camera.size_hw, np.uint8)

    def fill(self, shape: Shape, color: Color, label: int | None = None) -> None:
        """Fill a polygon with soft edges; with a label, also the labels, with hard ones."""
        corners = [fixed(shape)]
        cv2.fillPoly(self.image_hwc, corners, color, cv2.LINE_AA, SHIFT)
        if label is not None:
            cv2.fillPoly(self.labels_hw, corners, (label,), cv2.LINE_8, SHIFT)

    def fill_all(self, shapes_nkc: Array, color: Color) -> None:
        """Fill n polygons of k corners that do not overlap; the labels stay."""
        if len(shapes_nkc):
            cv2.fillPoly(self.image_hwc, list(fixed(shapes_nkc)), color, cv2.LINE_AA, SHIFT)

    def label(self, shape: Shape, label: int) -> None:
        """Label a polygon and leave the picture as it is."""
        cv2.fillPoly(self.labels_hw, [fixed(shape)], (label,), cv2.LINE_8, SHIFT)

    def limb(
        self, a: Point, b: Point, widths: Point, color: Color, label: int | None = None
    ) -> None:
        """Fill a tapering stroke with round ends from `a` to `b`; widths in pixels."""
        x, y = b[0] - a[0], b[1] - a[1]
        length = math.hypot(x, y) or 1.0
        x, y = x / length, y / length
        start, end = widths[0] / 2, widths[1] / 2
        corners = [
            (a[0] - start * (y * s + x * c), a[1] + start * (x * s - y * c)) for c, s in _CAP
        ]
        corners += [(b[0] + end * (y * s + x * c), b[1] - end * (x * s - y * c)) for c, s in _CAP]
        self.fill(corners, color, label)

    def disk(self, center: Point, radii: Point, color: Color, label: int | None = None) -> None:
        """Fill an upright ellipse; radii in pixels."""
        self.fill(_CIRCLE * np.array(radii) + np.array(center), color, label)

    def box(self, center: Point, halves: Point, color: Color, label: int | None = None) -> None:
        """Fill an upright rectangle; half its width and height in pixels."""
        (u, v), (a, b) = center, halves
        self.fill([(u - a, v - b), (u + a, v - b), (u + a, v + b), (u - a, v + b)], color, label)

    def window(self, shape: Array) -> tuple[slice, slice] | None:
        """The rows and columns that hold the corners (n, 2), cut to the canvas; None outside."""
        height, width = self.camera.size_hw
        left, top = shape.min(0).tolist()
        right, bottom = shape.max(0).tolist()
        rows = slice(max(math.floor(top), 0), min(math.ceil(bottom) + 1, height))
        columns = slice(max(math.floor(left), 0), min(math.ceil(right) + 1, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        return rows, columns

    def misses(self, u: float, reach: float) -> bool:
        """Whether all within `reach` pixels of column `u` lies beside the canvas."""
        return u + reach < 0 or u - reach > self.camera.size_hw[1]


_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)
_CAP = ((0.0, 1.0), (0.71, 0.71), (1.0, 0.0), (0.71, -0.71), (0.0, -1.0))


class Thing(Protocol):
    """Something that stands in the street: where, its shadow on the ground, and its picture."""

    @property
    def z(self) -> float:
        """Distance (m) by which things are painted, far to near."""
        ...

    def shadow(self, light: Light) -> list[Shape]:
        """Ground polygons of X from the street's axis and Z, in meters."""
        ...

    def footprint(self) -> list[Shape]:
        """Ground polygons, as above, where it stands so close that no light gets under it."""
        ...

    def draw(self, canvas: Canvas) -> None:
        """Paint the picture and the labels."""
        ...


def fixed(shape: Shape) -> Array:
    """Pixel coordinates as cv2's fixed-point integers."""
    corners: Array = np.rint(np.asarray(shape) * (1 << SHIFT)).astype(np.int32)
    return corners


@lru_cache(maxsize=1)
def noise_tile() -> Array:
    """Noise of octaves from 2 to 64 px, mean 0, deviation 1: a tile of 512, laid twice each way."""
    rng = np.random.default_rng(11)
    total = np.zeros((512, 512), np.float32)
    for size, weight in ((8, 0.5), (16, 0.6), (32, 0.7), (64, 0.8), (128, 0.9), (256, 1.0)):
        coarse = np.pad(rng.standard_normal((size, size), np.float32), 2, mode="wrap")
        step = 512 // size
        fine = cv2.resize(coarse, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += weight * fine[2 * step : 2 * step + 512, 2 * step : 2 * step + 512]
    return np.tile((total - total.mean()) / total.std(), (2, 2))


def noise_patch(rng: np.random.Generator, size_hw: tuple[int, int], zoom: float) -> Array:
    """A random piece of the noise, size_hw float32; `zoom` is how many pixels a texel covers."""
    height = max(1, min(512, int(size_hw[0] / zoom) + 2))
    width = max(1, min(512, int(size_hw[1] / zoom) + 2))
    place = int(rng.integers(512 * 512))
    top, left = place >> 9, place & 511
    piece = noise_tile()[top : top + height, left : left + width]
    return cv2.resize(piece, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def any_color(rng: np.random.Generator, saturation: float = 0.7, low: float = 30.0) -> Color:
    """A color of any hue: cars, clothes and shop fronts wear them."""
    hue, strength, value = rng.random(3).tolist()
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation * strength**0.7, 1.0)
    value = low + (235 - low) * value
    return red * value, green * value, blue * value


def scaled(color: Color, factor: float) -> Color:
    """The color made darker or brighter."""
    return color[0] * factor, color[1] * factor, color[2] * factor
