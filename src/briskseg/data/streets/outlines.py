"""The pieces that things are made of: outlines on upright planes and bands of ground."""

from __future__ import annotations

import colorsys
import math

import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.painter import FAR, NEAR, Color, Label, Shape

Rng = np.random.Generator
Point = tuple[float, float]

_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.sin(_TURN), np.cos(_TURN)], 1)
_CAP = ((0.0, 1.0), (0.7, 0.7), (1.0, 0.0), (0.7, -0.7), (0.0, -1.0))  # half a turn: cos, sin


class Thing:
    """Shapes on one upright plane through (x, z), across the street or `along` it.

    Things are painted from high `depth` to low; it is z where nothing else is set.
    """

    def __init__(self, x: float, z: float, along: bool = False) -> None:
        self.x, self.z, self.along, self.depth = x, z, along, z
        self.shapes: list[Shape] = []

    def place(self, outlines: Array) -> Array:
        """Points (..., 3) of outlines (..., 2): meters from (x, z) and above the ground."""
        corners = np.empty((*outlines.shape[:-1], 3))
        corners[..., 0] = self.x + (0 if self.along else outlines[..., 0])
        corners[..., 1] = outlines[..., 1]
        corners[..., 2] = self.z + (outlines[..., 0] if self.along else 0)
        return corners

    def face(self, outline: Array, color: Color | None, label: Label | None = None) -> None:
        """Add a shape with this outline (n, 2)."""
        self.shapes.append(Shape(self.place(outline), color, label))

    def faces(self, outlines: Array, colors: list[Color], label: Label | None = None) -> None:
        """Add as many shapes as there are outlines (m, n, 2)."""
        placed = zip(self.place(outlines), colors, strict=True)
        self.shapes += [Shape(corners, color, label) for corners, color in placed]


def box(left: float, bottom: float, right: float, top: float) -> Array:
    """The outline (4, 2) of a rectangle."""
    return np.array([(left, bottom), (left, top), (right, top), (right, bottom)])


def boxes(left: Array, bottom: Array | float, right: Array, top: Array | float) -> Array:
    """The outlines (m, 4, 2) of as many rectangles as there are elements."""
    sides = np.broadcast_arrays(left, bottom, left, top, right, top, right, bottom)
    return np.stack(sides, 1).reshape(-1, 4, 2)


def disk(x: float, y: float, wide: float, high: float | None = None) -> Array:
    """The outline (14, 2) of an ellipse around (x, y) with these radii."""
    return _CIRCLE * (wide, wide if high is None else high) + (x, y)


def limb(start: Point, end: Point, wide: float) -> Array:
    """The outline (10, 2) of a stroke of that width with round ends."""
    x, y = end[0] - start[0], end[1] - start[1]
    half = 0.5 * wide / (math.hypot(x, y) or 1.0)
    x, y = x * half, y * half
    tip = [(end[0] + x * c - y * s, end[1] + y * c + x * s) for c, s in _CAP]
    return np.array(tip + [(start[0] - x * c + y * s, start[1] - y * c - x * s) for c, s in _CAP])


def ground(x: Point, z: Point = (NEAR, FAR)) -> Array:
    """A band of ground (n, 3) between two X and two Z, with corners enough to bend."""
    start, stop = max(z[0], NEAR), max(z[1], NEAR + 0.01)
    ahead = start * (stop / start) ** np.linspace(0, 1, 2 + int(4 * math.log2(stop / start)))
    corners = np.zeros((2 * len(ahead), 3))
    corners[:, 0] = np.repeat(x, len(ahead))
    corners[:, 2] = np.concatenate([ahead, ahead[::-1]])
    return corners


def vivid(rng: Rng, saturation: float = 0.7, low: float = 30.0) -> Color:
    """A color of any hue: cars, clothes and shop fronts wear them."""
    hue, strength, value = rng.random(3).tolist()
    color = colorsys.hsv_to_rgb(hue, saturation * strength**0.7, 1.0)
    return scaled(color, low + (235 - low) * value)


def scaled(color: Color, factor: float) -> Color:
    """The color made darker or brighter."""
    return color[0] * factor, color[1] * factor, color[2] * factor
