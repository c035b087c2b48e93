"""Where things stand beside the road: houses, gardens and parks, trees, lamps, signs, railings."""

from __future__ import annotations

import numpy as np

from briskseg.data.streets.buildings import WALLS, Building
from briskseg.data.streets.facade import Style
from briskseg.data.streets.furniture import STEEL, Bin, Fence, Pole
from briskseg.data.streets.greenery import LEAVES, Hedge, Tree
from briskseg.data.streets.ground import Street
from briskseg.data.streets.scene import FAR, Color, Thing, any_color, scaled

SIDES = (-1, 1)
LAST_LOT = 118.0  # m
MINUTE = 60.0  # m; small things beyond would be a few pixels


class Roadside:
    """Lines both sides of a street; `green` goes from 0, a town, to 1, a park."""

    def __init__(self, rng: np.random.Generator, street: Street, green: float) -> None:
        self.rng, self.street, self.green = rng, street, green
        self.things: list[Thing] = []
        self.leaves = LEAVES[int(rng.integers(len(LEAVES)))]

    def build(self) -> list[Thing]:
        """All that stands beside the road, in no order."""
        for side in SIDES:
            self.line_with_lots(side)
            self.furnish(side)
        if self.street.end < LAST_LOT:
            self.close()
        return self.things

    def seed(self) -> int:
        """A seed for the looks of one thing."""
        return int(self.rng.integers(1 << 31))

    def line_with_lots(self, side: int) -> None:
        """Houses, gardens and parks, one lot after another along a side."""
        rng, z = self.rng, float(self.rng.uniform(-6, 3))
        bare = True
        while z < min(LAST_LOT, self.street.end - 2):
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

    def close(self) -> None:
        """Houses across the street's end, the outer ones first: the inner hide their flanks."""
        x = -45.0 + float(self.rng.uniform(0, 8))
        row: list[Building] = []
        while x < 45:
            end = self.street.end
            house = self.building(1, x, end, end + 9, True)
            row.append(house)
            x += house.deep
        row.sort(key=lambda house: -abs(house.x + house.deep / 2))
        self.things += row

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
        """A house of some size and style."""
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
        """A tree of the street's kind, or now and then of another."""
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
        """Whether something can stand on the pavement there."""
        return z < self.street.end - 3 and not self.street.is_open(side, z, 0.8)

    def furnish(self, side: int) -> None:
        """What stands on the pavement: lamps, trees, signs, railings, bins."""
        rng, street = self.rng, self.street
        verge = street.kerb(side) + side * 0.55
        paint = STEEL if rng.random() < 0.5 else scaled(any_color(rng, 0.35, 30), 0.5)
        height, wide = float(rng.uniform(6, 9)), float(rng.uniform(0.12, 0.2))
        carries = "lamp" if rng.random() < 0.85 else "wires"
        for z in np.arange(rng.uniform(6, 20), 95, rng.uniform(18, 30)):
            if self.free(side, z):
                self.pole(verge, float(z), height, wide, paint, carries, -side)
        if rng.random() < 0.25 + 0.5 * self.green:
            for z in np.arange(rng.uniform(8, 18), 75, rng.uniform(8, 16)):
                if self.free(side, z):
                    self.things.append(self.tree(verge + side * 0.3, float(z), 0.85))
        for _ in range(rng.integers(1, 4)):
            z = float(rng.uniform(7, 32))
            if self.free(side, z):
                slim = float(rng.uniform(0.06, 0.1))
                self.pole(verge, z, float(rng.uniform(2.3, 3.2)), slim, STEEL, "sign", -side)
        self.guard(side, verge)
        self.signals(side, verge)
        if rng.random() < 0.35:
            x, z = street.front(side) - side * 0.5, float(rng.uniform(8, 25))
            tall, wide = float(rng.uniform(0.9, 1.4)), float(rng.uniform(0.45, 0.7))
            if self.free(side, z):
                self.things.append(Bin(x, z, tall, wide, any_color(rng, 0.6, 30)))

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
        """Put up a pole."""
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
            stop = start if self.free(side, start) else FAR
            while stop < start + 24 and self.free(side, stop + 4):
                stop += 4
            for a, b in pieces(start, stop if stop < FAR else start):
                self.things.append(Fence(x, a, b, height, style, color))
        elif kind < 0.5:
            for z in np.arange(start, start + 14, 2.0):
                if self.free(side, float(z)):
                    self.pole(x, float(z), 1.0, 0.14, (44, 44, 46), "bollard", -side)

    def signals(self, side: int, verge: float) -> None:
        """Traffic lights at side streets and at the crossing."""
        places = [z0 - 1.5 for s, z0, _ in self.street.openings if s == side]
        if self.street.zebra is not None:
            places.append(self.street.zebra - 0.8)
        for z in places:
            if self.rng.random() < 0.65 and self.free(side, z):
                height = float(self.rng.uniform(3.2, 5.5))
                self.pole(verge, z, height, 0.13, (70, 74, 74), "signal", -side)


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
