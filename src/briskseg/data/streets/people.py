"""Pedestrians and cyclists: heads and limbs of rounded strokes, in clothes of any color."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from briskseg.data.streets.scene import (
    BICYCLIST,
    PEDESTRIAN,
    Array,
    Canvas,
    Color,
    Light,
    scaled,
)

At = Callable[..., Array]  # along, up, across in m -> pixel
Stroke = Callable[[Array, Array, tuple[float, float], Color], None]

SKIN: tuple[Color, ...] = ((226, 184, 156), (198, 148, 116), (146, 100, 74), (96, 66, 50))
FACING = (0.0, 0.35, -0.9)


@dataclass(frozen=True)
class Look:
    """What a person wears."""

    coat: Color
    trousers: Color
    skin: Color
    hair: Color


@dataclass(frozen=True)
class Pedestrian:
    """A person standing or walking at (x, z); `stride` in -1..1, `sideways` walks across."""

    x: float
    z: float
    height: float
    stride: float
    sideways: bool
    bag: bool
    look: Look

    def footprint(self) -> list[Array]:
        return [np.array([[-0.25, -0.2], [0.25, -0.2], [0.25, 0.2], [-0.25, 0.2]]) + self._at()]

    def shadow(self, light: Light) -> list[Array]:
        foot = self._at() + np.array([[-0.2, 0], [0.2, 0]])
        return [np.concatenate([foot, light.cast(foot[::-1], self.height)])]

    def _at(self) -> Array:
        return np.array([self.x, self.z])

    def draw(self, canvas: Canvas) -> None:
        scale = canvas.camera.pixels_per_meter(self.z) * self.height / 1.75
        foot = canvas.camera.along([self.x, 0, self.z])
        light, look = canvas.light, self.look
        coat = light.shade(look.coat, FACING, self.z)
        legs = light.shade(look.trousers, FACING, self.z)
        skin = light.shade(look.skin, FACING, self.z)

        def at(x: float, y: float) -> Array:
            return np.asarray(foot + np.array([x, -y]) * scale)

        def stroke(a: Array, b: Array, wide: tuple[float, float], color: Color) -> None:
            size = (wide[0] * scale, wide[1] * scale)
            canvas.limb(a, b, size, color, PEDESTRIAN)

        step = 0.34 * self.stride if self.sideways else 0.06
        lift = 0.0 if self.sideways else 0.09 * max(0.0, self.stride)
        swing = 0.26 * self.stride if self.sideways else 0.0
        shoulder = 0.1 if self.sideways else 0.19
        hand = at(-shoulder - 0.05 - swing, 0.85)
        stroke(at(-shoulder, 1.38), hand, (0.13, 0.1), scaled(coat, 0.8))
        for sign, tone in ((-1, 0.75), (1, 1.0)):
            hip, knee = at(0.07 * sign, 0.86), at(0.06 * sign + 0.6 * sign * step, 0.46)
            ankle = at(0.07 * sign + sign * step, 0.06 + (lift if sign > 0 else 0))
            stroke(hip, knee, (0.2, 0.15), scaled(legs, tone))
            stroke(knee, ankle, (0.15, 0.11), scaled(legs, tone))
            toe = ankle + np.array([0.1 if self.sideways else 0.0, 0.03]) * scale
            stroke(ankle, toe, (0.11, 0.1), scaled(legs, 0.35))
        wide = 0.3 if self.sideways else 0.42
        stroke(at(0, 1.32), at(0, 0.88), (wide, wide * 0.86), coat)
        hand = at(shoulder + 0.05 + swing, 0.85)
        stroke(at(shoulder, 1.38), hand, (0.13, 0.1), scaled(coat, 1.12))
        stroke(hand, hand + np.array([0, 0.08 * scale]), (0.09, 0.08), skin)
        stroke(at(0, 1.46), at(0, 1.54), (0.13, 0.13), skin)
        canvas.disk(at(0.01, 1.64), (0.1 * scale, 0.13 * scale), skin, PEDESTRIAN)
        hair = light.shade(look.hair, FACING, self.z)
        canvas.disk(at(-0.01, 1.69), (0.105 * scale, 0.085 * scale), hair, PEDESTRIAN)
        if self.bag:
            stroke(at(-0.27, 0.8), at(-0.27, 0.62), (0.2, 0.24), scaled(coat, 0.5))


@dataclass(frozen=True)
class Cyclist:
    """A rider on a bicycle at (x, z); `heading` as a car's. The wheels count as filled."""

    x: float
    z: float
    heading: float
    pedal: float  # rad
    helmet: bool
    frame: Color
    look: Look

    def footprint(self) -> list[Array]:
        sin, cos = np.sin(self.heading), np.cos(self.heading)
        corners = np.array([[0.9, 0.12], [0.9, -0.12], [-0.9, -0.12], [-0.9, 0.12]])
        across = corners[:, 0] * sin + corners[:, 1] * cos
        ahead = corners[:, 0] * cos - corners[:, 1] * sin
        return [np.stack([self.x + across, self.z + ahead], 1)]

    def shadow(self, light: Light) -> list[Array]:
        foot = np.array([[self.x - 0.2, self.z], [self.x + 0.2, self.z]])
        return [np.concatenate([foot, light.cast(foot[::-1], 1.7)]), *self.footprint()]

    def draw(self, canvas: Canvas) -> None:
        camera = canvas.camera
        heading = self.heading + camera.turn(self.z)
        sin, cos = np.sin(heading), np.cos(heading)
        scale = camera.pixels_per_meter(self.z)

        def at(along: float, up: float, across: float = 0.0) -> Array:
            x = self.x + camera.shift(self.z) + along * sin + across * cos
            return camera.project([x, up, self.z + along * cos - across * sin])

        def stroke(a: Array, b: Array, wide: tuple[float, float], color: Color) -> None:
            least = 0.9 * canvas.pixel
            size = (max(wide[0] * scale, least), max(wide[1] * scale, least))
            canvas.limb(a, b, size, color, BICYCLIST)

        far, near = (-1, 1) if cos * self.x - sin * self.z < 0 else (1, -1)
        self._draw_wheels(canvas, at, scale)
        metal = canvas.light.shade(self.frame, FACING, self.z)
        head, crank, saddle = at(0.4, 0.85), at(0, 0.3), at(-0.2, 0.9)
        for a, b in ((head, crank), (crank, saddle), (saddle, head), (crank, at(-0.52, 0.34))):
            stroke(a, b, (0.045, 0.045), metal)
        stroke(head, at(0.52, 0.34), (0.045, 0.045), metal)
        stroke(at(0.42, 1.0, -0.28), at(0.42, 1.0, 0.28), (0.05, 0.05), scaled(metal, 0.6))
        self._draw_rider(canvas, at, stroke, (far, near), abs(float(sin)))

    def _draw_wheels(self, canvas: Canvas, at: At, scale: float) -> None:
        turn = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        rubber = canvas.light.through_air((28, 28, 30), self.z)
        thick = max(0.05 * scale, 0.9 * canvas.pixel)
        for hub in (-0.52, 0.52):
            ring = np.array([at(hub + 0.34 * np.cos(t), 0.34 + 0.34 * np.sin(t)) for t in turn])
            canvas.label(ring, BICYCLIST)
            for a, b in zip(ring, np.roll(ring, -1, 0), strict=True):
                canvas.limb(a, b, (thick, thick), rubber, BICYCLIST)
            spoke = canvas.light.through_air((110, 112, 116), self.z)
            for k in (0, 3, 6):
                canvas.limb(ring[k], ring[k + 9], (0.012 * scale,) * 2, spoke)

    def _draw_rider(
        self,
        canvas: Canvas,
        at: At,
        stroke: Stroke,
        sides: tuple[int, int],
        sideways: float,
    ) -> None:
        light, look = canvas.light, self.look
        coat = light.shade(look.coat, FACING, self.z)
        legs = light.shade(look.trousers, FACING, self.z)
        skin = light.shade(look.skin, FACING, self.z)
        scale = canvas.camera.pixels_per_meter(self.z)
        wide = 0.4 - 0.12 * sideways
        for k, side in enumerate(sides):
            turn = self.pedal + np.pi * k
            foot = (0.17 * np.cos(turn), 0.32 + 0.17 * np.sin(turn))
            knee = (0.28 + 0.3 * foot[0], 0.62 + 0.45 * (foot[1] - 0.3))
            tone = scaled(legs, 0.75 + 0.25 * k)
            if k == 1:
                stroke(at(-0.14, 1.02), at(0.2, 1.42), (wide * 0.85, wide), coat)
            stroke(at(-0.15, 0.95, 0.1 * side), at(*knee, 0.12 * side), (0.18, 0.14), tone)
            stroke(at(*knee, 0.12 * side), at(*foot, 0.1 * side), (0.13, 0.1), tone)
            stroke(
                at(*foot, 0.1 * side),
                at(foot[0] + 0.12, foot[1], 0.1 * side),
                (0.1, 0.08),
                scaled(legs, 0.35),
            )
            arm = scaled(coat, 0.8 + 0.3 * k)
            stroke(at(0.2, 1.4, 0.19 * side), at(0.24, 1.14, 0.27 * side), (0.12, 0.1), arm)
            stroke(at(0.24, 1.14, 0.27 * side), at(0.42, 1.0, 0.24 * side), (0.1, 0.08), arm)
        canvas.disk(at(0.28, 1.64), (0.1 * scale, 0.13 * scale), skin, BICYCLIST)
        top = self.frame if self.helmet else look.hair
        shade = light.shade(top, FACING, self.z)
        canvas.disk(at(0.26, 1.71), (0.12 * scale, 0.09 * scale), shade, BICYCLIST)
