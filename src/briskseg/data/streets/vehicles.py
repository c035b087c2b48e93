"""The solids that vehicles are made of: a body and a cabin, with windows, lights and wheels.

A mesh is in units of the vehicle: along (-1 tail .. 1 nose), up (0 ground .. 1 roof), across
(-1 left .. 1 right). It is built once for each kind of body and only turned and colored later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from briskseg.core.types import Array

Profile = tuple[tuple[float, float], ...]  # (along, up) around a side, from the tail over the top

# The body up to the belt line, and the cabin above it.
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
        ((-1, 0.12), (-1, 0.46), (-1, 0.52), (0.6, 0.52), (0.94, 0.4), (1, 0.3), (1, 0.1)),
        ((-1, 0.52), (-0.97, 0.98), (0.2, 1.0), (0.36, 0.97), (0.68, 0.5)),
    ),
    "bus": (
        ((-1, 0.1), (-1, 0.36), (-1, 0.42), (0.98, 0.42), (1, 0.4), (1, 0.2), (1, 0.1)),
        ((-1, 0.42), (-0.99, 0.98), (0.0, 1.0), (0.97, 0.98), (1, 0.42)),
    ),
}
PILLARS: dict[str, tuple[float, ...]] = {  # where the side windows are divided
    "hatchback": (-0.96, -0.52, -0.12, 0.5),
    "sedan": (-0.8, -0.12, 0.5),
    "wagon": (-0.97, -0.55, -0.12, 0.5),
    "van": (0.1, 0.66),
    "bus": (-1, -0.7, -0.4, -0.1, 0.2, 0.5, 0.78, 1),
}


@dataclass(frozen=True)
class Piece:
    """Corners `start:stop` of a mesh, painted with `tone`; seen when face `face` is."""

    start: int
    stop: int
    tone: str
    face: int  # -1: always painted
    solid: bool  # labeled; else only a detail of the face
    small: bool  # left out when far away


@dataclass(frozen=True)
class Mesh:
    """Corners (n, 3), pieces back to front, and the normals and centers (f, 3) of the faces."""

    corners: Array
    pieces: tuple[Piece, ...]
    normals: Array
    centers: Array


class _Builder:
    def __init__(self) -> None:
        self.corners: list[Array] = []
        self.pieces: list[Piece] = []
        self.normals: list[Array] = []
        self.centers: list[Array] = []
        self.count = 0

    def add(
        self, points: Array, tone: str, face: int, solid: bool = False, small: bool = True
    ) -> None:
        start, self.count = self.count, self.count + len(points)
        self.corners.append(points)
        self.pieces.append(Piece(start, self.count, tone, face, solid, small))

    def face(self, points: Array, middle: Array) -> int:
        """Add a painted face of a solid around `middle`; returns its number."""
        third = len(points) // 2
        normal = np.cross(points[third] - points[0], points[-1] - points[0])
        center = points.mean(0)
        self.normals.append(normal if normal @ (center - middle) > 0 else -normal)
        self.centers.append(center)
        self.add(points, "paint", len(self.normals) - 1, solid=True, small=False)
        return len(self.normals) - 1

    def patch(
        self,
        face: int,
        quad: Array,
        across: Sequence[float],
        up: Sequence[float],
        tone: str,
        small: bool = True,
    ) -> None:
        """Add a part of a four-cornered face, in shares of its width and height."""
        corners = []
        for s, t in ((0, 0), (0, 1), (1, 1), (1, 0)):
            left = quad[0] + (quad[1] - quad[0]) * up[t]
            right = quad[3] + (quad[2] - quad[3]) * up[t]
            corners.append(left + (right - left) * across[s])
        self.add(np.array(corners), tone, face, small=small)


@lru_cache(maxsize=8)
def mesh(body: str) -> Mesh:
    """The solid of a kind of body."""
    lower, upper = (np.array(profile) for profile in BODIES[body])
    builder = _Builder()
    for along in (0.62, -0.62):
        for low, high in ((-0.98, -0.72), (0.72, 0.98)):
            quad = [(along, 0, low), (along, 0.3, low), (along, 0.3, high), (along, 0, high)]
            builder.add(np.array(quad), "tire", -1, solid=True, small=False)
    _add_body(builder, lower, body)
    _add_cabin(builder, upper, body)
    return Mesh(
        np.concatenate(builder.corners),
        tuple(builder.pieces),
        np.array(builder.normals),
        np.array(builder.centers),
    )


def _sides(profile: Array, widths: tuple[float, float]) -> tuple[Array, Array]:
    """The left and right outline (n, 3) of a profile, narrower towards its top."""
    low, high = profile[:, 1].min(), profile[:, 1].max()
    half = widths[0] + (widths[1] - widths[0]) * (profile[:, 1] - low) / (high - low)
    return np.column_stack([profile, -half]), np.column_stack([profile, half])


def _add_body(builder: _Builder, profile: Array, body: str) -> None:
    left, right = _sides(profile, (1.0, 0.98))
    middle = 0.5 * (left.mean(0) + right.mean(0))
    last = len(profile) - 2
    for k in range(last + 1):
        quad = np.array([left[k], left[k + 1], right[k + 1], right[k]])
        face = builder.face(quad, middle)
        if k == 0:
            builder.patch(face, quad, (0, 1), (0, 0.25), "dark")
            builder.patch(face, quad, (0.34, 0.66), (0.45, 0.75), "plate")
        if k in (0, 1):
            up = (0.7, 1.0) if k == 0 else (0.0, 0.75)
            builder.patch(face, quad, (0.0, 0.17), up, "red", small=False)
            builder.patch(face, quad, (0.83, 1.0), up, "red", small=False)
        if k == last:
            builder.patch(face, quad, (0.25, 0.75), (0.08, 0.42), "dark")
            builder.patch(face, quad, (0.02, 0.22), (0.0, 0.35), "lamp", small=False)
            builder.patch(face, quad, (0.78, 0.98), (0.0, 0.35), "lamp", small=False)
            builder.patch(face, quad, (0.34, 0.66), (0.5, 0.75), "plate")
            builder.patch(face, quad, (0.0, 1.0), (0.86, 1.0), "dark")
    for sign, side in ((-1, left), (1, right)):
        face = builder.face(side, middle)
        tail, nose = side[0], side[-1]
        rise = np.array([0, 0.07, 0])
        builder.add(np.array([tail, tail + rise, nose + rise, nose]), "dark", face)
        if body != "bus":
            for along in (-0.45, -0.1, 0.36):
                seam = [(along, 0.2), (along, 0.58), (along + 0.012, 0.58), (along + 0.012, 0.2)]
                builder.add(_on_side(seam, sign), "seam", face)
        _add_wheels(builder, face, sign, body)


def _on_side(points: Sequence[tuple[float, float]], sign: int) -> Array:
    """Points (along, up) on the side of the body."""
    return np.array([(along, up, 1.005 * sign) for along, up in points])


def _add_wheels(builder: _Builder, face: int, sign: int, body: str) -> None:
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    wide, tall = {"bus": (0.1, 0.16), "van": (0.13, 0.155)}.get(body, (0.155, 0.215))
    for along in (-0.62, 0.62):
        arch = np.clip(tall + 1.2 * tall * np.sin(turn), 0.15, None)
        outline = list(zip(along + 1.2 * wide * np.cos(turn), arch, strict=True))
        builder.add(_on_side(outline, sign), "dark", face)
        for size, tone in ((1.0, "tire"), (0.62, "rim"), (0.2, "dark")):
            up = tall + size * tall * np.sin(turn)
            ring = list(zip(along + size * wide * np.cos(turn), up, strict=True))
            builder.add(_on_side(ring, sign), tone, face, solid=size == 1, small=size < 0.5)


def _add_cabin(builder: _Builder, profile: Array, body: str) -> None:
    left, right = _sides(profile, (0.95, 0.93 if body == "bus" else 0.74))
    middle = 0.5 * (left.mean(0) + right.mean(0))
    last = len(profile) - 2
    for k in range(last + 1):
        quad = np.array([left[k], left[k + 1], right[k + 1], right[k]])
        face = builder.face(quad, middle)
        if k == last or (k == 0 and body != "van"):
            builder.patch(face, quad, (0.07, 0.93), (0.1, 0.88), "glass", small=False)
            builder.patch(face, quad, (0.12, 0.46), (0.5, 0.82), "shine")
        elif k == 0:
            builder.patch(face, quad, (0.49, 0.51), (0.0, 1.0), "seam")
    for side in (left, right):
        face = builder.face(side, middle)
        center = side.mean(0)
        inner = center + (side - center) * np.array([0.92, 0.74, 1.0])
        inner[:, 2] = np.interp(inner[:, 1], np.sort(side[:, 1]), side[np.argsort(side[:, 1]), 2])
        for start, stop in zip(PILLARS[body][:-1], PILLARS[body][1:], strict=True):
            pane = _cut(_cut(inner, start + 0.025, 1), stop - 0.025, -1)
            if len(pane) >= 3:
                builder.add(pane, "glass", face, small=False)


def _cut(points: Array, along: float, sign: int) -> Array:
    """The part of a convex polygon (n, 3) on one side of a cross-section."""
    kept = []
    for k, point in enumerate(points):
        before = points[k - 1]
        inside, was = (point[0] - along) * sign >= 0, (before[0] - along) * sign >= 0
        if inside != was:
            share = (along - before[0]) / (point[0] - before[0])
            kept.append(before + (point - before) * share)
        if inside:
            kept.append(point)
    return np.array(kept).reshape(-1, 3)
