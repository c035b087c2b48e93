"""The camera, the light, and the painter, which fills one list of shapes into image and labels.

Positions are in meters: X to the right, Y up, Z ahead, the camera above the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np

from briskseg.core.types import Array


class Label(IntEnum):
    """CamVid's 11 classes, in the order of `briskseg.core.labels.CAMVID11`; and ignored."""

    SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
    IGNORED = 255


Color = tuple[float, float, float]  # RGB under full light, 0..255; above 255 it shines itself

NEAR = 1.5  # m; the ground is first seen beyond it, and nothing nearer is painted
FAR = 130.0  # m; the street ends here
SHIFT = 4  # fractional bits of cv2's polygon coordinates


class Shape(NamedTuple):
    """A flat polygon; it is painted over the shapes before it in a list."""

    corners: Array  # (n, 3) float, meters
    color: Color | None  # None: changes labels only, as between the bars of a railing
    label: Label | None = None  # None: a detail of what it lies on, whose label stays
    solid: bool = False  # seen from one side only, from where its corners run clockwise


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera; the street before it bends with curvature `bend` (1/m)."""

    size_hw: tuple[int, int]
    focal: float  # px
    center: float  # px, the column of the street's axis
    horizon: float  # px, the row of the horizon
    height: float  # m
    bend: float

    def project(self, points: Array) -> Array:
        """The pixels (n, 2) of points (n, 3)."""
        x, y, z = points.T
        near = np.maximum(z, NEAR)
        u = self.center + self.focal * (x + 0.5 * self.bend * z * z) / near
        v = self.horizon + self.focal * (self.height - y) / near
        return np.stack([u, v], 1)


@dataclass(frozen=True)
class Light:
    """Sun, sky and air: how bright and of what color surfaces look."""

    sun: Array  # unit vector towards the sun
    direct: float  # the sun's share of the light
    ambient: float
    tint: Color  # factors
    haze: Array  # (3,) color
    haze_m: float  # distance at which 63 % of what is seen is haze

    def veil(self, z: Array) -> Array:
        """The share of haze in what is seen from `z` meters away."""
        return 1 - np.exp(-np.maximum(z, 0) / self.haze_m)


class Painter:
    """Holds image_hwc, (H, W, 3) uint8 RGB, and labels_hw, (H, W) uint8, at first all sky."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera, self.light = camera, light
        self.image_hwc = np.zeros((*camera.size_hw, 3), np.uint8)
        self.labels_hw = np.full(camera.size_hw, Label.SKY, np.uint8)

    def paint(self, shapes: list[Shape], hazy: bool = True, fall: Array | None = None) -> None:
        """Fill shapes in their order: soft edges in the image, hard ones in the labels.

        With `fall`, fill their shadows on the ground, and the labels only: points move by `fall`
        (3,) for each meter that they are high.
        """
        points = np.concatenate([shape.corners for shape in shapes])
        if fall is not None:
            points += points[:, 1:2] * fall
        counts = np.array([len(shape.corners) for shape in shapes])
        starts = np.cumsum(counts) - counts
        normals = newell(points, starts, counts)
        facing = (normals * ((0, self.camera.height, 0) - points[starts])).sum(1)
        normals[facing < 0] *= -1  # what is not solid shows the camera its other side
        z = np.add.reduceat(points[:, 2], starts) / counts
        tones = self._tones(shapes, normals, z, hazy) if fall is None else []
        pixels = self.camera.project(points)
        low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
        seen = (high > -1).all(1) & (low <= self.labels_hw.shape[::-1]).all(1)
        seen &= np.maximum.reduceat(points[:, 2], starts) > NEAR
        seen &= (facing > 0) | ~np.array([shape.solid for shape in shapes])
        # Details of less than half a pixel are left out.
        seen &= ((high - low).min(1) > 0.5) | [shape.label is not None for shape in shapes]
        corners = np.rint(pixels * (1 << SHIFT)).astype(np.int32)
        first, last = starts.tolist(), (starts + counts).tolist()
        for k in np.flatnonzero(seen).tolist():
            polygon, shape = [corners[first[k] : last[k]]], shapes[k]
            if shape.color is not None and fall is None:
                cv2.fillPoly(self.image_hwc, polygon, tones[k], cv2.LINE_AA, SHIFT)
            if shape.label is not None:
                cv2.fillPoly(self.labels_hw, polygon, (shape.label,), cv2.LINE_8, SHIFT)

    def _tones(self, shapes: list[Shape], normals: Array, z: Array, hazy: bool) -> list[Color]:
        """What the shapes look like in this light, from that far away."""
        light, black = self.light, (0.0, 0.0, 0.0)
        power = light.ambient + light.direct * np.maximum(0, normals @ light.sun)
        colors = np.array([shape.color or black for shape in shapes]) * light.tint * power[:, None]
        if hazy:
            colors += (light.haze - colors) * light.veil(z)[:, None]
        tones: list[Color] = np.minimum(colors, 255).tolist()
        return tones


def newell(points: Array, starts: Array, counts: Array) -> Array:
    """Unit normals (m, 3) of joined polygons, towards where their corners run clockwise."""
    after = np.arange(1, len(points) + 1)
    after[starts + counts - 1] = starts
    (x, y, z), (i, j, k) = points.T, points[after].T
    twice = np.stack([y * k - z * j, z * i - x * k, x * j - y * i], 1)
    normals = np.add.reduceat(twice, starts)
    unit: Array = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)
    return unit
