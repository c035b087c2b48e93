"""The plan of one street: its course, its weather, and where everything stands, by a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from briskseg.data.streets.buildings import WALLS, Building
from briskseg.data.streets.facade import Style
from briskseg.data.streets.furniture import STEEL, Bin, Fence, Pole
from briskseg.data.streets.greenery import LEAVES, Hedge, Tree
from briskseg.data.streets.ground import Street
from briskseg.data.streets.people import SKIN, Cyclist, Look, Pedestrian
from briskseg.data.streets.scene import Camera, Color, Light, Thing, any_color, scaled
from briskseg.data.streets.sky import Sky
from briskseg.data.streets.traffic import Car

Rng = np.random.Generator
SIDES = (-1, 1)
MINUTE = 60.0  # m; small things beyond would be a few pixels


@dataclass(frozen=True)
class Plan:
    """All that a street holds before anything is painted."""

    street: Street
    light: Light
    sky: Sky
    own: int  # the side we drive on
    green: float  # 0 town .. 1 park
    things: tuple[Thing, ...]


def plan_street(rng: Rng) -> Plan:
    """Draw a street's plan; the picture's size plays no part in it."""
    light, sky = plan_weather(rng)
    own = -1 if rng.random() < 0.5 else 1
    green = float(rng.beta(0.8, 1.1))
    street = plan_ground(rng, own, green)
    town = Town(rng, street, own, green)
    return Plan(street, light, sky, own, green, town.build())


def plan_camera(rng: Rng, size_hw: tuple[int, int]) -> Camera:
    """A camera behind the windscreen, for a canvas of size_hw pixels."""
    height, width = size_hw
    reach = max(width, 1.2 * height)
    bend = rng.normal(0, 0.0035) if rng.random() < 0.6 else 0.0
    return Camera(
        size_hw,
        focal=float(rng.uniform(0.8, 1.05) * reach),
        center=float(width * rng.uniform(0.42, 0.58)),
        horizon=float(height * rng.uniform(0.38, 0.5)),
        height=float(rng.uniform(1.25, 1.7)),
        bend=float(np.clip(bend, -0.009, 0.009)),
    )


def plan_weather(rng: Rng) -> tuple[Light, Sky]:
    """Sun, overcast or dusk, and the sky and haze that go with it."""
    kind = rng.random()
    angle = rng.uniform(0, 2 * np.pi)
    rise = rng.uniform(0.35, 0.95)
    flat = np.sqrt(1 - rise**2)
    sun = (float(flat * np.cos(angle)), float(rise), float(flat * np.sin(angle)))
    if kind < 0.5:  # sunny
        light = Light(sun, 0.75, 0.42, (1.04, 1.0, 0.94), (200, 212, 226), 260, False)
        blue = (rng.uniform(70, 130), rng.uniform(130, 175), rng.uniform(205, 240))
        pale = (205.0, 220.0, 236.0)
        sky = Sky(blue, pale, (246, 246, 248), rng.uniform(0.05, 0.6))
    elif kind < 0.85:  # overcast
        gray = rng.uniform(165, 238)
        tone = (gray * 0.985, gray, gray * 1.015)
        light = Light(sun, 0.12, 0.78, (0.97, 1.0, 1.03), tone, 150, False)
        sky = Sky(scaled(tone, 0.9), tone, scaled(tone, 1.04), rng.uniform(0.3, 0.9))
    else:  # dusk
        warm = (236.0, rng.uniform(160, 205), rng.uniform(120, 180))
        light = Light(sun, 0.1, 0.52, (0.98, 0.94, 1.0), scaled(warm, 0.8), 220, True)
        sky = Sky((72, 84, 128), warm, (120, 104, 118), rng.uniform(0.2, 0.7))
    return replace(light, haze_m=light.haze_m * rng.uniform(0.6, 2.0)), sky


def plan_ground(rng: Rng, own: int, green: float) -> Street:
    """The road from kerb to kerb, its pavements, side streets and paint."""
    lane = float(rng.uniform(2.9, 3.5))
    near = lane / 2 + rng.choice([0.3, 0.6, 1.5, 2.2])
    far = lane / 2 + lane * rng.choice([1, 1, 2]) + rng.choice([0.3, 0.6, 2.2])
    edges = (-near, far) if own < 0 else (-far, near)
    openings = []
    for side in SIDES:
        if rng.random() < 0.45:
            z = float(rng.uniform(12, 45))
            openings.append((side, z, z + float(rng.uniform(8, 12))))
    gray = rng.uniform(78, 128)
    slab = rng.uniform(110, 172)
    warmth = rng.uniform(-6, 14)
    pavements = (float(rng.uniform(1.8, 4.2)), float(rng.uniform(1.8, 4.2)))
    return Street(
        edges,
        pavements,
        divider=-own * lane / 2,
        lane=lane,
        dashed=bool(rng.random() < 0.75),
        yellow=bool(rng.random() < 0.3),
        zebra=float(rng.uniform(7, 26)) if rng.random() < 0.3 else None,
        openings=tuple(openings),
        asphalt=(gray + rng.uniform(-3, 5), gray, gray + rng.uniform(-3, 6)),
        paving=(slab + warmth, slab, slab - warmth),
        grass=(bool(rng.random() < green), bool(rng.random() < green)),
        slab=float(rng.choice([0, 0.6, 0.9])),
    )


class Town:
    """Puts things along a street without two standing in the same place."""

    def __init__(self, rng: Rng, street: Street, own: int, green: float) -> None:
        self.rng, self.street, self.own, self.green = rng, street, own, green
        self.things: list[Thing] = []
        self.leaves = LEAVES[int(rng.integers(len(LEAVES)))]

    def build(self) -> tuple[Thing, ...]:
        for side in SIDES:
            self.line_with_lots(side)
            self.furnish(side)
            self.park(side)
        self.drive()
        self.ride()
        self.walk()
        return tuple(sorted(self.things, key=lambda thing: -thing.z))

    def seed(self) -> int:
        return int(self.rng.integers(1 << 31))

    # -- beyond the pavement ---------------------------------------------------------------

    def line_with_lots(self, side: int) -> None:
        rng, z = self.rng, float(self.rng.uniform(-6, 3))
        bare = True
        while z < 118:
            long = float(rng.uniform(7, 18))
            for opening in self.street.openings:
                if opening[0] == side and z < opening[2] and z + long > opening[1]:
                    long = opening[1] - z if opening[1] - z > 3 else 0.0
            if self.street.is_open(side, z + 0.1):
                z, bare = z + 1.0, True
                continue
            if long > 0:
                bare = not self.fill_lot(side, z, z + long, bare)
            z += max(long, 0.5)

    def fill_lot(self, side: int, z0: float, z1: float, bare: bool) -> bool:
        """Build on a lot or leave it green; whether its front hides the next lot's end wall."""
        rng, front = self.rng, self.street.front(side)
        kind = rng.random()
        if kind > self.green * 1.1:
            self.things.append(self.building(side, front, z0, z1, bare))
            return True
        if kind > self.green * 0.55:  # a house behind a garden
            back = front + side * float(rng.uniform(3, 6))
            self.things.append(self.building(side, back, z0 + 0.8, z1 - 0.8, True))
        else:  # a park
            for _ in range(rng.integers(1, 4) if z0 < MINUTE else 1):
                x = front + side * float(rng.uniform(2.5, 12))
                self.things.append(self.tree(x, float(rng.uniform(z0, z1)), 1.15))
        self.bound(side, front, z0, z1)
        return False

    def bound(self, side: int, front: float, z0: float, z1: float) -> None:
        """Fence, hedge or nothing between a garden and the pavement."""
        rng = self.rng
        kind = rng.random()
        if z0 > MINUTE:
            return
        x = front + side * 0.15
        if kind < 0.55:
            style = "railings" if rng.random() < 0.6 else "planks"
            tone: Color = (48, 52, 50) if style == "railings" else (124, 98, 72)
            color = any_color(rng, 0.5, 60) if rng.random() < 0.35 else tone
            height = float(rng.uniform(0.9, 1.7))
            for a, b in pieces(z0, z1):
                self.things.append(Fence(x, a, b, height, style, color))
            x += side * 0.4
        if kind > 0.4:
            height = float(rng.uniform(0.8, 2.0))
            leaves = LEAVES[int(rng.integers(4))]
            for a, b in pieces(z0, z1):
                self.things.append(Hedge(side, x, a, b, height, leaves, self.seed()))

    def building(self, side: int, x: float, z0: float, z1: float, bare: bool) -> Building:
        rng = self.rng
        height = float(rng.uniform(5, 9) if rng.random() < 0.55 else rng.uniform(8, 19))
        tone = rng.uniform(0.8, 1.15)
        red, green, blue = (
            c * tone + float(rng.uniform(-8, 8)) for c in WALLS[int(rng.integers(len(WALLS)))]
        )
        glazed = height > 9 and rng.random() < 0.25
        plain = rng.random() < 0.5
        style = Style(
            wall=(red, green, blue),
            trim=(225.0, 225.0, 220.0) if plain else any_color(rng, 0.4, 40),
            floor=float(rng.uniform(2.8, 3.6)),
            bay=float(rng.uniform(1.6, 2.2) if glazed else rng.uniform(2.0, 3.6)),
            share=float(0.92 if glazed else rng.uniform(0.3, 0.58)),
            tall=float(0.72 if glazed else rng.uniform(0.4, 0.6)),
            brick=bool(rng.random() < 0.55) and not glazed,
            shop=bool(rng.random() < 0.45 * (1 - self.green)),
            band=bool(rng.random() < 0.25),
            panes=int((1, 2, 2, 4)[rng.integers(4)]),
        )
        roof = float(rng.uniform(1.8, 3.5)) if height < 12 and rng.random() < 0.7 else 0.0
        tiles: Color = (112, 74, 60) if rng.random() < 0.6 else (84, 84, 92)
        tiles = scaled(tiles, float(rng.uniform(0.75, 1.15)))
        deep = float(rng.uniform(7, 11))
        return Building(side, x, z0, z1, height, deep, roof, tiles, bare, style, self.seed())

    def tree(self, x: float, z: float, size: float) -> Tree:
        rng = self.rng
        height = float(rng.uniform(5, 11) * size)
        leaves = self.leaves if rng.random() < 0.7 else LEAVES[int(rng.integers(4))]
        return Tree(
            x,
            z,
            height,
            spread=height * float(rng.uniform(0.26, 0.4)),
            trunk=height * float(rng.uniform(0.22, 0.34)),
            leaves=scaled(leaves, float(rng.uniform(0.85, 1.15))),
            look=self.seed(),
        )

    # -- on the pavement -------------------------------------------------------------------

    def free(self, side: int, z: float) -> bool:
        return not self.street.is_open(side, z, 0.8)

    def furnish(self, side: int) -> None:
        rng, street = self.rng, self.street
        verge = street.kerb(side) + side * 0.55
        paint = STEEL if rng.random() < 0.6 else scaled(any_color(rng, 0.5, 30), 0.7)
        height, wide = float(rng.uniform(6, 9)), float(rng.uniform(0.12, 0.2))
        carries = "lamp" if rng.random() < 0.85 else "wires"
        for z in np.arange(rng.uniform(6, 20), 95, rng.uniform(18, 30)):
            if self.free(side, z):
                self.pole(verge, float(z), height, wide, paint, carries, -side)
        if rng.random() < 0.25 + 0.5 * self.green:
            for z in np.arange(rng.uniform(8, 18), 75, rng.uniform(8, 16)):
                if self.free(side, z):
                    self.things.append(self.tree(verge + side * 0.3, float(z) + 2.0, 0.85))
        for _ in range(rng.integers(1, 4)):
            z = float(rng.uniform(7, 32))
            if self.free(side, z):
                slim = float(rng.uniform(0.06, 0.1))
                self.pole(verge, z, float(rng.uniform(2.3, 3.2)), slim, STEEL, "sign", -side)
        self.guard(side, verge)
        self.signals(side, verge)
        if rng.random() < 0.35:
            x = street.front(side) - side * 0.5
            color = any_color(rng, 0.6, 30)
            tall, wide = float(rng.uniform(0.9, 1.4)), float(rng.uniform(0.45, 0.7))
            self.things.append(Bin(x, float(rng.uniform(8, 25)), tall, wide, color))

    def pole(
        self,
        x: float,
        z: float,
        height: float,
        wide: float,
        paint: Color,
        carries: str,
        inward: int,
    ) -> None:
        self.things.append(Pole(x, z, height, wide, paint, carries, inward, self.seed()))

    def guard(self, side: int, verge: float) -> None:
        """A railing or a row of bollards between pavement and road."""
        rng, kind = self.rng, self.rng.random()
        start = float(rng.uniform(4, 16))
        x = verge - side * 0.25
        if kind < 0.3:
            style = "guard" if rng.random() < 0.3 * (1 + self.green) else "railings"
            height = 0.85 if style == "guard" else 1.1
            color = scaled(STEEL, float(rng.uniform(0.6, 1.3)))
            stop = start
            while stop < start + 24 and self.free(side, stop + 4):
                stop += 4
            for a, b in pieces(start, stop):
                self.things.append(Fence(x, a, b, height, style, color))
        elif kind < 0.5:
            for z in np.arange(start, start + 14, 2.0):
                if self.free(side, float(z)):
                    self.pole(x, float(z), 1.0, 0.14, (44, 44, 46), "bollard", -side)

    def signals(self, side: int, verge: float) -> None:
        places = [z0 - 1.5 for s, z0, _ in self.street.openings if s == side]
        if self.street.zebra is not None:
            places.append(self.street.zebra - 0.8)
        for z in places:
            if self.rng.random() < 0.65 and self.free(side, z):
                height = float(self.rng.uniform(3.2, 5.5))
                self.pole(verge, z, height, 0.13, (70, 74, 74), "signal", -side)

    # -- on the road -----------------------------------------------------------------------

    def car(self, x: float, z: float, heading: float, small: bool = False) -> Car:
        rng = self.rng
        kinds = ("hatchback", "sedan", "wagon", "van", "bus")
        shares = (0.42, 0.24, 0.2, 0.14, 0.0) if small else (0.38, 0.22, 0.18, 0.14, 0.08)
        body = str(rng.choice(kinds, p=shares))
        sizes = {"van": (4.9, 1.9, 2.1), "bus": (9.5, 2.5, 3.0)}
        size = np.array(sizes.get(body, (4.2, 1.75, 1.47))) * rng.uniform(0.94, 1.06, 3)
        gray = rng.uniform(20, 225)
        paint = any_color(rng, 0.95, 45) if rng.random() < 0.6 else (gray, gray, gray * 1.02)
        length, width, height = (float(value) for value in size)
        heading += float(rng.normal(0, 0.02))
        braking = bool(rng.random() < 0.4)
        return Car(x, z, heading, body, length, width, height, paint, braking)

    def park(self, side: int) -> None:
        """Cars along the kerb where the road leaves room for them."""
        rng, kerb = self.rng, self.street.kerb(side)
        lanes = self.street.lane / 2 if side == self.own else self.street.lane * 1.5
        if abs(kerb) - lanes < 2.0 or rng.random() < 0.2:
            return
        z = float(rng.uniform(6, 14))
        while z < 70:
            crossing = self.street.zebra is not None and abs(z - self.street.zebra) < 6
            if rng.random() < 0.6 and not self.street.is_open(side, z, 4) and not crossing:
                heading = 0.0 if side == self.own or rng.random() < 0.2 else np.pi
                self.things.append(self.car(kerb - side * 1.05, z, heading, small=True))
            z += float(rng.uniform(5.6, 9))

    def drive(self) -> None:
        """The car ahead of us and those that come towards us."""
        rng, street = self.rng, self.street
        z = float(rng.uniform(9, 45))
        while z < 80:
            if rng.random() < 0.75:
                self.things.append(self.car(float(rng.normal(0, 0.15)), z, 0.0))
            z += float(rng.uniform(12, 40))
        x = street.divider - self.own * street.lane / 2
        z = float(rng.uniform(6, 30))
        while z < 80:
            self.things.append(self.car(x + float(rng.normal(0, 0.15)), z, np.pi))
            z += float(rng.uniform(11, 40))

    def look(self) -> Look:
        rng = self.rng
        skin = SKIN[int(rng.integers(len(SKIN)))]
        hair = scaled((90, 62, 40), float(rng.uniform(0.2, 1.6)))
        return Look(any_color(rng, 0.9, 20), any_color(rng, 0.45, 20), skin, hair)

    def ride(self) -> None:
        """Cyclists near the kerbs, ahead of us or coming."""
        rng, street = self.rng, self.street
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            side = int(rng.choice(SIDES))
            room = 0.75 if abs(street.kerb(side)) < 3.6 or side != self.own else 2.5
            x, z = street.kerb(side) - side * room, float(rng.uniform(5.5, 22))
            heading = 0.0 if side == self.own else np.pi
            if rng.random() < 0.15:
                x, heading = float(rng.uniform(-2, 2)), float(rng.choice([-1, 1])) * 1.5
            if self.taken(x, z, 2.6):
                continue
            heading += float(rng.normal(0, 0.15))
            pedal, helmet = float(rng.uniform(0, 6.3)), bool(rng.random() < 0.5)
            frame = any_color(rng, 0.9, 40)
            self.things.append(Cyclist(x, z, heading, pedal, helmet, frame, self.look()))

    def taken(self, x: float, z: float, room: float) -> bool:
        """Whether a vehicle stands within `room` meters along and 1.5 m across."""
        return any(
            abs(thing.z - z) < room + thing.length / 2 and abs(thing.x - x) < 1.5
            for thing in self.things
            if isinstance(thing, Car)
        )

    def walk(self) -> None:
        """People on the pavements, and some that cross the road."""
        rng, street = self.rng, self.street
        for _ in range(rng.integers(1, 9)):
            side = int(rng.choice(SIDES))
            z = float(rng.uniform(6, 30))
            across = float(rng.uniform(0.9, abs(street.front(side) - street.kerb(side)) - 0.4))
            x = street.kerb(side) + side * across
            crossing = rng.random() < 0.12
            if street.zebra is not None and rng.random() < 0.4:
                z, crossing = street.zebra + float(rng.uniform(0.5, 2.5)), True
            if crossing:
                x = float(rng.uniform(*street.edges))
                if self.taken(x, z, 1.0):
                    continue
            height = float(rng.normal(1.72, 0.08) if rng.random() < 0.85 else rng.uniform(1.0, 1.4))
            stride, bag = float(rng.uniform(-1, 1)), bool(rng.random() < 0.3)
            sideways = crossing or bool(rng.random() < 0.25)
            self.things.append(Pedestrian(x, z, height, stride, sideways, bag, self.look()))


def pieces(start: float, stop: float) -> list[tuple[float, float]]:
    """A stretch cut into parts short enough to be painted in order of distance."""
    parts = []
    start = max(start, 1.0)
    while start < stop:
        end = min(stop, start + max(4.0, 0.3 * start))
        end = stop if stop - end < 1 else end
        parts.append((start, end))
        start = end
    return parts
