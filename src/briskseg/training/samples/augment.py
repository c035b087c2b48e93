"""Augmentation: a sample's parameters are drawn first, then ONE warp and one color pass.

Scale, crop, rotation, translation and flip compose into one matrix, so an image is resampled once
(bilinear) and its labels once (nearest). A sample's random numbers come from (seed, epoch, index)
alone: neither the number of workers nor where a run was interrupted changes them.

    matrix   sample pixel -> image pixel, both measured from the corner (pixel centers at +0.5)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from briskseg.core.labels import IGNORED
from briskseg.core.types import Floats, Image
from briskseg.recipe import AugmentPart
from briskseg.training.samples.photometric import (
    Color,
    Distortion,
    add_noise,
    as_image,
    cast_shadow,
    distort,
    draw_distortion,
    draw_factor,
    draw_shadow,
    recolor,
)

Matrix = Floats

LEAST_BLUR = 0.1  # pixels; below, a kernel's neighbors weigh nothing
CROP_TRIES = 10  # further crops while one class fills the sample (MMSegmentation's RandomCrop)


@dataclass(frozen=True)
class AugmentParams:
    """One sample's drawn parameters; `Augmenter.apply` carries them out."""

    matrices: tuple[Matrix, ...]  # (2, 3) each: the crop, then further ones for cat_max_ratio
    size_hw: tuple[int, int]
    color: Color
    blur: float  # standard deviation, pixels
    noise: float  # standard deviation, gray levels
    noise_seed: int
    shadow: Image | None  # coarse map, 255 is full light
    distortion: Distortion


class Augmenter:
    """Draws and applies what a recipe's `augment` part describes.

    fill: RGB color where a sample reaches beyond its image; labels there are ignored.
    """

    def __init__(self, part: AugmentPart, fill: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.part, self.fill = part, fill

    def params(
        self,
        image_hw: tuple[int, int],
        base_hw: tuple[int, int] | None,
        seed: int,
        epoch: int,
        index: int,
        epochs: int = 1,
    ) -> AugmentParams:
        """Draw one sample's parameters; every number is drawn each time, so that turning one
        operation off leaves the others' numbers as they were.

        Args:
            image_hw: size of the image.
            base_hw: size the image stands for before it is scaled; None: its own.
            seed, epoch, index: name this sample's random numbers.
            epochs: of the whole run, of which `part.progressive_resize` names shares.
        """
        part, rng = self.part, np.random.default_rng((seed, epoch, index))
        smaller = part.progressive_resize
        factor = 1.0 if smaller is None else smaller.factor(epoch, epochs)
        base_hw = base_hw or image_hw
        size_hw = _shrunk(part.size or base_hw, factor)  # the same view, in fewer pixels
        base_hw = _shrunk(base_hw, factor)
        zoom = rng.uniform(*part.scale) / rng.uniform(*part.crop)
        angle = np.radians(rng.uniform(-part.rotate, part.rotate))
        reach = int(part.translate)
        moved_xy = factor * rng.integers(-reach, reach + 1, 2).astype(np.float64)
        pose = Pose(zoom, angle, moved_xy, bool(rng.random() < part.flip))
        crop_xy = rng.random(2)
        brightness = draw_factor(rng, part.brightness)
        contrast = draw_factor(rng, part.contrast)
        saturation = draw_factor(rng, part.saturation)
        hue, blur, noise = rng.random(3) * (2 * np.radians(part.hue), part.blur, part.noise)
        noise_seed, shadow_seed = rng.integers(0, 2**63, 2)
        has_shadow = rng.random() < part.shadow
        crops_xy = [crop_xy, *rng.random((CROP_TRIES, 2))]
        return AugmentParams(
            tuple(
                pose.matrix(each_xy, image_hw, base_hw, size_hw)
                for each_xy in (crops_xy if part.cat_max_ratio < 1 else crops_xy[:1])
            ),
            size_hw,
            Color(brightness, contrast, saturation, float(hue - np.radians(part.hue))),
            float(blur),
            float(noise),
            int(noise_seed),
            draw_shadow(np.random.default_rng(shadow_seed)) if has_shadow else None,
            draw_distortion(rng, part.photometric),
        )

    def apply(
        self, image_hwc: Image, labels_hw: Image, params: AugmentParams
    ) -> tuple[Image, Image]:
        """Warp and blur, then light and color, shadow and noise.

        Args:
            image_hwc: (H, W, 3) uint8 RGB.
            labels_hw: (H, W) uint8; may be larger or smaller than the image (same view).

        Returns:
            (h, w, 3) uint8 RGB and (h, w) uint8, of the parameters' size.
        """
        v = params
        matrix, labels = self._choose_crop(labels_hw, image_hwc.shape, v)
        image = _warp_image(image_hwc, matrix, v.size_hw, self.fill)
        if v.blur > LEAST_BLUR:
            image = as_image(cv2.GaussianBlur(image, (0, 0), v.blur))
        image = distort(recolor(image, v.color), v.distortion)
        if v.shadow is not None:
            image = cast_shadow(image, v.shadow)
        if v.noise > 0:
            image = add_noise(image, v.noise, v.noise_seed)
        return image, labels

    def _choose_crop(
        self, labels_hw: Image, image_shape: tuple[int, ...], params: AugmentParams
    ) -> tuple[Matrix, Image]:
        """The first crop in which no class exceeds `cat_max_ratio`, else the last; its labels."""
        *crops, last = params.matrices
        for matrix in crops:
            labels = _warp_labels(labels_hw, image_shape, matrix, params.size_hw)
            if _largest_share(labels) < self.part.cat_max_ratio:
                return matrix, labels
        return last, _warp_labels(labels_hw, image_shape, last, params.size_hw)


@dataclass(frozen=True)
class Pose:
    """How a sample's window lies in the scaled image, but for where it is cropped."""

    zoom: float  # the scaled image's size, as a factor of the base size
    angle: float  # radians
    moved_xy: Floats  # pixels
    flipped: bool

    def matrix(
        self,
        crop_xy: Floats,
        image_hw: tuple[int, int],
        base_hw: tuple[int, int],
        size_hw: tuple[int, int],
    ) -> Matrix:
        """Sample pixel -> image pixel, for a window of `size_hw` in the scaled image.

        crop_xy: where the window lies in the room that it has, from 0 to 1 along each axis.
        """
        zoom = self.zoom
        if zoom == 1:  # whole pixels: a sample that is only shifted is not resampled
            room = np.array([base_hw[1] - size_hw[1], base_hw[0] - size_hw[0]])
            corner_xy = np.round(crop_xy * room)
        else:
            room = np.array([base_hw[1] * zoom - size_hw[1], base_hw[0] * zoom - size_hw[0]])
            corner_xy = crop_xy * room
        middle_xy = np.array([size_hw[1], size_hw[0]]) / 2
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        if self.flipped:
            turn[:, 0] *= -1
        # window pixel p -> scaled image: turn about the window's middle, then shift it there
        shift = corner_xy + middle_xy - self.moved_xy - turn @ middle_xy
        shrink = np.array([image_hw[1] / base_hw[1], image_hw[0] / base_hw[0]]) / zoom
        return np.concatenate([turn, shift[:, None]], axis=1) * shrink[:, None]


def _shrunk(size_hw: tuple[int, int], factor: float) -> tuple[int, int]:
    """Whole multiples of 8, by which networks halve their input three times without a rest."""
    if factor == 1:
        return size_hw
    height, width = (max(8, 8 * round(side * factor / 8)) for side in size_hw)
    return height, width


def _largest_share(labels_hw: Image) -> float:
    """The most frequent class's share of the labeled pixels; 1 where nothing is labeled."""
    counts = cv2.calcHist([labels_hw], [0], None, [IGNORED], [0, IGNORED])
    return float(counts.max() / counts.sum()) if counts.any() else 1.0


def halvings(matrix: Matrix) -> int:
    """How often an image is halved before this matrix shrinks it by less than two."""
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return max(0, int(np.floor(np.log2(max(shrink, 1.0)))))


def _warp_image(
    image: Image, matrix: Matrix, size_hw: tuple[int, int], fill: tuple[int, int, int]
) -> Image:
    # Bilinear sampling skips pixels when it shrinks by more than two; halve by area first.
    for _ in range(halvings(matrix)):
        half = (max(1, image.shape[1] // 2), max(1, image.shape[0] // 2))
        factor = np.array([half[0] / image.shape[1], half[1] / image.shape[0]])
        image = as_image(cv2.resize(image, half, interpolation=cv2.INTER_AREA))
        matrix = matrix * factor[:, None]
    return _warp(image, matrix, size_hw, cv2.INTER_LINEAR, fill)


def _warp_labels(
    labels: Image, image_shape: tuple[int, ...], matrix: Matrix, size_hw: tuple[int, int]
) -> Image:
    """matrix leads to the image's pixels; the labels may be of another size."""
    scale_xy = np.array([labels.shape[1] / image_shape[1], labels.shape[0] / image_shape[0]])
    return _warp(labels, matrix * scale_xy[:, None], size_hw, cv2.INTER_NEAREST, IGNORED)


def _warp(
    pixels: Image,
    matrix: Matrix,
    size_hw: tuple[int, int],
    method: int,
    border: tuple[int, int, int] | int,
) -> Image:
    centered = matrix.copy()  # between pixel indices, as OpenCV counts: a center is a whole number
    centered[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return as_image(
        cv2.warpAffine(
            pixels,
            centered,
            (size_hw[1], size_hw[0]),
            flags=method | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=border,
        )
    )
