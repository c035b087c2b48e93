"""Walls seen straight on: rows of windows with frames and sills, doors, shop fronts, masonry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.scene import Color, any_color, noise_patch, scaled

Paint = Callable[[Color], Color]  # the color in this light and air
Ink = tuple[Array, Paint]


@dataclass(frozen=True)
class Style:
    """How a building's wall looks."""

    wall: Color
    trim: Color
    floor: float  # m
    bay: float  # m from window to window
    share: float  # of the bay that is window
    tall: float  # of the floor that is window
    brick: bool
    shop: bool
    band: bool  # a ledge at every floor
    panes: int  # 1, 2 or 4 to a window


def facade(
    style: Style, size: tuple[float, float], density: float, paint: Paint, rng: np.random.Generator
) -> Array:
    """A wall of `size` (height, width) in meters, (H, W, 3) uint8, `density` pixels a meter."""
    floors = max(1, int((size[0] - 0.4) / style.floor))
    bays = max(1, round(size[1] / style.bay))
    cell = (max(4, round(style.floor * density)), max(3, round(size[1] * density / bays)))
    eaves = max(1, round((size[0] - floors * style.floor) * density))
    window, glass = _window(style, cell, density, paint)
    texture = np.tile(window, (floors, bays, 1))
    factor = masonry(style.brick, texture.shape[:2], density, rng)
    shine = np.where(rng.random((floors, bays)) < 0.2, 1.9, rng.uniform(0.6, 1.4, (floors, bays)))
    bright = np.repeat(np.repeat(shine, cell[0], 0), cell[1], 1)
    factor = np.where(np.tile(glass, (floors, bays)), bright, factor)
    if not style.shop:
        door = int(rng.integers(bays))
        _door(texture, factor, (texture.shape[0] - cell[0], door * cell[1]), cell, paint, rng)
    weight = np.clip(factor * 100, 0, 255).astype(np.uint8)
    cv2.multiply(texture, cv2.merge([weight] * 3), texture, 0.01)
    if style.shop:
        _shops(texture, cell[0], density, paint, rng)
    top = np.empty((eaves, texture.shape[1], 3), np.uint8)
    top[:] = paint(style.wall)
    top[: max(1, eaves // 2)] = paint(style.trim)
    return np.concatenate([top, texture])


def _window(
    style: Style, cell: tuple[int, int], density: float, paint: Paint
) -> tuple[Array, Array]:
    """One bay of one floor, (h, w, 3) uint8, and where it is glass, (h, w) bool."""
    high, wide = cell
    picture = np.empty((high, wide, 3), np.uint8)
    picture[:] = paint(style.wall)
    glass = np.zeros(cell, np.uint8)
    rim = max(1, round(density * 0.08))
    half = style.share * wide / 2
    x0, x1 = round(wide / 2 - half), round(wide / 2 + half) - 1
    y1 = high - 1 - round((1 - style.tall) * 0.55 * high)
    y0 = y1 - round(style.tall * high) + 1
    frame = paint(style.trim)
    cv2.rectangle(picture, (x0 - rim, y0 - rim), (x1 + rim, y1 + rim), frame, -1)
    cv2.rectangle(picture, (x0, y0), (x1, y1), paint((56, 61, 68)), -1)
    cv2.rectangle(glass, (x0, y0), (x1, y1), 1, -1)
    bar = max(1, rim // 2)
    if style.panes >= 2:
        middle = (x0 + x1) // 2
        cv2.rectangle(picture, (middle, y0), (middle + bar - 1, y1), frame, -1)
        glass[:, middle : middle + bar] = 0
    if style.panes >= 4:
        middle = (y0 + y1) // 2
        cv2.rectangle(picture, (x0, middle), (x1, middle + bar - 1), frame, -1)
        glass[middle : middle + bar] = 0
    sill = paint((172, 168, 160))
    cv2.rectangle(picture, (x0 - rim, y1 + 1), (x1 + rim, y1 + rim), sill, -1)
    if style.band:
        picture[: max(1, rim)] = sill
    return picture, glass > 0


def masonry(
    brick: bool, size_hw: tuple[int, int], density: float, rng: np.random.Generator
) -> Array:
    """Brightness of a wall around 1, size_hw float32: courses of brick, stains, soot."""
    high, wide = size_hw
    factor = 1 + 0.05 * noise_patch(rng, size_hw, max(1.0, density / 4))
    if brick and density > 5:
        courses = (max(1, round(high / density / 0.16)), max(1, round(wide / density / 0.4)))
        bricks = rng.uniform(0.84, 1.14, courses).astype(np.float32)
        bricks[::2] *= 0.94
        factor *= cv2.resize(bricks, (wide, high), interpolation=cv2.INTER_NEAREST)
    return factor


def _door(
    texture: Array,
    factor: Array,
    corner: tuple[int, int],
    cell: tuple[int, int],
    paint: Paint,
    rng: np.random.Generator,
) -> None:
    """A door in place of the window of one ground floor bay, whose corner is (top, left)."""
    (top, left), (high, wide) = corner, cell
    half = max(1, min(round(0.17 * high), wide // 2))
    x0, x1 = left + wide // 2 - half, left + wide // 2 + half
    y0, y1 = top + round(0.28 * high), top + high - 1
    rim = max(1, half // 5)
    cv2.rectangle(texture, (x0 - rim, y0 - rim), (x1 + rim, y1), paint((214, 210, 200)), -1)
    cv2.rectangle(texture, (x0, y0), (x1, y1), paint(any_color(rng, 0.8, 25)), -1)
    cv2.rectangle(texture, (x0, y0), (x1, y0 + round(0.1 * high)), paint((60, 64, 70)), -1)
    factor[y0 - rim : y1 + 1, max(0, x0 - rim) : x1 + rim] = 1


def _shops(
    texture: Array, floor: int, density: float, paint: Paint, rng: np.random.Generator
) -> None:
    """Shop windows under lettered bands across the ground floor, `floor` pixels high."""
    high, wide = texture.shape[:2]
    top, x = high - floor, 0
    while x < wide:
        width = round(rng.uniform(3.5, 6.5) * density)
        if x + 1.5 * width > wide:
            width = wide - x
        _shop((texture, paint), (x, top, x + width, high), density, rng)
        x += width


def _shop(
    ink: Ink, box: tuple[int, int, int, int], density: float, rng: np.random.Generator
) -> None:
    """One shop front in the box (left, top, right, bottom)."""
    texture, paint = ink
    left, top, right, bottom = box
    hue = any_color(rng, 0.9, 30)
    band = top + round(0.62 * density)

    def block(x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        corner, other = (round(x0), round(y0)), (round(x1), round(y1))
        cv2.rectangle(texture, corner, other, paint(color), -1)

    block(left, top, right, bottom, scaled(hue, 0.8))
    block(left, top, right, band, hue)
    letter = max(1.0, 0.17 * density)
    light = (236.0, 232.0, 218.0) if sum(hue) < 380 else (40.0, 36.0, 40.0)
    x = left + 0.2 * (right - left)
    while x < left + rng.uniform(0.6, 0.85) * (right - left):
        block(x, band - letter * rng.uniform(1.8, 2.8), x + letter, band - letter, light)
        x += 2 * letter
    inset, foot = 0.2 * density, bottom - 0.5 * density
    upper = band + 0.15 * density
    glow = rng.uniform(30, 120)
    pane = (glow * rng.uniform(0.95, 1.15), glow, glow * rng.uniform(0.8, 1.1))
    block(left + inset, upper, right - inset, foot, pane)
    for _ in range(rng.integers(2, 6)):
        x = left + inset + rng.uniform(0, 0.8) * max(right - left - 2 * inset, 1)
        tall, broad = rng.uniform(0.3, 1.1) * density, rng.uniform(0.2, 0.5) * density
        block(x, foot - tall, min(x + broad, right - inset), foot, any_color(rng, 0.6, 50))
    door = right - inset - 1.0 * density
    if door > left:
        block(door, upper, door + 0.9 * density, bottom, (36, 34, 38))
