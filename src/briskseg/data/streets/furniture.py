"""What is put up along a street: fences and railings, lamps, traffic lights, signs, bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from briskseg.core.labels import IGNORED
from briskseg.core.types import Array
from briskseg.data.streets.people import standing_shadow
from briskseg.data.streets.scene import (
    FACING,
    FENCE,
    POLE,
    SIGN,
    Canvas,
    Color,
    Light,
    Point,
    Shape,
    scaled,
)

STEEL: Color = (120, 124, 126)


@dataclass(frozen=True)
class Fence:
    """A few meters of railings, planks or guard rail along the street.

    What shows between the bars is fence too.
    """

    x: float
    z0: float
    z1: float
    height: float
    kind: str  # "railings" | "planks" | "guard"
    color: Color

    @property
    def z(self) -> float:
        return self.z1

    def footprint(self) -> list[Shape]:
        return []

    def shadow(self, light: Light) -> list[Shape]:
        shapes: list[Shape] = []
        spans = ((0.1, 0.25), (self.height - 0.2, self.height))
        for low, high in ((0.0, self.height),) if self.kind == "planks" else spans:
            (x0, z0), (x1, z1) = light.throw(low), light.throw(high)
            shapes.append(
                [
                    (self.x + x0, self.z0 + z0),
                    (self.x + x0, self.z1 + z0),
                    (self.x + x1, self.z1 + z1),
                    (self.x + x1, self.z0 + z1),
                ]
            )
        return shapes

    def _panel(self, canvas: Canvas, z0: float, z1: float, low: float, high: float) -> Shape:
        at, x = canvas.camera.at, self.x
        return [at(x, low, z0), at(x, low, z1), at(x, high, z1), at(x, high, z0)]

    def draw(self, canvas: Canvas) -> None:
        z0, z1 = max(self.z0, 1.5), self.z1
        if z1 <= z0:
            return
        panel = self._panel(canvas, z0, z1, 0.05, self.height)
        if canvas.window(np.array(panel)) is None:
            return
        side = -math.copysign(1.0, self.x)
        color = canvas.light.shade(self.color, (0.7 * side, 0.2, -0.7), 0.5 * (z0 + z1))
        post = self._panel(canvas, z0, z0 + 0.1, 0, self.height)
        if self.kind == "planks":
            canvas.fill(panel, color, FENCE)
            self._draw_bars(canvas, (z0, z1), 0.16, 0.025, scaled(color, 0.7))
        elif self.kind == "guard":
            canvas.label(self._panel(canvas, z0, z1, 0.32, self.height), FENCE)
            canvas.fill(post, scaled(color, 0.6), FENCE)
            for low, high, tone in ((0.4, 0.62, 0.8), (0.62, 0.74, 1.2), (0.74, 1.0, 0.92)):
                rail = self._panel(canvas, z0, z1, low * self.height, high * self.height)
                canvas.fill(rail, scaled(color, tone), FENCE)
        else:
            canvas.label(panel, FENCE)
            self._draw_bars(canvas, (z0, z1), 0.15, 0.035, color)
            canvas.fill(post, color, FENCE)
            for low in (0.08, self.height - 0.06):
                canvas.fill(self._panel(canvas, z0, z1, low, low + 0.06), color, FENCE)

    def _draw_bars(
        self, canvas: Canvas, span: Point, gap: float, thick: float, color: Color
    ) -> None:
        z0, z1 = span
        pitch = canvas.camera.focal * abs(self.x) * gap / z1**2
        gap *= max(1.0, math.ceil(2.0 / max(pitch, 1e-3)))  # closer than 2 px they only alias
        thick = max(thick, gap * 0.25)
        near = np.arange(z0, z1, gap)
        corners = ((0.1, 0.0), (self.height, 0.0), (self.height, thick), (0.1, thick))
        ends = [canvas.camera.along(self.x, y, near + depth) for y, depth in corners]
        canvas.fill_all(np.stack(ends, 1), color)


@dataclass(frozen=True)
class Pole:
    """A mast with what it carries: "lamp", "signal", "sign", "wires", "bollard" or "bare"."""

    x: float
    z: float
    height: float
    width: float
    color: Color
    carries: str
    inward: int  # the side, -1 or +1, towards the road
    look: int

    def footprint(self) -> list[Shape]:
        x, z, r = self.x, self.z, self.width
        return [[(x - r, z - r), (x + r, z - r), (x + r, z + r), (x - r, z + r)]]

    def shadow(self, light: Light) -> list[Shape]:
        return [standing_shadow(self.x, self.z, self.width, light.throw(self.height))]

    def draw(self, canvas: Canvas) -> None:
        scale = canvas.camera.scale(self.z)
        u, v = canvas.camera.at(self.x, 0, self.z)
        if canvas.misses(u, 2.2 * scale):
            return
        rng = np.random.default_rng(self.look)
        top = v - scale * self.height
        thick = max(scale * self.width, 1.2)
        color = canvas.light.shade(self.color, FACING, self.z)
        half = thick / 2
        shaft = [(u - half, v), (u - 0.8 * half, top), (u + 0.8 * half, top), (u + half, v)]
        canvas.fill(shaft, color, POLE)
        if thick > 2:
            lit = math.copysign(half, canvas.light.sun[0])
            gleam = [(u, v), (u, top), (u + 0.8 * lit, top), (u + lit, v)]
            canvas.fill(gleam, scaled(color, 1.25))
        if self.carries == "lamp":
            self._draw_lamp(canvas, (u, top), scale, thick, color)
        elif self.carries == "signal":
            self._draw_signal(canvas, (u, v), scale, rng)
        elif self.carries == "sign":
            size = rng.uniform(0.55, 1.0) * scale
            draw_sign(canvas, (u, top + size * 0.5), size, self.z, rng)
            if rng.random() < 0.35:
                draw_sign(canvas, (u, top + size * 1.6), size, self.z, rng)
        elif self.carries == "wires":
            for drop in (0.3, 0.9):
                level = top + scale * drop
                left, right = (u - scale * 0.9, level), (u + scale * 0.9, level)
                canvas.limb(left, right, (thick * 0.6, thick * 0.6), color, POLE)
        elif self.carries == "bollard":
            white = canvas.light.shade((220, 220, 215), FACING, self.z)
            canvas.box((u, top + scale * 0.2), (thick / 2, scale * 0.06), white)

    def _draw_lamp(
        self, canvas: Canvas, top: Point, scale: float, thick: float, color: Color
    ) -> None:
        head = (top[0] + self.inward * 1.3 * scale, top[1] - 0.35 * scale)
        end = (head[0] + self.inward * 0.7 * scale, head[1])
        slim = max(0.6 * thick, 1)
        canvas.limb(top, head, (slim, slim * 0.8), color, POLE)
        canvas.limb(head, end, (0.2 * scale, 0.26 * scale), color, POLE)
        glow = (255.0, 236.0, 190.0) if canvas.light.dusk else scaled(color, 1.15)
        under = 0.08 * scale
        start, stop = (head[0], head[1] + under), (end[0], end[1] + under)
        canvas.limb(start, stop, (0.08 * scale, 0.1 * scale), glow)

    def _draw_signal(
        self, canvas: Canvas, foot: Point, scale: float, rng: np.random.Generator
    ) -> None:
        lit = int(rng.integers(3))
        dark = canvas.light.shade((32, 34, 34), FACING, self.z)
        u, v = foot
        for low in (self.height - 1.0, self.height - 3.2)[: 1 + int(self.height > 4.5)]:
            middle = v - scale * (low + 0.52)
            canvas.box((u, middle), (max(0.2 * scale, 1.0), 0.52 * scale), dark, SIGN)
            for k, lamp in enumerate(((70, 225, 130), (250, 190, 60), (240, 60, 50))):
                color = canvas.light.through_air(scaled(lamp, 1 if k == lit else 0.22), self.z)
                canvas.disk((u, middle + scale * (0.32 - 0.32 * k)), (0.12 * scale,) * 2, color)


def draw_sign(
    canvas: Canvas, center: Point, size: float, z: float, rng: np.random.Generator
) -> None:
    """A plate `size` px across that faces the camera: round, triangular, square or lettered."""

    def paint(color: Color) -> Color:
        return canvas.light.shade(color, FACING, z)

    red, white, blue = paint((200, 36, 40)), paint((232, 232, 228)), paint((36, 78, 170))
    black = paint((22, 22, 24))
    kind, half, (u, v) = int(rng.integers(7)), size / 2, center
    if kind == 0:  # a limit
        canvas.disk(center, (half, half), red, SIGN)
        canvas.disk(center, (half * 0.74, half * 0.74), white)
        for d in (-0.28, 0.28):
            canvas.box((u + d * half, v), (0.16 * half, 0.38 * half), black)
    elif kind == 1:  # a warning
        for grow, drop, color, label in ((1.15, 0.0, red, SIGN), (0.72, 0.1, white, None)):
            a, b, c = half * grow, half * drop, 0.8 * half * grow
            canvas.fill([(u - a, v + b + c), (u + a, v + b + c), (u, v + b - a)], color, label)
        canvas.box((u, v + 0.25 * half), (0.1 * half, 0.35 * half), black)
    elif kind == 2:  # an order
        canvas.disk(center, (half, half), blue, SIGN)
        canvas.limb((u, v + half * 0.6), (u, v - half * 0.5), (half * 0.3, 0.1), white)
    elif kind == 3:  # no entry
        canvas.disk(center, (half, half), red, SIGN)
        canvas.box(center, (half * 0.7, half * 0.2), white)
    elif kind == 4:  # information
        canvas.box(center, (half, half), blue, SIGN)
        canvas.box(center, (half * 0.25, half * 0.7), white)
    else:
        _draw_board(canvas, center, half, (paint((30, 104, 62)), white, blue, black), rng)


def _draw_board(
    canvas: Canvas,
    center: Point,
    half: float,
    paints: tuple[Color, Color, Color, Color],
    rng: np.random.Generator,
) -> None:
    """A lettered board: directions, or a notice."""
    green, white, blue, black = paints
    plate = (green, white, blue)[int(rng.integers(3))]
    ink = black if plate is white else white
    wide, high = half * rng.uniform(1.1, 1.9), half * rng.uniform(0.7, 1.3)
    canvas.box(center, (wide, high), plate, SIGN)
    for row in (-0.6, -0.2, 0.2, 0.6):
        long = wide * rng.uniform(0.4, 0.8)
        canvas.box((center[0], center[1] + row * high), (long, 0.1 * high), ink)


@dataclass(frozen=True)
class Bin:
    """A litter bin or cabinet on the pavement, of no class: its pixels are ignored."""

    x: float
    z: float
    height: float
    width: float
    color: Color

    def _square(self) -> Array:
        return np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * self.width

    def footprint(self) -> list[Shape]:
        return [self._square() + [self.x, self.z]]

    def shadow(self, light: Light) -> list[Shape]:
        return [standing_shadow(self.x, self.z, self.width, light.throw(self.height))]

    def draw(self, canvas: Canvas) -> None:
        u, v = canvas.camera.at(self.x, 0, self.z)
        scale = canvas.camera.scale(self.z)
        wide, high = scale * self.width / 2, scale * self.height
        color = canvas.light.shade(self.color, FACING, self.z)
        body = [
            (u - 0.9 * wide, v),
            (u - wide, v - high),
            (u + wide, v - high),
            (u + 0.9 * wide, v),
        ]
        canvas.fill(body, color, IGNORED)
        canvas.box((u, v - high), (wide, 0.06 * high), scaled(color, 1.3), IGNORED)
