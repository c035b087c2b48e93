"""Cars, vans and buses: solids of a side profile, turned to their heading and painted by face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.data.streets.scene import CAR, Array, Canvas, Color, Light, scaled

# Side profiles, (along, up) in units of half the length and of the height: the body below the
# belt line, and the cabin above it. The front is at along = +1.
Profile = tuple[tuple[float, float], ...]
BODIES: dict[str, tuple[Profile, Profile]] = {
    "hatchback": (
        ((-1, 0.16), (-1, 0.4), (-0.97, 0.6), (0.42, 0.63), (0.9, 0.5), (1, 0.4), (1, 0.15)),
        ((-0.96, 0.6), (-0.72, 0.97), (-0.1, 1.0), (0.12, 0.96), (0.46, 0.62)),
    ),
    "sedan": (
        ((-1, 0.18), (-1, 0.55), (-0.95, 0.66), (0.45, 0.63), (0.92, 0.52), (1, 0.4), (1, 0.15)),
        ((-0.7, 0.65), (-0.42, 0.97), (-0.1, 1.0), (0.14, 0.96), (0.5, 0.62)),
    ),
    "wagon": (
        ((-1, 0.16), (-1, 0.5), (-0.98, 0.58), (0.42, 0.62), (0.92, 0.5), (1, 0.4), (1, 0.15)),
        ((-0.97, 0.58), (-0.86, 0.98), (0.0, 1.0), (0.16, 0.96), (0.48, 0.61)),
    ),
    "van": (
        ((-1, 0.12), (-1, 0.5), (-1, 0.52), (0.6, 0.52), (0.94, 0.4), (1, 0.3), (1, 0.1)),
        ((-1, 0.52), (-0.97, 0.98), (0.2, 1.0), (0.36, 0.97), (0.68, 0.5)),
    ),
    "bus": (
        ((-1, 0.1), (-1, 0.4), (-1, 0.42), (0.99, 0.42), (1, 0.4), (1, 0.2), (1, 0.1)),
        ((-1, 0.42), (-0.99, 0.98), (0.0, 1.0), (0.97, 0.98), (1, 0.42)),
    ),
}
TIRE: Color = (24, 24, 26)


@dataclass(frozen=True)
class Car:
    """A vehicle whose middle is at (x, z); `heading` in rad, 0 drives away, pi comes nearer."""

    x: float
    z: float
    heading: float
    body: str
    length: float
    width: float
    height: float
    paint: Color
    braking: bool

    def _outline(self, grow: float) -> Array:
        half = np.array([self.length / 2, self.width / 2]) * grow
        corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half
        sin, cos = np.sin(self.heading), np.cos(self.heading)
        across = corners[:, 0] * sin + corners[:, 1] * cos
        ahead = corners[:, 0] * cos - corners[:, 1] * sin
        return np.stack([self.x + across, self.z + ahead], 1)

    def footprint(self) -> list[Array]:
        return [self._outline(1.04)]

    def shadow(self, light: Light) -> list[Array]:
        low, high = self._outline(1.0), light.cast(self._outline(0.8), self.height)
        hull = cv2.convexHull(np.concatenate([low, high]).astype(np.float32))
        return [hull[:, 0].astype(np.float64)]

    def draw(self, canvas: Canvas) -> None:
        Shell(self, canvas).draw()


class Shell:
    """One car on one canvas: its corners in space, and its faces painted back to front."""

    def __init__(self, car: Car, canvas: Canvas) -> None:
        self.car, self.canvas = car, canvas
        heading = car.heading + canvas.camera.turn(car.z)
        self.ahead = np.array([np.sin(heading), 0.0, np.cos(heading)])
        self.right = np.array([np.cos(heading), 0.0, -np.sin(heading)])
        self.place = np.array([car.x + canvas.camera.shift(car.z), 0.0, car.z])
        self.eye = np.array([0.0, canvas.camera.height, 0.0])
        self.glass = canvas.light.through_air((44, 50, 58), car.z)
        self.clear = canvas.light.through_air((122, 136, 150), car.z)

    def space(self, along: Array, up: Array, across: Array) -> Array:
        """Points (n, 3) in space of positions in half lengths, heights and half widths."""
        car = self.car
        return (
            self.place
            + np.multiply.outer(np.asarray(along) * car.length / 2, self.ahead)
            + np.multiply.outer(np.asarray(across) * car.width / 2, self.right)
            + np.multiply.outer(np.asarray(up) * car.height, np.array([0.0, 1.0, 0.0]))
        )

    def draw(self) -> None:
        body, cabin = BODIES[self.car.body]
        side = 1 if float((self.eye - self.place) @ self.right) > 0 else -1
        self._draw_tires()
        self._draw_prism(np.array(body), (1.0, 1.0), side, glazed=False)
        self._draw_wheels(side)
        self._draw_prism(np.array(cabin), (0.94, 0.76), side, glazed=True)

    def _draw_tires(self) -> None:
        across = np.array([-0.98, -0.98, -0.74, -0.74])
        for along in (-0.62, 0.62):
            for sign in (-1, 1):
                up = np.array([0.0, 0.3, 0.3, 0.0])
                quad = self.space(np.full(4, along), up, across * sign)
                self.canvas.fill(self.canvas.camera.project(quad), TIRE, CAR)

    def _draw_prism(
        self, profile: Array, widths: tuple[float, float], side: int, glazed: bool
    ) -> None:
        """Faces across between the two side profiles, then the side towards the camera."""
        low, high = profile[:, 1].min(), profile[:, 1].max()
        width = widths[0] + (widths[1] - widths[0]) * (profile[:, 1] - low) / (high - low)
        near = self.space(profile[:, 0], profile[:, 1], side * width)
        far = self.space(profile[:, 0], profile[:, 1], -side * width)
        middle = 0.5 * (near.mean(0) + far.mean(0))
        for k in range(len(profile) - 1):
            face = np.array([near[k], near[k + 1], far[k + 1], far[k]])
            color = self._tone(face, middle)
            if color is None:
                continue
            self.canvas.fill(self.canvas.camera.project(face), color, CAR)
            pane = glazed and k in (0, len(profile) - 2)
            if pane and not (self.car.body == "van" and k == 0):
                self._patch(face, (0.08, 0.92), (0.1, 0.9), self.glass)
                self._patch(face, (0.12, 0.5), (0.55, 0.85), scaled(self.glass, 1.5))
            elif not glazed and k <= 1:
                self._draw_tail(face, k)
            elif not glazed and k == len(profile) - 2:
                self._draw_nose(face)
        color = self._tone(near, middle)
        if color is not None:
            self.canvas.fill(self.canvas.camera.project(near), color, CAR)
            if glazed:
                self._draw_side_windows(near)
            else:
                self._draw_side(near, color)

    def _tone(self, face: Array, middle: Array) -> Color | None:
        """The paint under this light, or None where the face looks away from the camera."""
        edges = np.roll(face, -1, 0) - face
        normal = np.cross(edges[0], edges[1])
        if len(face) > 4:
            normal = self.right.copy()
        length = float(np.linalg.norm(normal))
        if length < 1e-9:
            return None
        normal = normal / length
        center = face.mean(0)
        if normal @ (center - middle) < 0:
            normal = -normal
        if normal @ (self.eye - center) <= 0:
            return None
        color = self.canvas.light.shade(self.car.paint, normal.tolist(), self.car.z)
        gleam = 26.0 * max(0.0, float(normal[1])) * (0.4 + self.canvas.light.direct)
        return color[0] + gleam, color[1] + gleam, color[2] + gleam

    def _patch(
        self, face: Array, across: tuple[float, float], up: tuple[float, float], color: Color
    ) -> None:
        """Fill a part of a face of four corners, in shares of its width and height."""
        corners = []
        for s, t in ((0, 0), (0, 1), (1, 1), (1, 0)):
            left = face[0] + (face[1] - face[0]) * up[t]
            right = face[3] + (face[2] - face[3]) * up[t]
            corners.append(left + (right - left) * across[s])
        self.canvas.fill(self.canvas.camera.project(np.array(corners)), color)

    def _draw_tail(self, face: Array, part: int) -> None:
        air = self.canvas.light.through_air
        bright = self.car.braking or self.canvas.light.dusk
        red = air((250, 40, 36) if bright else (150, 24, 28), self.car.z)
        if part == 0:
            self._patch(face, (0.0, 1.0), (0.0, 0.25), air((40, 40, 42), self.car.z))
            self._patch(face, (0.34, 0.66), (0.45, 0.72), air((226, 208, 96), self.car.z))
            self._patch(face, (0.0, 0.16), (0.75, 1.0), red)
            self._patch(face, (0.84, 1.0), (0.75, 1.0), red)
        else:
            self._patch(face, (0.0, 0.16), (0.0, 0.7), red)
            self._patch(face, (0.84, 1.0), (0.0, 0.7), red)

    def _draw_nose(self, face: Array) -> None:
        air = self.canvas.light.through_air
        lamp = air((255, 250, 225) if self.canvas.light.dusk else (205, 208, 210), self.car.z)
        self._patch(face, (0.25, 0.75), (0.08, 0.42), air((30, 30, 34), self.car.z))
        self._patch(face, (0.02, 0.22), (0.0, 0.35), lamp)
        self._patch(face, (0.78, 0.98), (0.0, 0.35), lamp)
        self._patch(face, (0.34, 0.66), (0.5, 0.72), air((230, 230, 226), self.car.z))
        self._patch(face, (0.0, 1.0), (0.86, 1.0), air((44, 44, 46), self.car.z))

    def _draw_side(self, near: Array, color: Color) -> None:
        base = near[0] + (near[-1] - near[0]) * np.array([[0.0], [1.0]])
        sill = np.concatenate([base, base[::-1] + [0, 0.07 * self.car.height, 0]])
        self.canvas.fill(self.canvas.camera.project(sill), scaled(color, 0.45))
        for share in (0.36, 0.58):
            foot = near[0] + (near[-1] - near[0]) * share
            seam = np.array([foot, foot + self.ahead * 0.03, foot, foot])
            seam[1:3] += [0, 0.42 * self.car.height, 0]
            self.canvas.fill(self.canvas.camera.project(seam), scaled(color, 0.7))

    def _draw_side_windows(self, near: Array) -> None:
        middle = near.mean(0)
        inner = middle + (near - middle) * [0.9, 0.78, 0.9]
        if self.car.body == "van":
            inner = inner[-3:]
        self.canvas.fill(self.canvas.camera.project(inner), self.glass)
        low, high = inner[0] * 0.5 + inner[-1] * 0.5, inner[1:-1].mean(0)
        pillars = (0.0,) if self.car.body != "bus" else (-3.2, -1.6, 0.0, 1.6, 3.2)
        for shift in pillars:
            wide = self.ahead * 0.06
            bar = np.array([low - wide, high - wide, high + wide, low + wide])
            bar += self.ahead * shift
            tone = scaled(self.car.paint, 0.5)
            self.canvas.fill(self.canvas.camera.project(bar), tone)

    def _draw_wheels(self, side: int) -> None:
        turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        radius = 0.32 if self.car.body != "bus" else 0.48
        dark, rim = TIRE, self.canvas.light.through_air((128, 130, 134), self.car.z)
        if float((self.eye - self.place) @ self.right) * side < self.car.width / 2:
            return
        for along in (-0.62, 0.62):
            for size, color, label in ((1.0, dark, CAR), (0.6, rim, None)):
                a = along + np.cos(turn) * radius * size * 2 / self.car.length
                up = (radius + np.sin(turn) * radius * size) / self.car.height
                ring = self.space(a, up, np.full(16, side * 1.01))
                self.canvas.fill(self.canvas.camera.project(ring), color, label)
