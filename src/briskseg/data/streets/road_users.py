"""Where vehicles, cyclists and pedestrians are: in their lanes, along the kerbs, on pavements."""

from __future__ import annotations

import numpy as np

from briskseg.data.streets.ground import Street
from briskseg.data.streets.people import SKIN, Cyclist, Look, Pedestrian
from briskseg.data.streets.scene import Thing, any_color, scaled
from briskseg.data.streets.traffic import Car

SIDES = (-1, 1)
LAST_CAR = 80.0  # m
PARKED = ("hatchback",) * 4 + ("sedan",) * 2 + ("wagon",) * 2 + ("van",)
DRIVEN = (*PARKED, "van", "bus")


class RoadUsers:
    """Fills a street with those who use it; `own` is the side we drive on."""

    def __init__(self, rng: np.random.Generator, street: Street, own: int) -> None:
        self.rng, self.street, self.own = rng, street, own
        self.cars: list[Car] = []
        self.people: list[Thing] = []

    def build(self) -> list[Thing]:
        """All road users, in no order."""
        for side in SIDES:
            self.park(side)
        self.drive()
        self.ride()
        self.walk()
        return [*self.cars, *self.people]

    def car(self, x: float, z: float, heading: float, small: bool = False) -> Car:
        """A vehicle of some kind and color; a small one fits between parked cars."""
        rng = self.rng
        kinds = PARKED if small else DRIVEN
        body = kinds[int(rng.integers(len(kinds)))]
        sizes = {"van": (4.9, 1.9, 2.1), "bus": (9.5, 2.5, 3.0)}
        size = np.array(sizes.get(body, (4.2, 1.75, 1.47))) * rng.uniform(0.94, 1.06, 3)
        gray = rng.uniform(20, 225)
        paint = any_color(rng, 0.85, 35) if rng.random() < 0.55 else (gray, gray, gray * 1.02)
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
        while z < min(LAST_CAR - 10, self.street.end - 13):
            crossing = self.street.zebra is not None and abs(z - self.street.zebra) < 6
            if rng.random() < 0.6 and not self.street.is_open(side, z, 4) and not crossing:
                heading = 0.0 if side == self.own or rng.random() < 0.2 else np.pi
                self.cars.append(self.car(kerb - side * 1.05, z, heading, small=True))
            z += float(rng.uniform(5.6, 9))

    def drive(self) -> None:
        """The car ahead of us and those that come towards us."""
        rng, street = self.rng, self.street
        z = float(rng.uniform(9, 45))
        while z < min(LAST_CAR, self.street.end - 13):
            if rng.random() < 0.75:
                self.cars.append(self.car(float(rng.normal(0, 0.15)), z, 0.0))
            z += float(rng.uniform(12, 40))
        x = street.divider - self.own * street.lane / 2
        z = float(rng.uniform(6, 30))
        while z < min(LAST_CAR, self.street.end - 13):
            self.cars.append(self.car(x + float(rng.normal(0, 0.15)), z, np.pi))
            z += float(rng.uniform(11, 40))

    def look(self) -> Look:
        """Clothes, skin and hair of one person."""
        rng = self.rng
        skin = SKIN[int(rng.integers(len(SKIN)))]
        hair = scaled((90, 62, 40), float(rng.uniform(0.2, 1.6)))
        return Look(any_color(rng, 0.9, 20), any_color(rng, 0.45, 20), skin, hair)

    def ride(self) -> None:
        """Cyclists near the kerbs, ahead of us or coming."""
        rng, street = self.rng, self.street
        for _ in range((0, 1, 2, 2, 3, 3)[rng.integers(6)]):
            side = SIDES[rng.integers(2)]
            room = 0.75 if abs(street.kerb(side)) < 3.6 or side != self.own else 2.5
            x, z = street.kerb(side) - side * room, float(rng.uniform(5.5, 22))
            heading = 0.0 if side == self.own else np.pi
            if rng.random() < 0.15:
                x, heading = float(rng.uniform(-2, 2)), SIDES[rng.integers(2)] * 1.5
            if self.taken(x, z, 2.6) or any(abs(other.z - z) < 2.5 for other in self.people):
                continue
            heading += float(rng.normal(0, 0.15))
            pedal, helmet = float(rng.uniform(0, 6.3)), bool(rng.random() < 0.5)
            frame = any_color(rng, 0.9, 40)
            self.people.append(Cyclist(x, z, heading, pedal, helmet, frame, self.look()))

    def taken(self, x: float, z: float, room: float) -> bool:
        """Whether a vehicle stands within `room` meters along and 1.5 m across."""
        return any(
            abs(thing.z - z) < room + thing.length / 2 and abs(thing.x - x) < 1.5
            for thing in self.cars
        )

    def walk(self) -> None:
        """People on the pavements, and some that cross the road."""
        rng, street = self.rng, self.street
        for _ in range(rng.integers(1, 9)):
            side = SIDES[rng.integers(2)]
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
            self.people.append(Pedestrian(x, z, height, stride, sideways, bag, self.look()))
