"""The plan of one street: its course, its weather, and where everything stands, by a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from briskseg.data.streets.ground import Street
from briskseg.data.streets.road_users import RoadUsers
from briskseg.data.streets.roadside import Roadside
from briskseg.data.streets.scene import FAR, Camera, Color, Light, Thing, scaled
from briskseg.data.streets.sky import Sky

Rng = np.random.Generator


@dataclass(frozen=True)
class Plan:
    """All that a street holds before anything is painted."""

    street: Street
    light: Light
    sky: Sky
    green: float  # 0 town .. 1 park
    things: tuple[Thing, ...]  # far to near


def plan_street(rng: Rng) -> Plan:
    """Draw a street's plan; the picture's size plays no part in it."""
    light, sky = plan_weather(rng)
    own = -1 if rng.random() < 0.5 else 1
    green = float(rng.beta(0.8, 1.1))
    street = plan_ground(rng, own, green)
    things = Roadside(rng, street, green).build() + RoadUsers(rng, street, own).build()
    return Plan(street, light, sky, green, tuple(sorted(things, key=lambda thing: -thing.z)))


def plan_camera(rng: Rng, size_hw: tuple[int, int]) -> Camera:
    """A camera behind the windscreen, for a canvas of size_hw pixels."""
    height, width = size_hw
    reach = max(width, 1.2 * height)
    bend = rng.normal(0, 0.0035) if rng.random() < 0.6 else 0.0
    return Camera(
        size_hw,
        focal=float(rng.uniform(0.8, 1.05) * reach),
        center=float(width * rng.uniform(0.42, 0.58)),
        horizon=float(height * rng.uniform(0.41, 0.53)),
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
    elif kind < 0.88:  # overcast
        gray = rng.uniform(165, 238)
        tone = (gray * 0.985, gray, gray * 1.015)
        light = Light(sun, 0.12, 0.78, (0.97, 1.0, 1.03), tone, 150, False)
        sky = Sky(scaled(tone, 0.9), tone, scaled(tone, 1.04), rng.uniform(0.3, 0.9))
    else:  # dusk
        warm = (236.0, rng.uniform(160, 205), rng.uniform(120, 180))
        light = Light(sun, 0.12, 0.6, (0.98, 0.94, 1.0), scaled(warm, 0.8), 220, True)
        sky = Sky((72, 84, 128), warm, (120, 104, 118), rng.uniform(0.2, 0.7))
    return replace(light, haze_m=light.haze_m * rng.uniform(0.6, 2.0)), sky


def plan_ground(rng: Rng, own: int, green: float) -> Street:
    """The road from kerb to kerb, its pavements, side streets and paint."""
    lane = float(rng.uniform(2.9, 3.5))
    near = lane / 2 + (0.3, 0.6, 1.5, 2.2)[rng.integers(4)]
    far = lane / 2 + lane * (1, 1, 2)[rng.integers(3)] + (0.3, 0.6, 2.2)[rng.integers(3)]
    end = float(rng.uniform(40, 95)) if rng.random() < 0.25 else FAR
    openings = [(side, end - 11, end - 2) for side in (-1, 1) if end < FAR]
    for side in (-1, 1):
        start, long = float(rng.uniform(12, 45)), float(rng.uniform(8, 12))
        if rng.random() < 0.45 and start + long < end - 16:
            openings.append((side, start, start + long))
    gray = rng.uniform(78, 128)
    slab = rng.uniform(110, 172)
    warmth = rng.uniform(-6, 14)
    pavements = (float(rng.uniform(1.8, 4.2)), float(rng.uniform(1.8, 4.2)))
    return Street(
        (-near, far) if own < 0 else (-far, near),
        pavements,
        divider=-own * lane / 2,
        lane=lane,
        dashed=bool(rng.random() < 0.75),
        yellow=bool(rng.random() < 0.3),
        band=cycle_band(rng) if rng.random() < 0.25 else None,
        arrow=(0.0, float(rng.uniform(5, 25))) if rng.random() < 0.2 else None,
        zebra=float(rng.uniform(7, 26)) if rng.random() < 0.3 else None,
        openings=tuple(openings),
        end=end,
        asphalt=(gray + rng.uniform(-3, 5), gray, gray + rng.uniform(-3, 6)),
        paving=(slab + warmth, slab, slab - warmth),
        grass=(bool(rng.random() < green), bool(rng.random() < green)),
        slab=(0.0, 0.6, 0.9)[rng.integers(3)],
    )


def cycle_band(rng: Rng) -> Color:
    """The colored asphalt of a lane for bicycles or buses."""
    band: Color = (132, 72, 62) if rng.random() < 0.6 else (72, 104, 80)
    return scaled(band, float(rng.uniform(0.8, 1.15)))
