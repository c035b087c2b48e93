"""What is put up along a street: fences and railings, lamps, traffic lights, signs, bins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from briskseg.data.streets.scene import (
    FENCE,
    IGNORED,
    POLE,
    SIGN,
    Array,
    Canvas,
    Color,
    Light,
    scaled,
)

STEEL: Color = (120, 124, 126)
FACING = (0.0, 0.25, -0.95)


@dataclass(frozen=True)
class Fence:
    """Railings, planks or a guard rail along the street; what shows between bars is fence too."""

    x: float
    z0: float
    z1: float
    height: float
    kind: str  # "railings" | "planks" | "guard"
    color: Color
    look: int

    @property
    def z(self) -> float:
        return 0.5 * (self.z0 + self.z1)

    def footprint(self) -> list[Array]:
        return []

    def shadow(self, light: Light) -> list[Array]:
        base = np.array([[self.x, self.z0], [self.x, self.z1]])
        if self.kind == "planks":
            return [np.concatenate([base, light.cast(base[::-1], self.height)])]
        bands = []
        for low, high in ((0.1, 0.25), (self.height - 0.2, self.height)):
            lower, upper = light.cast(base, low), light.cast(base[::-1], high)
            bands.append(np.concatenate([lower, upper]))
        return bands

    def _panel(self, canvas: Canvas, z0: float, z1: float, low: float, high: float) -> Array:
        x = self.x
        return canvas.camera.along([[x, low, z0], [x, low, z1], [x, high, z1], [x, high, z0]])

    def draw(self, canvas: Canvas) -> None:
        start, stop = max(self.z0, 1.5), self.z1
        steps = np.linspace(start, stop, max(2, int((stop - start) / 4) + 2))
        side = (-float(np.sign(self.x)), 0.0, 0.0)
        rng = np.random.default_rng(self.look)
        for z0, z1 in list(itertools.pairwise(steps))[::-1]:
            panel = self._panel(canvas, z0, z1, 0.05, self.height)
            if canvas.window(panel) is None:
                continue
            color = canvas.light.shade(self.color, side, 0.5 * (z0 + z1))
            if self.kind == "planks":
                canvas.fill(panel, color, FENCE)
                self._draw_bars(canvas, (z0, z1), 0.16, 0.025, scaled(color, 0.7))
                continue
            low = 0.05 if self.kind == "railings" else 0.35
            canvas.label(self._panel(canvas, z0, z1, low, self.height), FENCE)
            post = self._panel(canvas, z0, z0 + 0.1, 0, self.height)
            if self.kind == "guard":
                canvas.fill(post, scaled(color, 0.6), FENCE)
                for low, high, tone in ((0.35, 0.5, 0.8), (0.5, 0.58, 1.15), (0.58, 1, 0.9)):
                    rail = self._panel(canvas, z0, z1, low, high * self.height)
                    canvas.fill(rail, scaled(color, tone), FENCE)
                continue
            self._draw_bars(canvas, (z0, z1), 0.15, 0.035, color)
            canvas.fill(post, scaled(color, rng.uniform(0.85, 1)), FENCE)
            for low in (0.08, self.height - 0.08):
                canvas.fill(self._panel(canvas, z0, z1, low, low + 0.06), color, FENCE)

    def _draw_bars(
        self,
        canvas: Canvas,
        span: tuple[float, float],
        gap: float,
        thick: float,
        color: Color,
    ) -> None:
        z0, z1 = span
        pitch = canvas.camera.focal * abs(self.x) * gap / z1**2
        gap *= max(1.0, np.ceil(2.0 / max(pitch, 1e-3)))  # bars nearer than 2 px would only alias
        thick = max(thick, gap * 0.25)
        for z in np.arange(z0, z1, gap):
            canvas.fill(self._panel(canvas, z, z + thick, 0.1, self.height), color)


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

    def footprint(self) -> list[Array]:
        r = self.width
        ring = [[-r, -r], [r, -r], [r, r], [-r, r]]
        return [np.array(ring) + [self.x, self.z]]

    def shadow(self, light: Light) -> list[Array]:
        foot = np.array([[self.x - self.width / 2, self.z], [self.x + self.width / 2, self.z]])
        return [np.concatenate([foot, light.cast(foot[::-1], self.height)])]

    def draw(self, canvas: Canvas) -> None:
        rng = np.random.default_rng(self.look)
        scale = canvas.camera.pixels_per_meter(self.z)
        foot = canvas.camera.along([self.x, 0, self.z])
        top = foot - [0, scale * self.height]
        thick = max(scale * self.width, 1.3 * canvas.pixel)
        color = canvas.light.shade(self.color, FACING, self.z)
        self._shaft(canvas, foot, top, thick, color)
        if self.carries == "lamp":
            self._draw_lamp(canvas, top, scale, thick, color)
        elif self.carries == "signal":
            self._draw_signal(canvas, foot, scale, rng)
        elif self.carries == "sign":
            sizes = rng.uniform(0.5, 0.9) * scale
            draw_sign(canvas, top + np.array([0, sizes * 0.5]), sizes, self.z, rng)
            if rng.random() < 0.35:
                draw_sign(canvas, top + np.array([0, sizes * 1.6]), sizes, self.z, rng)
        elif self.carries == "wires":
            arm = np.array([scale * 0.9, 0])
            for drop in (0.3, 0.9):
                level = top + np.array([0, scale * drop])
                canvas.limb(level - arm, level + arm, (thick * 0.6, thick * 0.6), color, POLE)
        elif self.carries == "bollard":
            band = top + np.array([0, scale * 0.2])
            white = canvas.light.shade((220, 220, 215), FACING, self.z)
            canvas.limb(
                band - [thick / 2, 0], band + np.array([thick / 2, 0]), (scale * 0.1,) * 2, white
            )

    def _shaft(self, canvas: Canvas, foot: Array, top: Array, thick: float, color: Color) -> None:
        half = np.array([thick / 2, 0])
        outline = np.array([foot - half, top - 0.8 * half, top + 0.8 * half, foot + half])
        canvas.fill(outline, color, POLE)
        lit = half if canvas.light.sun[0] > 0 else -half
        canvas.fill(
            np.array([foot + lit * 0.2, top + lit * 0.2, top + lit * 0.8, foot + lit]),
            scaled(color, 1.25),
        )

    def _draw_lamp(
        self, canvas: Canvas, top: Array, scale: float, thick: float, color: Color
    ) -> None:
        arm = np.array([self.inward * 1.3 * scale, -0.35 * scale])
        slim = max(0.6 * thick, canvas.pixel)
        canvas.limb(top, top + arm, (slim, slim * 0.8), color, POLE)
        head = top + arm
        reach = np.array([self.inward * 0.7 * scale, 0])
        glow = (255.0, 236.0, 190.0) if canvas.light.dusk else scaled(color, 1.15)
        canvas.limb(head, head + reach, (0.2 * scale, 0.26 * scale), color, POLE)
        under = head + np.array([0, 0.08 * scale])
        canvas.limb(under, under + reach, (0.08 * scale, 0.1 * scale), glow)

    def _draw_signal(
        self, canvas: Canvas, foot: Array, scale: float, rng: np.random.Generator
    ) -> None:
        lit = int(rng.integers(3))
        dark = canvas.light.shade((32, 34, 34), FACING, self.z)
        for low in (self.height - 1.0, self.height - 3.2)[: 1 + int(self.height > 4.5)]:
            box = foot - np.array([0, scale * low])
            half = max(0.19 * scale, canvas.pixel)
            frame = np.array([[-half, 0], [-half, -1.05 * scale], [half, -1.05 * scale], [half, 0]])
            canvas.fill(box + frame, dark, SIGN)
            for k, lamp in enumerate(((70, 225, 130), (250, 190, 60), (240, 60, 50))):
                color = lamp if k == lit else scaled(lamp, 0.22)
                spot = box - np.array([0, scale * (0.2 + 0.32 * k)])
                canvas.disk(spot, (0.12 * scale,) * 2, canvas.light.through_air(color, self.z))


def draw_sign(
    canvas: Canvas, center: Array, size: float, z: float, rng: np.random.Generator
) -> None:
    """A plate `size` px across that faces the camera: round, triangular, square or lettered."""

    def paint(color: Color) -> Color:
        return canvas.light.shade(color, FACING, z)

    red, white, blue = paint((200, 36, 40)), paint((232, 232, 228)), paint((36, 78, 170))
    kind = rng.integers(6)
    half = size / 2
    square = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    if kind == 0:  # a limit
        canvas.disk(center, (half, half), red, SIGN)
        canvas.disk(center, (half * 0.76,) * 2, white)
        canvas.fill(center + square * [0.22, 0.5] - [half * 0.3, 0], paint((20, 20, 20)))
        canvas.fill(center + square * [0.22, 0.5] + np.array([half * 0.3, 0]), paint((20, 20, 20)))
    elif kind == 1:  # a warning
        corners = np.array([[-half, half * 0.8], [half, half * 0.8], [0, -half]]) * 1.15
        canvas.fill(center + corners, red, SIGN)
        canvas.fill(center + corners * 0.66 + np.array([0, half * 0.08]), white)
        canvas.fill(center + square * [0.12, 0.4] + np.array([0, half * 0.25]), paint((20, 20, 20)))
    elif kind == 2:  # an order
        canvas.disk(center, (half, half), blue, SIGN)
        canvas.limb(
            center + np.array([0, half * 0.6]), center - [0, half * 0.5], (half * 0.3, 0.1), white
        )
    elif kind == 3:  # no entry
        canvas.disk(center, (half, half), red, SIGN)
        canvas.fill(center + square * [0.7, 0.2], white)
    elif kind == 4:  # information
        canvas.fill(center + square, blue, SIGN)
        canvas.fill(center + square * [0.25, 0.7], white)
    else:
        plate = (paint((30, 104, 62)), white, paint((222, 186, 58)), blue)[rng.integers(4)]
        wide = square * [rng.uniform(1.1, 1.9), rng.uniform(0.6, 1.0)]
        ink = white if plate is not white else paint((30, 30, 34))
        canvas.fill(center + wide, plate, SIGN)
        for row in (-0.35, 0.05, 0.45):
            bar = wide * [rng.uniform(0.4, 0.8), 0.12] + np.array([0, row * half])
            canvas.fill(center + bar, ink)


@dataclass(frozen=True)
class Bin:
    """A litter bin or cabinet on the pavement, of no class: its pixels are ignored."""

    x: float
    z: float
    height: float
    width: float
    color: Color

    def footprint(self) -> list[Array]:
        r = self.width / 2
        return [np.array([[-r, -r], [r, -r], [r, r], [-r, r]]) + [self.x, self.z]]

    def shadow(self, light: Light) -> list[Array]:
        r = self.width / 2
        base = np.array([[self.x - r, self.z], [self.x + r, self.z]])
        return [np.concatenate([base, light.cast(base[::-1], self.height)])]

    def draw(self, canvas: Canvas) -> None:
        foot = canvas.camera.along([self.x, 0, self.z])
        size = canvas.camera.pixels_per_meter(self.z) * np.array([self.width / 2, self.height])
        color = canvas.light.shade(self.color, FACING, self.z)
        box = np.array([[-0.9, 0], [-1, -1], [1, -1], [0.9, 0]])
        canvas.fill(foot + box * size, color, IGNORED)
        lid = np.array([[-1, -1.06], [1, -1.06], [1, -0.94], [-1, -0.94]])
        canvas.fill(foot + lid * size, scaled(color, 1.3), IGNORED)
