"""Pedestrians and cyclists: heads and limbs of rounded strokes, in clothes of any color."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2

from briskseg.data.streets.scene import (
    BICYCLIST,
    FACING,
    PEDESTRIAN,
    SHIFT,
    Canvas,
    Color,
    Light,
    Point,
    Shape,
    fixed,
    scaled,
)

SKIN: tuple[Color, ...] = ((226, 184, 156), (198, 148, 116), (146, 100, 74), (96, 66, 50))
At = Callable[..., Point]  # along, up, across in m -> pixel
Stroke = Callable[[Point, Point, Point, Color], None]


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

    def footprint(self) -> list[Shape]:
        x, z = self.x, self.z
        return [
            [(x - 0.25, z - 0.2), (x + 0.25, z - 0.2), (x + 0.25, z + 0.2), (x - 0.25, z + 0.2)]
        ]

    def shadow(self, light: Light) -> list[Shape]:
        return [standing_shadow(self.x, self.z, 0.4, light.throw(self.height))]

    def draw(self, canvas: Canvas) -> None:
        scale = canvas.camera.scale(self.z) * self.height / 1.75
        u, v = canvas.camera.at(self.x, 0, self.z)
        if canvas.misses(u, scale):
            return

        def at(x: float, y: float) -> Point:
            return u + x * scale, v - y * scale

        def stroke(a: Point, b: Point, widths: Point, color: Color) -> None:
            canvas.limb(a, b, (widths[0] * scale, widths[1] * scale), color, PEDESTRIAN)

        coat, legs, skin, hair = lit(self.look, canvas.light, self.z)
        swing = 0.26 * self.stride if self.sideways else 0.0
        shoulder = 0.1 if self.sideways else 0.19
        hand = at(-shoulder - 0.05 - swing, 0.85)
        stroke(at(-shoulder, 1.38), hand, (0.13, 0.1), scaled(coat, 0.8))
        self._draw_legs(at, stroke, legs)
        wide = 0.3 if self.sideways else 0.42
        stroke(at(0, 1.32), at(0, 0.88), (wide, wide * 0.86), coat)
        if canvas.light.direct > 0.3:
            edge = math.copysign(0.3 * wide, canvas.light.sun[0])
            stroke(at(edge, 1.3), at(edge, 0.9), (wide * 0.3,) * 2, scaled(coat, 1.2))
        hand = at(shoulder + 0.05 + swing, 0.85)
        stroke(at(shoulder, 1.38), hand, (0.13, 0.1), scaled(coat, 1.1))
        stroke(hand, (hand[0], hand[1] + 0.06 * scale), (0.09, 0.08), skin)
        stroke(at(0, 1.46), at(0, 1.54), (0.13, 0.13), skin)
        canvas.disk(at(0.01, 1.63), (0.1 * scale, 0.13 * scale), skin, PEDESTRIAN)
        canvas.disk(at(-0.01, 1.69), (0.105 * scale, 0.085 * scale), hair, PEDESTRIAN)
        if self.bag:
            stroke(at(-0.27, 0.8), at(-0.27, 0.62), (0.2, 0.24), scaled(coat, 0.5))

    def _draw_legs(self, at: At, stroke: Stroke, color: Color) -> None:
        step = 0.34 * self.stride if self.sideways else 0.06
        lift = 0.0 if self.sideways else 0.09 * max(0.0, self.stride)
        for sign, tone in ((-1, 0.75), (1, 1.0)):
            foot = 0.07 * sign + sign * step
            rise = 0.06 + (lift if sign > 0 else 0)
            knee = at(0.06 * sign + 0.6 * sign * step, 0.46)
            ankle = at(foot, rise)
            stroke(at(0.07 * sign, 0.86), knee, (0.2, 0.15), scaled(color, tone))
            stroke(knee, ankle, (0.15, 0.11), scaled(color, tone))
            toe = at(foot + (0.1 if self.sideways else 0.0), rise - 0.02)
            stroke(ankle, toe, (0.11, 0.1), scaled(color, 0.35))


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

    def footprint(self) -> list[Shape]:
        sin, cos = math.sin(self.heading), math.cos(self.heading)
        corners = ((0.9, 0.12), (0.9, -0.12), (-0.9, -0.12), (-0.9, 0.12))
        return [[(self.x + a * sin + b * cos, self.z + a * cos - b * sin) for a, b in corners]]

    def shadow(self, light: Light) -> list[Shape]:
        body = standing_shadow(self.x, self.z, 0.45, light.throw(1.7))
        return [body, *self.footprint()]

    def draw(self, canvas: Canvas) -> None:
        camera = canvas.camera
        heading = self.heading + camera.turn(self.z)
        sin, cos = math.sin(heading), math.cos(heading)
        scale = camera.scale(self.z)
        if canvas.misses(camera.at(self.x, 0, self.z)[0], 2 * scale):
            return

        def at(along: float, up: float, across: float = 0.0) -> Point:
            ahead = self.z + along * cos - across * sin
            bend = camera.shift(self.z) - camera.shift(ahead)
            return camera.at(self.x + along * sin + across * cos + bend, up, ahead)

        def stroke(a: Point, b: Point, widths: Point, color: Color) -> None:
            canvas.limb(
                a, b, (max(widths[0] * scale, 1), max(widths[1] * scale, 1)), color, BICYCLIST
            )

        self._draw_wheels(canvas, at, scale)
        metal = canvas.light.shade(self.frame, FACING, self.z)
        head, crank, saddle = at(0.4, 0.85), at(0, 0.3), at(-0.2, 0.9)
        for a, b in ((head, crank), (crank, saddle), (saddle, head), (crank, at(-0.52, 0.34))):
            stroke(a, b, (0.045, 0.045), metal)
        stroke(head, at(0.52, 0.34), (0.045, 0.045), metal)
        stroke(at(0.42, 1.0, -0.28), at(0.42, 1.0, 0.28), (0.05, 0.05), scaled(metal, 0.6))
        sides = (-1, 1) if cos * self.x - sin * self.z < 0 else (1, -1)
        self._draw_rider(canvas, at, stroke, sides, abs(sin))

    def _draw_wheels(self, canvas: Canvas, at: At, scale: float) -> None:
        turn = [2 * math.pi * k / 16 for k in range(16)]
        rubber = canvas.light.through_air((28, 28, 30), self.z)
        spoke = canvas.light.through_air((110, 112, 116), self.z)
        thick = max(1, round(0.055 * scale))
        for hub in (-0.52, 0.52):
            ring = [at(hub + 0.34 * math.cos(t), 0.34 + 0.34 * math.sin(t)) for t in turn]
            canvas.label(ring, BICYCLIST)
            for k in (0, 3, 6):
                canvas.limb(ring[k], ring[k + 8], (0.02 * scale,) * 2, spoke)
            cv2.polylines(canvas.image_hwc, [fixed(ring)], True, rubber, thick, cv2.LINE_AA, SHIFT)
            cv2.polylines(canvas.labels_hw, [fixed(ring)], True, (BICYCLIST,), thick, 8, SHIFT)

    def _draw_rider(
        self, canvas: Canvas, at: At, stroke: Stroke, sides: Point, sideways: float
    ) -> None:
        coat, legs, skin, hair = lit(self.look, canvas.light, self.z)
        scale = canvas.camera.scale(self.z)
        wide = 0.4 - 0.12 * sideways
        for k, side in enumerate(sides):
            turn = self.pedal + math.pi * k
            foot = (0.17 * math.cos(turn), 0.32 + 0.17 * math.sin(turn))
            knee = (0.28 + 0.3 * foot[0], 0.62 + 0.45 * (foot[1] - 0.3))
            tone = scaled(legs, 0.75 + 0.25 * k)
            if k == 1:
                stroke(at(-0.14, 1.02), at(0.2, 1.42), (wide * 0.85, wide), coat)
            stroke(at(-0.15, 0.95, 0.1 * side), at(*knee, 0.12 * side), (0.18, 0.14), tone)
            stroke(at(*knee, 0.12 * side), at(*foot, 0.1 * side), (0.13, 0.1), tone)
            toe = at(foot[0] + 0.12, foot[1], 0.1 * side)
            stroke(at(*foot, 0.1 * side), toe, (0.1, 0.08), scaled(legs, 0.35))
            arm, elbow = scaled(coat, 0.8 + 0.3 * k), at(0.24, 1.14, 0.27 * side)
            stroke(at(0.2, 1.4, 0.19 * side), elbow, (0.12, 0.1), arm)
            stroke(elbow, at(0.42, 1.0, 0.24 * side), (0.1, 0.08), arm)
        canvas.disk(at(0.28, 1.64), (0.1 * scale, 0.13 * scale), skin, BICYCLIST)
        top = canvas.light.shade(self.frame, FACING, self.z) if self.helmet else hair
        canvas.disk(at(0.26, 1.71), (0.12 * scale, 0.09 * scale), top, BICYCLIST)


def lit(look: Look, light: Light, z: float) -> tuple[Color, Color, Color, Color]:
    """Coat, trousers, skin and hair in this light."""
    coat, legs, skin, hair = (
        light.shade(color, FACING, z) for color in (look.coat, look.trousers, look.skin, look.hair)
    )
    return coat, legs, skin, hair


def standing_shadow(x: float, z: float, wide: float, throw: Point) -> Shape:
    """The ground shadow of something upright and `wide` m across that ends at `throw`."""
    reach = math.hypot(*throw) or 1.0
    across, along = -throw[1] / reach * wide / 2, throw[0] / reach * wide / 2
    tip = (x + throw[0], z + throw[1])
    return [
        (x - across, z - along),
        (x + across, z + along),
        (tip[0] + across, tip[1] + along),
        (tip[0] - across, tip[1] - along),
    ]
