"""Who uses the street: cars, vans and buses as solids, and people on foot and on bicycles."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.outlines import Point, Rng, Thing, box, disk, limb, scaled, vivid
from briskseg.data.streets.painter import Color, Label, Shape, newell

# Of each kind: length, height and width in meters; then in shares of them how high the windows
# begin and the nose is, where the rear window and the windscreen begin and end (-1 tail .. 1 nose:
# from back to front), and how wide the roof is.
BODIES = {
    "hatchback": ((4.0, 1.47, 1.75), 0.6, 0.48, (-0.97, -0.74, 0.1, 0.46), 0.76),
    "sedan": ((4.5, 1.45, 1.8), 0.62, 0.5, (-0.72, -0.42, 0.12, 0.5), 0.76),
    "van": ((4.9, 2.1, 1.9), 0.52, 0.38, (-1.0, -0.97, 0.34, 0.68), 0.8),
    "bus": ((10.5, 3.0, 2.5), 0.42, 0.4, (-1.0, -0.99, 0.96, 0.99), 0.93),
}
SKIN: tuple[Color, ...] = ((232, 190, 160), (206, 156, 120), (140, 96, 68), (92, 62, 46))

Stroke = tuple[float, float, float, float, float, Color]  # from X, Y to X, Y, width, color
Piece = tuple[Array, str, Label | None]  # corners (n, 3): along, up, across -1..1; what it is of


def car(rng: Rng, x: float, z: float, heading: float, kind: str) -> Thing:
    """A vehicle around (x, z); `heading` in rad, 0 drives away from us, pi comes nearer."""
    gray, bright = rng.uniform(20, 225), rng.random() < 0.4
    tones: dict[str, Color] = {
        "paint": vivid(rng, 0.85, 35) if rng.random() < 0.55 else (gray, gray, gray * 1.02),
        "black": (30, 30, 33),
        "rim": (150, 152, 156),
        "glass": scaled((44, 50, 58), rng.uniform(0.7, 1.9)),
        "red": (420, 50, 40) if bright else (150, 22, 28),
        "lamp": (420, 410, 370) if bright else (214, 216, 220),
        "plate": (228, 208, 96) if np.cos(heading) > 0 else (232, 232, 226),
    }
    half = np.array(BODIES[kind][0]) * rng.uniform(0.94, 1.06, 3) * (0.5, 1, 0.5)
    sin, cos = float(np.sin(heading)), float(np.cos(heading))
    turn = half[:, None] * np.array([[sin, 0, cos], [0, 1, 0], [-cos, 0, sin]])
    thing = Thing(x, z)
    for corners, tone, label in solid(kind):
        thing.shapes.append(Shape(corners @ turn + (x, 0, z), tones[tone], label, solid=True))
    return thing


@lru_cache(maxsize=len(BODIES))
def solid(kind: str) -> tuple[Piece, ...]:
    """The pieces of a kind of vehicle, in the order in which they are painted."""
    size, belt, bonnet, (back, rear, front, wind), roof = BODIES[kind]
    lower = _prism([(-1, 0.15), (-1, belt), (wind, belt), (1, bonnet), (1, 0.15)], (1.0, 0.98))
    cabin = _prism([(back, belt), (rear, 1.0), (front, 1.0), (wind, belt)], (0.95, roof))
    pieces: list[Piece] = [(face, "paint", Label.CAR) for face in lower]
    tail, nose = lower[2], lower[-1]
    for face, tone, part in (
        (tail, "black", (0, 0, 1, 0.25)), (tail, "plate", (0.35, 0.3, 0.65, 0.55)),
        (tail, "red", (0, 0.6, 0.18, 0.9)), (tail, "red", (0.82, 0.6, 1, 0.9)),
        (nose, "black", (0, 0.75, 1, 1)), (nose, "black", (0.28, 0.2, 0.72, 0.5)),
        (nose, "lamp", (0.02, 0.05, 0.24, 0.5)), (nose, "lamp", (0.76, 0.05, 0.98, 0.5)),
    ):  # fmt: skip
        pieces.append((_part(face, *part), tone, None))
    for along, across in ((-0.62, -1.005), (-0.62, 1.005), (0.62, -1.005), (0.62, 1.005)):
        for tone, radius in (("black", 0.32), ("rim", 0.2)):
            wide, high = 2 * radius / size[0], radius / size[1]
            wheel = disk(along, 0.32 / size[1], wide, high)
            label = Label.CAR if tone == "black" else None
            pieces.append((np.insert(wheel, 2, across, axis=1), tone, label))
    pieces += [(face, "paint", Label.CAR) for face in cabin]
    panes = [_part(face, 0.07, 0.1, 0.93, 0.88) for face in (cabin[2], cabin[-1])]
    pieces += [(pane, "glass", None) for pane in panes]
    for side in cabin[:2]:
        center = side.mean(0)
        pieces.append((center + (side - center) * (0.92, 0.72, 1), "glass", None))
    shade = np.insert(box(-1.04, -1.08, 1.04, 1.08), 1, 0, axis=1)  # on the ground below it
    solids = [(_outwards(corners), tone, label) for corners, tone, label in pieces]
    return ((shade, "black", None), *solids)


def _prism(outline: list[Point], halves: Point) -> list[Array]:
    """Left, right, then the faces from tail to nose; halves are the half widths low and high."""
    up = [corner[1] for corner in outline]
    half = np.interp(up, (min(up), max(up)), halves)
    left, right = np.column_stack([outline, -half]), np.column_stack([outline, half])
    strips = np.stack([left[:-1], left[1:], right[1:], right[:-1]], 1)
    return [left, right, *strips]


def _part(quad: Array, left: float, low: float, right: float, high: float) -> Array:
    """A part of a four-cornered face, in shares of its width and height."""
    across = [quad[:2] + (quad[3:1:-1] - quad[:2]) * share for share in (left, right)]
    (a, b), (c, d) = across
    return np.array([a + (b - a) * low, a + (b - a) * high, c + (d - c) * high, c + (d - c) * low])


def _outwards(corners: Array) -> Array:
    """The corners in that order in which they run clockwise seen from outside the vehicle."""
    normal = newell(corners, np.array([0]), np.array([len(corners)]))[0]
    return corners if normal @ (corners.mean(0) - (0, 0.3, 0)) > 0 else corners[::-1]


def person(rng: Rng, x: float, z: float, sideways: bool) -> Thing:
    """Someone on foot, who walks towards us, away from us, or `sideways` across."""
    coat, legs, skin, hair = _looks(rng)
    step = rng.uniform(-1, 1) * (0.28 if sideways else 0.05)
    hip, half = (0.02, 0.13) if sideways else (0.09, 0.19)
    swing = 1.3 * half
    strokes: list[Stroke] = [
        (-half, 1.36, -swing + step, 0.85, 0.11, scaled(coat, 0.8)),
        (-hip, 0.88, -hip - step, 0.06, 0.14, scaled(legs, 0.8)),
        (hip, 0.88, hip + step, 0.06, 0.14, legs),
        (0, 0.98, 0, 1.28, 2 * half, coat),
        (half, 1.36, swing - step, 0.85, 0.11, scaled(coat, 0.9)),
        (0, 1.57, 0, 1.63, 0.2, skin),
        (-0.02, 1.67, 0.02, 1.67, 0.17, hair),
    ]
    size = float(rng.normal(1.0, 0.05) if rng.random() < 0.85 else rng.uniform(0.6, 0.8))
    thing = Thing(x, z)
    _add_strokes(thing, strokes, (size, size), Label.PEDESTRIAN)
    return thing


def _add_strokes(thing: Thing, strokes: list[Stroke], scale: Point, label: Label) -> None:
    for x, y, u, v, wide, color in strokes:
        start, end = (x * scale[0], y * scale[1]), (u * scale[0], v * scale[1])
        thing.face(limb(start, end, wide * scale[1]), color, label)


def _looks(rng: Rng) -> tuple[Color, Color, Color, Color]:
    """The colors of someone's coat, legs, skin and hair."""
    hair = scaled((90, 62, 40), rng.uniform(0.2, 1.6))
    skin = SKIN[rng.integers(len(SKIN))]
    return vivid(rng, 0.9, 20), vivid(rng, 0.45, 20), skin, hair


def cyclist(rng: Rng, x: float, z: float, heading: float) -> Thing:
    """Someone on a bicycle; between the spokes it is labeled bicyclist too."""
    thing, frame, pedal = Thing(x, z), vivid(rng, 0.9, 40), rng.uniform(0, np.pi)
    coat, legs, skin, hair = _looks(rng)
    # The bicycle and its rider are flat, and never seen quite from the edge.
    narrow = float(np.copysign(max(abs(np.sin(heading)), 0.14), np.sin(heading)))
    for along in (-0.52, 0.52):
        outer, inner = disk(along, 0.34, 0.34), disk(along, 0.34, 0.29)[::-1]
        ring = np.concatenate([outer, outer[:1], inner[-1:], inner])
        thing.face(outer * (narrow, 1), None, Label.BICYCLIST)
        thing.face(ring * (narrow, 1), (26, 26, 28))
    u, v = 0.17 * np.cos(pedal), 0.17 * np.sin(pedal)
    strokes: list[Stroke] = [
        (-0.2, 0.98, 0.22 - u / 2, 0.64 - v / 2, 0.17, scaled(legs, 0.75)),
        (0.22 - u / 2, 0.64 - v / 2, -u, 0.32 - v, 0.12, scaled(legs, 0.75)),
        (-0.52, 0.34, 0.4, 0.9, 0.06, frame),
        (-0.2, 0.9, 0, 0.32, 0.06, frame),
        (0, 0.32, 0.4, 0.9, 0.06, frame),
        (0.52, 0.34, 0.38, 1.05, 0.06, frame),
        (-0.2, 0.98, 0.22 + u / 2, 0.64 + v / 2, 0.17, legs),
        (0.22 + u / 2, 0.64 + v / 2, u, 0.32 + v, 0.12, legs),
        (-0.2, 1.0, 0.12, 1.36, 0.34, coat),
        (0.14, 1.42, 0.44, 1.04, 0.12, scaled(coat, 0.85)),
        (0.24, 1.6, 0.24, 1.66, 0.22, skin),
        (0.22, 1.73, 0.26, 1.73, 0.2, vivid(rng, 0.9, 60) if rng.random() < 0.5 else hair),
    ]
    _add_strokes(thing, strokes, (narrow, 1), Label.BICYCLIST)
    return thing
