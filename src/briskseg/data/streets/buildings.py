"""Buildings along the street: boxes with a front, an end wall, a roof and chimneys."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.facade import Style, facade
from briskseg.data.streets.scene import (
    BUILDING,
    SHIFT,
    Canvas,
    Color,
    Light,
    Point,
    Shape,
    fixed,
    scaled,
)

# Brick, stone, render and concrete: several are the colors of road and paving.
WALLS: tuple[Color, ...] = (
    (142, 84, 66),
    (168, 112, 84),
    (176, 152, 112),
    (120, 96, 84),
    (214, 206, 190),
    (196, 178, 146),
    (150, 148, 144),
    (118, 118, 122),
    (184, 180, 174),
    (104, 92, 80),
)
NEAREST_WALL = 2.5  # m; walls are cut here, where they are outside every picture


@dataclass(frozen=True)
class Building:
    """A box along the street: `x` of its front, from Z to Z, `deep` m away from the street."""

    side: int
    x: float
    z0: float
    z1: float
    height: float
    deep: float
    roof: float  # m of the ridge above the eaves; 0: flat
    tiles: Color
    bare: bool  # no neighbor hides the end wall
    style: Style
    look: int

    @property
    def z(self) -> float:
        return self.z1

    def footprint(self) -> list[Shape]:
        x, back = self.x - self.side * 0.3, self.x + self.side * self.deep
        return [[(x, self.z0), (x, self.z1), (back, self.z1), (back, self.z0)]]

    def shadow(self, light: Light) -> list[Shape]:
        back = self.x + self.side * self.deep
        base = np.array([(self.x, self.z0), (self.x, self.z1), (back, self.z1), (back, self.z0)])
        corners = np.concatenate([base, base + light.throw(self.height)]).astype(np.float32)
        return [cv2.convexHull(corners)[:, 0]]

    def draw(self, canvas: Canvas) -> None:
        z0 = max(self.z0, NEAREST_WALL)
        if self.z1 <= z0 + 0.5:
            return
        rng = np.random.default_rng(self.look)
        if self.roof:
            self._draw_roof(canvas, z0)
        if self.z0 > NEAREST_WALL:
            self._draw_end(canvas, rng)
        self._draw_front(canvas, z0, rng)

    def _at(self, canvas: Canvas, across: float, y: float, z: float) -> Point:
        return canvas.camera.at(self.x + self.side * across, y, z)

    def _draw_roof(self, canvas: Canvas, z0: float) -> None:
        middle, eaves = self.deep / 2, self.height
        slope = math.hypot(self.roof, middle)
        normal = (-self.side * self.roof / slope, middle / slope, 0.0)
        courses = 6 if z0 < 40 else 2
        for k in range(courses):  # courses of tiles, darker in turn
            low, high = k / courses, (k + 1) / courses
            course = [
                self._at(canvas, share * middle, eaves + share * self.roof, z)
                for share, z in ((low, z0), (low, self.z1), (high, self.z1), (high, z0))
            ]
            color = canvas.light.shade(scaled(self.tiles, 1 - 0.09 * (k % 2)), normal, self.z0)
            canvas.fill(course, color, BUILDING)
        for z in (self.z1 - 1, self.z0 + 1):
            if z0 < z < 60:
                u, v = self._at(canvas, middle, eaves + self.roof, z)
                scale = canvas.camera.scale(z)
                brick = canvas.light.shade(scaled(self.style.wall, 0.8), (0, 0, -1), z)
                canvas.box((u, v - 0.3 * scale), (0.4 * scale, 0.9 * scale), brick, BUILDING)

    def _draw_end(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """The wall that faces the camera, with its gable."""
        z, light = self.z0, canvas.light
        corners = [
            self._at(canvas, across, y, z)
            for across, y in ((0, self.height), (self.deep, self.height), (self.deep, 0), (0, 0))
        ]
        color = light.shade(self.style.wall, (0, 0, -1), z)
        if self.roof:
            ridge = self._at(canvas, self.deep / 2, self.height + self.roof, z)
            canvas.fill([corners[0], ridge, corners[1]], scaled(color, 0.96), BUILDING)
        if not self.bare or z > 45 or canvas.window(np.array(corners)) is None:
            canvas.fill(corners, color, BUILDING)
            return
        if self.side < 0:
            corners = [corners[1], corners[0], corners[3], corners[2]]
        density = min(canvas.camera.scale(z), 24.0)
        texture = facade(
            self.style,
            (self.height, self.deep),
            density,
            lambda color: light.shade(color, (0, 0, -1), z),
            rng,
        )
        hang(canvas, texture, np.array(corners))

    def _draw_front(self, canvas: Canvas, z0: float, rng: np.random.Generator) -> None:
        camera, light = canvas.camera, canvas.light
        ends = [(self.height, z0), (self.height, self.z1), (0, self.z1), (0, z0)]
        corners = [self._at(canvas, 0, y, z) for y, z in ends]
        wide = (corners[0][0] - corners[1][0]) * self.side
        if wide <= 0:  # the street bends away: the front is hidden
            return
        normal, far = (-float(self.side), 0.0, 0.0), 0.5 * (z0 + self.z1)
        if wide < 6:
            color = light.shade(scaled(self.style.wall, 0.85), normal, far)
            canvas.fill(corners, color, BUILDING)
            return
        if canvas.window(np.array(corners)) is None:
            return
        seen = max(z0, 1.8 * abs(self.x) * camera.focal / camera.size_hw[1])
        density = min(camera.scale(seen) * 0.9, 28.0)
        texture = facade(
            self.style,
            (self.height, self.z1 - z0),
            density,
            lambda color: light.shade(color, normal, far),
            rng,
        )
        # Foreshortening squeezes the wall sideways; averaging beforehand keeps windows whole.
        narrow = camera.focal * abs(self.x) / seen**2 * (self.z1 - z0) * 1.2
        if narrow < 0.8 * texture.shape[1]:
            size = (max(2, round(narrow)), texture.shape[0])
            texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
        if self.side > 0:
            corners = [corners[1], corners[0], corners[3], corners[2]]
        hang(canvas, texture, np.array(corners))


def hang(canvas: Canvas, texture: Array, corners: Array) -> None:
    """Stretch a texture over the wall with these corners (4, 2), from its top left around."""
    window = canvas.window(corners)
    if window is None:
        return
    rows, columns = window
    high, wide = texture.shape[:2]
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32) - 0.5
    target = (corners - [columns.start, rows.start]).astype(np.float32)
    view = canvas.image_hwc[rows, columns]
    cv2.warpPerspective(
        texture,
        cv2.getPerspectiveTransform(source, target),
        view.shape[1::-1],
        view,
        cv2.INTER_LINEAR,
        cv2.BORDER_TRANSPARENT,
    )
    cv2.fillConvexPoly(canvas.labels_hw, fixed(corners), (BUILDING,), cv2.LINE_8, SHIFT)
