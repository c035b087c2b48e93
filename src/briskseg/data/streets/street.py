"""One street: its course, what lies flat on its ground, and where everything stands along it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from briskseg.data.streets.outlines import Point, Rng, Thing, ground, scaled, vivid
from briskseg.data.streets.painter import FAR, NEAR, Camera, Color, Label, Shape
from briskseg.data.streets.roadside import LEAVES, STEEL, fence, house, pole, tree
from briskseg.data.streets.traffic import BODIES, car, cyclist, person

SIDES = (-1, 1)  # left, right
LAST_CAR = 75.0  # m; further ones would be a few pixels


def draw_camera(rng: Rng, size_hw: tuple[int, int]) -> Camera:
    """A camera behind the windscreen, for a picture of size_hw pixels."""
    (height, width), bends = size_hw, rng.random() < 0.6
    focal, center, horizon, high = rng.uniform((0.8, 0.42, 0.41, 1.25), (1.05, 0.58, 0.53, 1.7))
    bend, focal = rng.uniform(-0.007, 0.007) * bends, focal * max(width, 1.2 * height)
    return Camera(size_hw, focal, center * width, horizon * height, high, bend)


class Street:
    """Where the parts of a street lie, in meters, and the `flat` shapes of its ground.

    We drive on side `own`, our lane's middle at X = 0. By side, `kerb` and `front` are the X of
    the kerb and of the houses, and `gap` is from where to where a side street leaves.
    """

    def __init__(self, rng: Rng) -> None:
        self.own: int = rng.choice(SIDES)
        self.green = rng.beta(0.8, 1.1)  # 0 a town .. 1 a park
        self.lane = rng.uniform(2.9, 3.5)
        beside = 0.5 * self.lane + rng.choice((0.3, 0.6, 1.5, 2.2))
        across = self.lane * rng.choice((1.5, 1.5, 2.5)) + rng.choice((0.3, 0.6, 2.2))
        self.kerb = {self.own: self.own * beside, -self.own: -self.own * across}
        self.front = {side: self.kerb[side] + side * rng.uniform(1.8, 4.2) for side in SIDES}
        self.end = rng.uniform(40, 95) if rng.random() < 0.25 else FAR
        self.zebra = rng.uniform(7, 26) if rng.random() < 0.3 else None
        self.gap = dict.fromkeys(SIDES, (0.0, 0.0))
        for side in SIDES:
            start, long = rng.uniform(12, 45), rng.uniform(8, 12)
            if rng.random() < 0.45 and start + long < self.end - 16:
                self.gap[side] = (start, start + long)
        self.flat: list[Shape] = []
        self._lay_ground(rng)
        self._mark(rng)

    def free(self, side: int, z: float) -> bool:
        """Whether something can stand beside the road there: no side street leaves."""
        start, stop = self.gap[side]
        return z < self.end - 4 and not start - 0.8 < z < stop + 0.8

    def _lay(self, x: Point, z: Point, color: Color, label: Label | None = None) -> None:
        self.flat.append(Shape(ground(x, z), color, label))

    def _lay_ground(self, rng: Rng) -> None:
        """Land, on it pavements with kerbs, then the road and where it was mended."""
        slab, warm, gray = rng.uniform(110, 172), rng.uniform(-6, 14), rng.uniform(78, 128)
        paving, asphalt = (slab + warm, slab, slab - warm), (gray, gray, gray + rng.uniform(-5, 6))
        left, right, whole = self.kerb[-1], self.kerb[1], (0.0, FAR)
        for side, kerb in self.kerb.items():
            green = rng.random() < self.green
            land: Color = (84, 104, 48) if green else scaled(paving, 0.94)
            self._lay((0.0, side * 200.0), whole, land, Label.TREE if green else Label.PAVEMENT)
            self._lay((0.0, self.front[side]), whole, paving, Label.PAVEMENT)
            self._lay((kerb, kerb + side * 0.2), whole, scaled(paving, 1.15))
            self._lay((kerb, kerb + side * 60), self.gap[side], asphalt, Label.ROAD)
        self._lay((left, right), (0.0, self.end - 2), scaled(asphalt, 0.6), Label.ROAD)  # gutters
        self._lay((left + 0.1, right - 0.1), (0.0, self.end - 2), asphalt)
        for _ in range(rng.integers(0, 7)):
            x, z, wide, long = rng.uniform((left, 4, 0.3, 0.5), (right - 2, 40, 2, 10))
            self._lay((x, x + wide), (z, z + long), scaled(asphalt, rng.uniform(0.75, 1.15)))

    def _mark(self, rng: Rng) -> None:
        """Paint on the road: cycle lanes, lines along the kerbs, the divider, a zebra crossing."""
        wear, reach, lines = rng.uniform(0.7, 1.0), (0.0, self.end - 2), rng.random()
        white, yellow = scaled((225, 225, 222), wear), scaled((222, 180, 60), wear)
        band: Color = (132, 72, 62) if rng.random() < 0.6 else (72, 104, 80)
        for side, kerb in self.kerb.items():
            if lines < 0.25:
                self._lay((kerb - side * 1.4, kerb), reach, band)
            for inset in (0.25, 0.45) if lines > 0.7 else ():
                self._lay((kerb - side * inset, kerb - side * (inset - 0.09)), reach, yellow)
        x = -self.own * self.lane / 2
        if rng.random() < 0.75:
            for z in np.arange(rng.uniform(1, 7), min(self.end, 90), rng.uniform(6, 9)):
                self._lay((x - 0.06, x + 0.06), (z, z + 2.5), white)
        else:
            for middle in (x - 0.12, x + 0.12):
                self._lay((middle - 0.05, middle + 0.05), reach, white)
        if self.zebra is not None:
            for x in np.arange(self.kerb[-1] + 0.3, self.kerb[1] - 0.5, 1.1):
                self._lay((x, x + 0.55), (self.zebra, self.zebra + 3), white)


def fill(street: Street, rng: Rng) -> list[Shape]:
    """Everything that stands in a street, far to near."""
    leaf = LEAVES[rng.integers(len(LEAVES))]
    things = list(_background(street, rng, leaf))
    for side in SIDES:
        things += _lots(street, rng, side, leaf)
        things += _furniture(street, rng, side, leaf)
    cars = list(_cars(street, rng))
    things += [*cars, *_people(street, rng, cars)]
    # Of what is equally far away, that which stands further aside is behind.
    things.sort(key=lambda thing: (-thing.depth, -abs(thing.x)))
    return [shape for thing in things for shape in thing.shapes]


def _background(street: Street, rng: Rng, leaf: Color) -> Iterator[Thing]:
    """Houses and trees across the end of the street, which is where the skyline begins."""
    x = -0.9 * street.end
    while x < 0.9 * street.end:
        wide = rng.uniform(8, 20)
        if rng.random() < 0.3 + 0.5 * street.green and (street.end == FAR or abs(x) > 30):
            yield tree(rng, x + 0.5 * wide, street.end, rng.uniform(8, 16), leaf)
        else:
            yield house(rng, x, (street.end, street.end + wide), 0, False)
        x += wide


def _lots(street: Street, rng: Rng, side: int, leaf: Color) -> Iterator[Thing]:
    """Houses, gardens and parks, one lot after another along a side."""
    front, last, (start, stop) = street.front[side], street.end - 1, street.gap[side]
    z = rng.uniform(-6, 0)
    while z < last:
        if start <= z < stop:
            z = stop
        end = min(z + rng.uniform(7, 18), start if z < start else last, last)
        lot, kind = (max(z, 1.0), end), rng.random() / 1.1
        z = end
        if end < max(lot[0] + 2, NEAR):
            continue
        if kind > street.green:
            yield house(rng, front, lot, side, rng.random() < 0.45 * (1 - street.green))
            continue
        if kind > street.green / 2:
            yield house(rng, front + side * rng.uniform(3, 6), lot, side, False)
        else:
            for _ in range(rng.integers(1, 3) if end < 60 else 1):
                x = front + side * rng.uniform(2.5, 12)
                grown = tree(rng, x, rng.uniform(*lot), rng.uniform(6, 12), leaf)
                grown.depth = end  # behind what bounds the lot
                yield grown
        for _ in range(rng.integers(0, 3)):
            x, size = front + side * rng.uniform(0.5, 1.5), rng.uniform(1.2, 2.5)
            yield tree(rng, x, rng.uniform(*lot), size, LEAVES[rng.integers(3)])
        if rng.random() < 0.55:
            color: Color = vivid(rng, 0.5, 50) if rng.random() < 0.5 else (48, 52, 50)
            yield fence(front + side * 0.15, lot, rng.uniform(0.9, 1.7), rng.random() < 0.4, color)


def _furniture(street: Street, rng: Rng, side: int, leaf: Color) -> Iterator[Thing]:
    """What stands on the pavement: lamps, trees, signs, traffic lights, railings, bollards."""
    verge, color = street.kerb[side] + side * 0.5, scaled(STEEL, rng.uniform(0.4, 1.2))
    kind, start = rng.random(), rng.uniform(4, 14)
    places: dict[str, Iterable[float]] = {
        "lamp": np.arange(rng.uniform(6, 20), 95, rng.uniform(18, 30)),
        "sign": rng.uniform(7, 32, rng.integers(1, 4)),
        "signal": [z - 1.2 for z in (street.gap[side][0], street.zebra or 0.0) if z > 5],
        "bollard": np.arange(start, start + 14, 2.0) if kind < 0.25 else (),
        "railings": np.arange(start, start + 21, 3.0) if 0.25 < kind < 0.6 else (),
        "tree": np.arange(start, 75, rng.uniform(8, 16)) if rng.random() < street.green else (),
    }
    for carries, distances in places.items():
        for z in (z for z in distances if street.free(side, z)):
            if carries == "tree":
                yield tree(rng, verge + side * 0.3, z, rng.uniform(5, 9), leaf)
            elif carries == "railings":
                rail = fence(verge - side * 0.2, (z, z + 3), 1.05, False, color)
                rail.depth = z  # before those who walk behind it
                yield rail
            else:
                yield pole(rng, verge, z, carries, side, color)


def _cars(street: Street, rng: Rng) -> Iterator[Thing]:
    """Cars that drive before us, that come towards us, and that are parked along the kerbs."""
    kinds, own, coming = list(BODIES), street.own, -street.own * street.lane
    rows = [(0.0, 0.0, 9.0, 0.75, 40.0), (coming, np.pi, 6.0, 1.0, 40.0)]
    for side, lanes in ((own, 0.5 * street.lane), (-own, 1.5 * street.lane)):
        if abs(street.kerb[side]) - lanes > 1.4 and rng.random() < 0.8:
            heading = 0.0 if side == own else np.pi
            rows.append((street.kerb[side] - side * 1.1, heading, 6.0, 0.65, 7.0))
    for x, heading, first, share, step in rows:
        parked, z = step < 10, first + rng.uniform(0, 0.8 * step)
        while z < min(LAST_CAR, street.end - 13):
            crossing = street.zebra is not None and abs(z - street.zebra) < 6
            blocked = parked and (crossing or not street.free(1 if x > 0 else -1, z))
            if rng.random() < share and not blocked:
                kind = kinds[rng.integers(3 if parked else 4)]
                turn = heading + rng.normal(0, 0.03)
                yield car(rng, x + rng.normal(0, 0.1), z, turn, kind)
            z += rng.uniform(6 if parked else 13, step)


def _people(street: Street, rng: Rng, cars: list[Thing]) -> Iterator[Thing]:
    """Cyclists along the kerbs, people on the pavements, and some of both who cross the road."""
    riding = int(rng.integers(0, 5))
    for k in range(riding + rng.integers(1, 9)):
        side, crosses, z = rng.choice(SIDES), rng.random() < 0.2, rng.uniform(5.5, 27)
        x = street.kerb[side] + side * rng.uniform(*((-1.6, -0.6) if k < riding else (0.8, 1.5)))
        if crosses:
            x = rng.uniform(street.kerb[-1], street.kerb[1])
            z = street.zebra + rng.uniform(0.5, 2.5) if street.zebra else z
        on_road = crosses or k < riding
        if on_road and any(abs(thing.z - z) < 5 and abs(thing.x - x) < 1.6 for thing in cars):
            continue
        if k < riding:
            heading = 1.5 * rng.choice(SIDES) if crosses else np.pi * (side != street.own)
            yield cyclist(rng, x, z, heading + rng.normal(0, 0.3))
        else:
            yield person(rng, x, z, crosses or rng.random() < 0.25)
