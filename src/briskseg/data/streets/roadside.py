"""What stands beside the road: houses, trees, fences, and poles with what they carry."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from briskseg.data.streets.outlines import Point, Rng, Thing, box, boxes, disk, limb, scaled, vivid
from briskseg.data.streets.painter import Color, Label, Shape

BARK: Color = (88, 74, 60)
LEAVES = ((88.0, 122.0, 48.0), (70.0, 98.0, 44.0), (112.0, 128.0, 60.0), (176.0, 118.0, 44.0), BARK)
STEEL: Color = (112, 116, 118)
RED, BLUE, YELLOW = (205.0, 30.0, 36.0), (30.0, 80.0, 180.0), (230.0, 190.0, 50.0)
WHITE, BLACK = (242.0, 242.0, 238.0), (26.0, 26.0, 28.0)


def house(rng: Rng, x: float, z: Point, side: int, shop: bool) -> Thing:
    """A house beside the street, its front at x from z[0] to z[1].

    With side 0 it closes the street: its front faces us at z[0], as wide as z is long, from x.
    """
    wide, deep = z[1] - z[0], rng.uniform(7, 11)
    high = float(rng.uniform(5, 9) if rng.random() < 0.55 else rng.uniform(8, 19))
    roof = rng.uniform(1.8, 3.5) if high < 12 and rng.random() < 0.7 else 0.0
    gray, red = rng.uniform(100, 225), float(rng.beta(1, 1.6) * 0.45)
    wall: Color = (gray, gray * (1 - red), gray * (1 - 1.3 * red))  # from concrete to brick
    tiles = scaled((112, 74, 60) if rng.random() < 0.6 else (84, 84, 92), rng.uniform(0.7, 1.1))
    thing = Thing(x, z[0], along=side != 0)
    thing.depth = z[side != 0]
    if roof:
        back = np.array((side, 0, not side)) * 0.5 * deep  # from the front to the ridge
        slope = thing.place(box(0, high, wide, high + roof))
        slope[1:3] += back
        thing.shapes.append(Shape(slope, tiles, Label.BUILDING))
    if side:  # the end that we see as we come
        outline = [(0, 0), (0, high), (deep / 2, high + roof), (deep, high), (deep, 0)]
        gable = Thing(x, z[0]).place(np.array(outline) * (side, 1))
        thing.shapes.append(Shape(gable, scaled(wall, 0.95), Label.BUILDING))
    thing.face(box(0, 0, wide, high), wall, Label.BUILDING)
    if z[0] < (45 if side else 100):  # further on, one cannot see the windows
        _windows(thing, rng, (wide, high), shop)
    return thing


def _windows(thing: Thing, rng: Rng, size: Point, shop: bool) -> None:
    """Windows in rows, a ledge under the roof, and a door or shops on the ground floor."""
    (wide, high), storey = size, rng.uniform(2.8, 3.5)
    floors, bays = max(1, int((high - 0.4) / storey)), max(1, round(wide / rng.uniform(1.8, 3.4)))
    half = wide / bays * rng.uniform(0.15, 0.45)
    middle = np.tile((np.arange(bays) + 0.5) * wide / bays, floors - shop)
    sill = np.repeat(np.arange(shop, floors), bays) * storey + 0.3 * storey
    lintel = sill + storey * rng.uniform(0.4, 0.62)
    trim: Color = (225, 225, 220) if rng.random() < 0.5 else vivid(rng, 0.4, 40)
    if thing.z < 30:
        frames = boxes(middle - half - 0.1, sill - 0.1, middle + half + 0.1, lintel + 0.1)
        thing.faces(frames, [trim] * len(frames))
    glass = rng.uniform(28, 84, len(sill)) + 70 * (rng.random(len(sill)) < 0.2)
    panes = boxes(middle - half, sill, middle + half, lintel)
    thing.faces(panes, [scaled((0.92, 1.0, 1.1), bright) for bright in glass.tolist()])
    thing.face(box(0, high - 0.3, wide, high), trim)
    if not shop:
        left = wide / bays * rng.integers(bays) + 0.1
        thing.face(box(left, 0, left + 1.1, 2.2), vivid(rng, 0.8, 25))
    for left, right in pairwise(np.linspace(0, wide, 1 + round(wide / 5)).tolist() if shop else ()):
        sign = vivid(rng, 0.9, 30)
        thing.face(box(left, 0, right, storey), sign)
        pane = box(left + 0.25, 0.5, right - 0.25, storey - 0.8)
        thing.face(pane, scaled((1, 0.96, 0.9), rng.uniform(30, 130)))
        letters = box(left + 0.5, storey - 0.6, rng.uniform(left + 1, right), storey - 0.25)
        thing.face(letters, WHITE if sum(sign) < 380 else BLACK)


def tree(rng: Rng, x: float, z: float, size: float, leaf: Color) -> Thing:
    """A tree or bush `size` meters high; with leaves of the color of bark, it is bare in winter."""
    thing, count = Thing(x, z), 45 if z < 30 and size > 3 else 16
    trunk, wide = size * rng.uniform(0.2, 0.32), size * rng.uniform(0.2, 0.36)
    middle, half = (trunk + size) / 2, (size - trunk) / 2
    thing.face(limb((0, 0), (0, middle), 0.032 * size), BARK, Label.TREE)
    turn, reach = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.3, 1, count)
    way = np.stack([np.sin(turn), np.cos(turn)], 1) * reach[:, None]
    tips, tones = way * (wide, half) + (0, middle), rng.uniform(0.65, 1.2, count)
    label = None if leaf is BARK else Label.TREE
    if leaf is BARK:
        # What shows between the twigs is tree too.
        thing.face(disk(0, middle, wide, half), None, Label.TREE)
        forks = (0, trunk) + rng.uniform(0, 0.5, (count, 1)) * (tips - (0, trunk))
        outlines = np.stack([forks - (0.007 * size, 0), tips, forks + (0.007 * size, 0)], 1)
    else:
        thing.face(disk(0, middle, 0.65 * wide, 0.65 * half), scaled(leaf, 0.6), Label.TREE)
        rims = rng.uniform(0.15, 0.42, (count, 1, 1)) * rng.uniform(0.6, 1.2, (count, 14, 1))
        outlines = tips[:, None] * 0.95 + rims * min(wide, half) * disk(0, 0, 1)
        tones *= 0.85 + 0.4 * way[:, 1]  # bright above and dark below
    thing.faces(outlines, [scaled(leaf, tone) for tone in tones.tolist()], label)
    return thing


def fence(x: float, z: Point, high: float, planks: bool, color: Color) -> Thing:
    """Planks or railings along the street, from z[0] to z[1]."""
    thing, long = Thing(x, z[0], along=True), z[1] - z[0]
    # What shows between the bars of railings is fence too.
    thing.face(box(0, 0, long, high), color if planks else None, Label.FENCE)
    start = np.arange(0, long, 0.5 if planks else 0.35)
    thing.faces(boxes(start, 0, start + 0.05, high), [scaled(color, 0.75)] * len(start))
    for y in (0.12, high - 0.07):
        thing.face(box(0, y, long, y + 0.06), color)
    thing.depth = z[1]
    return thing


def pole(rng: Rng, x: float, z: float, carries: str, side: int, color: Color) -> Thing:
    """A pole with a "lamp", a "sign", a "signal" (traffic light), or a "bollard".

    `side` is the side of the street it stands on: lamps reach over the road.
    """
    thing = Thing(x, z)
    low, top, thick = {
        "lamp": (5.5, 9, 0.17), "sign": (2.3, 3.2, 0.09),
        "signal": (3.2, 4.5, 0.13), "bollard": (0.9, 1.1, 0.15),
    }[carries]  # fmt: skip
    high = rng.uniform(low, top)
    thing.face(box(-thick / 2, 0, thick / 2, high), color, Label.POLE)
    if carries == "lamp":
        arm = -side * rng.uniform(0.8, 2.2)
        thing.face(limb((0, high - 0.1), (arm, high + 0.3), 0.14), color, Label.POLE)
    elif carries == "signal":
        thing.face(box(-0.2, high - 1, 0.2, high + 0.1), BLACK, Label.SIGN)
        shines = int(rng.integers(3))
        for k, lamp in enumerate(((60, 380, 150), (400, 230, 40), (420, 50, 40))):
            thing.face(disk(0, high - 0.82 + 0.36 * k, 0.13), scaled(lamp, k == shines or 0.15))
    elif carries == "sign":
        _sign(thing, rng, high)
    return thing


def _sign(thing: Thing, rng: Rng, high: float) -> None:
    """A three-cornered, round or square sign at the top of a pole, with a figure on it."""
    size, wide = rng.uniform(0.32, 0.5), rng.uniform(0.8, 2.4)
    board, triangle = box(-wide, -1, wide, 1), np.array([(-1.2, -0.8), (0, 1.3), (1.2, -0.8)])
    outline, rim, field = (
        (triangle, RED, WHITE), (disk(0, 0, 1), RED, WHITE), (disk(0, 0, 1), WHITE, BLUE),
        (board, WHITE, BLUE), (board, BLACK, YELLOW), (board, WHITE, (36, 110, 70)),
    )[rng.integers(6)]  # fmt: skip
    middle = (0, high - 0.6 * size)
    thing.face(outline * size + middle, rim, Label.SIGN)
    thing.face(outline * size * 0.75 + middle, field)
    thing.face(outline * size * 0.3 + middle, BLACK if field in (WHITE, YELLOW) else WHITE)
