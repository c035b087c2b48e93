"""Cars, vans and buses on the road: a mesh turned to its heading and painted face by face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.core.types import Array
from briskseg.data.streets.scene import (
    CAR,
    SHIFT,
    Camera,
    Canvas,
    Color,
    Light,
    Shape,
    fixed,
    scaled,
)
from briskseg.data.streets.vehicles import Mesh, mesh

UPWARDS = np.array([0.0, 1.0, 0.0])


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

    def footprint(self) -> list[Shape]:
        return [self._outline(1.04)]

    def shadow(self, light: Light) -> list[Shape]:
        corners = [self._outline(1.0), self._outline(0.8) + light.throw(self.height)]
        return [cv2.convexHull(np.concatenate(corners).astype(np.float32))[:, 0]]

    def draw(self, canvas: Canvas) -> None:
        camera = canvas.camera
        scale = camera.scale(self.z)
        if canvas.misses(camera.at(self.x, 0, self.z)[0], scale * self.length):
            return
        shape = mesh(self.body)
        heading = self.heading + camera.turn(self.z)
        sin, cos = np.sin(heading), np.cos(heading)
        turn = np.array([[sin, 0, cos], UPWARDS, [cos, 0, -sin]])  # along, up, across
        half = np.array([self.length / 2, self.height, self.width / 2])
        place = np.array([self.x + camera.shift(self.z), 0.0, self.z])
        corners = fixed(camera.project(shape.corners * half @ turn + place))
        seen, paints = self._light_faces(shape, half, turn, place, camera, canvas.light)
        tones = self._tones(canvas.light)
        far = scale * self.height < 10
        for piece in shape.pieces:
            if (piece.face >= 0 and not seen[piece.face]) or (far and piece.small):
                continue
            color = paints[piece.face] if piece.tone == "paint" else tones[piece.tone]
            outline = [corners[piece.start : piece.stop]]
            cv2.fillPoly(canvas.image_hwc, outline, color, cv2.LINE_AA, SHIFT)
            if piece.solid:
                cv2.fillPoly(canvas.labels_hw, outline, (CAR,), cv2.LINE_8, SHIFT)

    def _light_faces(
        self, shape: Mesh, half: Array, turn: Array, place: Array, camera: Camera, light: Light
    ) -> tuple[list[bool], list[Color]]:
        """Which faces look at the camera, and the paint of each in this light."""
        eye = turn @ (np.array([0.0, camera.height, 0.0]) - place)
        normals = shape.normals / half
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        seen = ((eye - shape.centers * half) * normals).sum(1) > 0
        world = normals @ turn
        power = light.ambient + light.direct * np.maximum(0, world @ np.array(light.sun))
        gleam = 26 * np.maximum(0, world[:, 1]) * (0.4 + light.direct)
        colors = power[:, None] * np.array(self.paint) * np.array(light.tint) + gleam[:, None]
        colors += (np.array(light.haze) - colors) * light.veil(self.z)
        return seen.tolist(), colors.tolist()

    def _tones(self, light: Light) -> dict[str, Color]:
        """The colors of all that is not painted metal."""
        away = bool(np.cos(self.heading) > 0)
        bright = self.braking or light.dusk
        power = light.ambient + 0.3 * light.direct
        tones: dict[str, Color] = {
            "tire": (24, 24, 26),
            "dark": (38, 38, 41),
            "rim": scaled((150, 152, 156), power),
            "seam": scaled(self.paint, 0.55 * power),
            "glass": (42, 48, 56),
            "shine": scaled((96, 110, 124), power),
            "red": (250, 44, 38) if bright else (140, 22, 28),
            "lamp": (255, 250, 225) if light.dusk else scaled((214, 216, 220), power),
            "plate": scaled((228, 208, 96) if away else (232, 232, 226), power),
        }
        return {name: light.through_air(color, self.z) for name, color in tones.items()}
