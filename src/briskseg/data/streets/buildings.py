"""Buildings: walls with rows of windows, doors and shop fronts, roofs, chimneys, low walls."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.data.streets.scene import (
    BUILDING,
    FAR,
    Array,
    Canvas,
    Color,
    Light,
    any_color,
    noise_patch,
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
    """A box along the street: `x` of its wall, from Z to Z, `deep` m away from the street."""

    side: int
    x: float
    z0: float
    z1: float
    height: float
    deep: float
    roof: float  # m of the ridge above the eaves; 0: flat
    shop: bool
    glazed: bool
    wall: Color
    trim: Color
    look: int

    @property
    def z(self) -> float:
        return 0.5 * (self.z0 + self.z1)

    def footprint(self) -> list[Array]:
        x = self.x - self.side * 0.3
        back = self.x + self.side * self.deep
        return [np.array([[x, self.z0], [x, self.z1], [back, self.z1], [back, self.z0]])]

    def shadow(self, light: Light) -> list[Array]:
        back = self.x + self.side * self.deep
        base = np.array([[self.x, self.z0], [self.x, self.z1], [back, self.z1], [back, self.z0]])
        corners = np.concatenate([base, light.cast(base, self.height)]).astype(np.float32)
        return [cv2.convexHull(corners)[:, 0].astype(np.float64)]

    def draw(self, canvas: Canvas) -> None:
        rng = np.random.default_rng(self.look)
        z0 = max(self.z0, NEAREST_WALL)
        if self.z1 <= z0 + 0.5:
            return
        if self.roof:
            self._draw_roof(canvas, z0)
        self._draw_end(canvas, rng)
        self._draw_front(canvas, z0, rng)

    def _corner(self, canvas: Canvas, across: float, y: float, z: float) -> Array:
        return canvas.camera.along([self.x + self.side * across, y, z])

    def _draw_roof(self, canvas: Canvas, z0: float) -> None:
        slope = np.array([-self.side * self.roof, self.deep / 2, 0]) / np.hypot(
            self.roof, self.deep / 2
        )
        tone = scaled((110, 72, 60) if self.look % 3 else (84, 84, 92), 0.8 + self.look % 5 / 12)
        middle = self.deep / 2
        eaves, ridge = self.height, self.height + self.roof
        for k in range(6):  # courses of tiles, darker in turn
            low, high = k / 6, (k + 1) / 6
            course = [
                self._corner(canvas, low * middle, eaves + low * self.roof, z0),
                self._corner(canvas, low * middle, eaves + low * self.roof, self.z1),
                self._corner(canvas, high * middle, eaves + high * self.roof, self.z1),
                self._corner(canvas, high * middle, eaves + high * self.roof, z0),
            ]
            color = canvas.light.shade(scaled(tone, 1 - 0.08 * (k % 2)), slope.tolist(), self.z)
            canvas.fill(np.array(course), color, BUILDING)
        for z in (self.z0 + 1, self.z1 - 1):
            if z > z0:
                self._draw_chimney(canvas, ridge, z)

    def _draw_chimney(self, canvas: Canvas, ridge: float, z: float) -> None:
        foot = self._corner(canvas, self.deep / 2, ridge, z)
        size = canvas.camera.pixels_per_meter(z) * np.array([0.45, 1.3])
        box = foot + size * np.array([[-1, 0.4], [1, 0.4], [1, -1], [-1, -1]])
        color = canvas.light.shade(scaled(self.wall, 0.8), (0, 0, -1), z)
        canvas.fill(box, color, BUILDING)

    def _draw_end(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """The wall that faces the camera, with its gable and a window or two."""
        if self.z0 < NEAREST_WALL:
            return
        outline = [(0.0, 0.0), (0.0, self.height), (self.deep, self.height), (self.deep, 0.0)]
        if self.roof:
            outline.insert(2, (self.deep / 2, self.height + self.roof))
        points = np.array([self._corner(canvas, a, y, self.z0) for a, y in outline])
        color = canvas.light.shade(self.wall, (0, 0, -1), self.z0)
        canvas.fill(points, color, BUILDING)
        pane = canvas.light.through_air((52, 58, 66), self.z0)
        for y in np.arange(1.2, self.height - 1.8, 3.0):
            for a in np.arange(1.5, self.deep - 2, 3.2):
                if rng.random() < 0.45:
                    hole = [(a, y), (a, y + 1.4), (a + 1, y + 1.4), (a + 1, y)]
                    corners = np.array([self._corner(canvas, p, q, self.z0) for p, q in hole])
                    canvas.fill(corners, pane)

    def _draw_front(self, canvas: Canvas, z0: float, rng: np.random.Generator) -> None:
        ends = [(self.height, self.z1), (self.height, z0), (0.0, z0), (0.0, self.z1)]
        corners = np.array([self._corner(canvas, 0, y, z) for y, z in ends])
        window = canvas.window(corners)
        if window is None or (corners[1, 0] - corners[0, 0]) * self.side <= 0:
            return
        density = canvas.camera.pixels_per_meter(max(z0, 5.0)) * 0.8
        texture = facade(self, min(density, 40.0), rng)
        normal = (-float(self.side), 0.0, 0.0)
        wide = texture.shape[1] * (self.z1 - z0) / (self.z1 - self.z0)
        left = texture.shape[1] - wide
        high = texture.shape[0]
        source = np.array([[left + wide, 0], [left, 0], [left, high], [left + wide, high]])
        rows, columns = window
        target = corners - [columns.start, rows.start]
        matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
        tone = np.array(canvas.light.shade((255, 255, 255), normal, 0)) / 255
        veil = canvas.light.veil(min(self.z, FAR))
        lit = texture * (tone * (1 - veil)) + np.array(canvas.light.haze) * veil
        view = canvas.image_hwc[rows, columns]
        cv2.warpPerspective(
            np.clip(lit, 0, 255).astype(np.uint8),
            matrix,
            view.shape[1::-1],
            view,
            cv2.INTER_LINEAR,
            cv2.BORDER_TRANSPARENT,
        )
        canvas.image_hwc[rows, columns] = view
        points = np.round(corners * 16).astype(np.int32)
        cv2.fillConvexPoly(canvas.labels_hw, points, (BUILDING,), cv2.LINE_8, 4)


def facade(building: Building, density: float, rng: np.random.Generator) -> Array:
    """The front seen straight on, (H, W, 3) uint8, `density` pixels a meter, unlit."""
    density = max(density, 3.0)
    high = max(8, round(building.height * density))
    wide = max(8, round((building.z1 - building.z0) * density))
    texture = np.empty((high, wide, 3), np.uint8)
    grain = masonry(rng, (high, wide), density)[..., None]
    texture[:] = np.clip(np.array(building.wall) * grain, 0, 255)
    floor = 3.0 if building.glazed else float(rng.uniform(2.8, 3.6))
    floors = max(1, int((building.height - 0.3) / floor))
    columns = max(1, int((building.z1 - building.z0) / rng.uniform(2.0, 3.4)))
    bay = wide / columns
    share = 0.92 if building.glazed else rng.uniform(0.32, 0.6)
    tall = 0.85 if building.glazed else rng.uniform(0.42, 0.62)
    frame = building.trim if rng.random() < 0.5 else (225.0, 225.0, 220.0)
    for level in range(1 if building.shop else 0, floors):
        sill = high - (level * floor + 0.9 * (not building.glazed)) * density
        for column in range(columns):
            left = (column + 0.5 - share / 2) * bay
            top = sill - floor * tall * density
            box = (left, top, left + share * bay, sill)
            door = level == 0 and column % 3 == building.look % 3
            paint_window(texture, box, density, frame, rng, high if door else None)
        if building.look % 4 == 0:
            y = round(high - (level + 1) * floor * density)
            cv2.rectangle(texture, (0, y), (wide, y + max(1, round(density / 6))), frame, -1)
    if building.shop:
        paint_shop(texture, density, floor, rng)
    eaves = max(1, round(0.3 * density))
    texture[:eaves] = np.array(building.trim)
    return texture


def masonry(rng: np.random.Generator, size_hw: tuple[int, int], density: float) -> Array:
    """Brightness of a wall around 1, size_hw float32: courses of brick, or stains on render."""
    high, wide = size_hw
    stains = 1 + 0.05 * noise_patch(rng, size_hw, max(1.0, density / 4))
    if rng.random() < 0.55:
        courses = (max(1, round(high / density / 0.15)), max(1, round(wide / density / 0.4)))
        bricks = rng.uniform(0.86, 1.12, courses).astype(np.float32)
        bricks[::2] *= 0.95
        stains *= cv2.resize(bricks, (wide, high), interpolation=cv2.INTER_NEAREST)
    return stains


def paint_window(
    texture: Array,
    box: tuple[float, float, float, float],
    density: float,
    frame: Color,
    rng: np.random.Generator,
    door_foot: int | None,
) -> None:
    """A window in its frame with a sill and perhaps a curtain, or a door down to the ground."""
    x0, y0, x1, y1 = (round(value) for value in box)
    rim = max(1, round(density * 0.09))
    if door_foot is not None:
        cv2.rectangle(texture, (x0, y0), (x1, door_foot), frame, -1)
        leaf = any_color(rng, 0.8, 25)
        cv2.rectangle(texture, (x0 + rim, y0 + rim), (x1 - rim, door_foot), leaf, -1)
        return
    cv2.rectangle(texture, (x0 - rim, y0 - rim), (x1 + rim, y1 + rim), frame, -1)
    glass = rng.uniform(25, 95)
    if rng.random() < 0.15:
        glass = rng.uniform(110, 170)
    pane = (glass * 0.92, glass * 0.98, glass * 1.08)
    cv2.rectangle(texture, (x0, y0), (x1, y1), pane, -1)
    if rng.random() < 0.3:
        side = x0 + round((x1 - x0) * 0.3)
        cv2.rectangle(texture, (x0, y0), (side, y1), scaled(pane, 1.6), -1)
    middle = (x0 + x1) // 2
    cv2.line(texture, (middle, y0), (middle, y1), frame, max(1, rim // 2))
    if rng.random() < 0.6:
        cv2.line(texture, (x0, (y0 + y1) // 2), (x1, (y0 + y1) // 2), frame, max(1, rim // 2))
    cv2.rectangle(texture, (x0 - rim, y1 + rim), (x1 + rim, y1 + 2 * rim), (170, 168, 160), -1)


def paint_shop(texture: Array, density: float, floor: float, rng: np.random.Generator) -> None:
    """A ground floor of shop windows under a lettered band."""
    high, wide = texture.shape[:2]
    top = max(0, round(high - floor * density))
    band = any_color(rng, 0.9, 40)
    x = 0
    while x < wide:
        width = round(rng.uniform(3.5, 6) * density)
        if x + 1.5 * width > wide:
            width = wide - x
        band = any_color(rng, 0.9, 30) if rng.random() < 0.6 else band
        cv2.rectangle(texture, (x, top), (x + width, high), scaled(band, 0.8), -1)
        cv2.rectangle(texture, (x, top), (x + width, top + round(0.6 * density)), band, -1)
        ink = (235, 230, 215) if sum(band) < 380 else (40, 35, 40)
        letter = max(1, round(0.16 * density))
        for dx in np.arange(0.2 * width, 0.8 * width, 2 * letter):
            rise = int(rng.integers(1, letter + 2))
            left, base = x + int(dx), top + round(0.45 * density)
            cv2.rectangle(texture, (left, base - rise), (left + letter, base), ink, -1)
        glass = rng.uniform(30, 110)
        pane = (glass, glass * rng.uniform(0.9, 1.05), glass * rng.uniform(0.8, 1.1))
        inset, foot = round(0.2 * density), high - round(0.5 * density)
        upper = top + round(0.75 * density)
        cv2.rectangle(texture, (x + inset, upper), (x + width - inset, foot), pane, -1)
        for _ in range(4):
            goods = any_color(rng, 0.6, 60)
            left = x + inset + int(rng.uniform(0, 0.8) * max(width - 2 * inset, 1))
            corner = (min(left + round(0.5 * density), x + width - inset), foot)
            cv2.rectangle(texture, (left, foot - round(0.7 * density)), corner, goods, -1)
        door = x + width - inset - round(1.0 * density)
        cv2.rectangle(texture, (door, upper), (door + round(0.9 * density), high), (38, 36, 40), -1)
        x += width
