"""Training samples that vary: parameters are drawn once, then ONE warp and one color pass.

Scale, crop, rotation, translation and flip compose into one matrix, so an image is resampled once
(bilinear) and its labels once (nearest). Brightness, contrast, saturation and hue compose into one
3x4 color matrix. A sample's random numbers come from (seed, epoch, index) alone: neither the number
of workers nor the place where a run was interrupted changes them.

    matrix   sample pixel -> image pixel, both measured from the corner (pixel centers at +0.5)
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from briskseg.core.labels import IGNORED
from briskseg.recipe import AugmentPart, Factor

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

# Standard normal quantiles of 256 equally likely levels, scaled to unit variance: random bytes look
# their noise up here, which is several times cheaper than drawing normal numbers pixel by pixel.
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_QUANTILES /= _QUANTILES.std()

# Rows turn RGB into YIQ (luma, and the two color axes that hue rotates); ITU-R BT.601 luma.
_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


@dataclass(frozen=True)
class Variation:
    """One sample's drawn parameters; `Augmenter.apply` carries them out."""

    matrix: Matrix  # (2, 3)
    size_hw: tuple[int, int]
    brightness: float
    contrast: float
    saturation: float
    hue: float  # radians
    blur: float  # standard deviation, pixels
    noise: float  # standard deviation, gray levels
    noise_seed: int
    shadow: Image | None  # coarse map, 255 is full light


class Augmenter:
    """Draws variations of a recipe's `augment` part and applies them.

    Args:
        part: what varies and how far.
        fill: RGB color where a sample reaches beyond its image (labels there are ignored).
    """

    def __init__(self, part: AugmentPart, fill: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.part = part
        self.fill = fill

    def __call__(
        self,
        image_hwc: Image,
        labels_hw: Image,
        base_hw: tuple[int, int] | None,
        seed: int,
        epoch: int,
        index: int,
    ) -> tuple[Image, Image]:
        """Vary one sample.

        Args:
            image_hwc: (H, W, 3) uint8 RGB.
            labels_hw: (H, W) uint8; may be larger or smaller than the image (same view).
            base_hw: size the image stands for before it is scaled; None: its own.
            seed, epoch, index: name this sample's random numbers.

        Returns:
            (h, w, 3) uint8 RGB and (h, w) uint8 at `part.size`, or at the base size.
        """
        rng = np.random.default_rng((seed, epoch, index))
        height, width = image_hwc.shape[:2]
        variation = self.draw(rng, (height, width), base_hw or (height, width))
        return self.apply(image_hwc, labels_hw, variation)

    def draw(
        self, rng: np.random.Generator, image_hw: tuple[int, int], base_hw: tuple[int, int]
    ) -> Variation:
        """Draw one variation; every number is drawn each time, so that turning one operation off
        leaves the others' numbers as they were."""
        part = self.part
        size_hw = part.size or base_hw
        matrix = self._draw_matrix(rng, image_hw, base_hw, size_hw)
        brightness = _draw_factor(rng, part.brightness)
        contrast = _draw_factor(rng, part.contrast)
        saturation = _draw_factor(rng, part.saturation)
        hue, blur, noise = rng.random(3) * (2 * np.radians(part.hue), part.blur, part.noise)
        noise_seed, shadow_seed = rng.integers(0, 2**63, 2)
        has_shadow = rng.random() < part.shadow
        return Variation(
            matrix,
            size_hw,
            brightness,
            contrast,
            saturation,
            float(hue - np.radians(part.hue)),
            float(blur),
            float(noise),
            int(noise_seed),
            _draw_shadow(np.random.default_rng(shadow_seed)) if has_shadow else None,
        )

    def _draw_matrix(
        self,
        rng: np.random.Generator,
        image_hw: tuple[int, int],
        base_hw: tuple[int, int],
        size_hw: tuple[int, int],
    ) -> Matrix:
        """Sample pixel -> image pixel, for a window of `size_hw` in the scaled image."""
        part = self.part
        zoom = rng.uniform(*part.scale) / rng.uniform(*part.crop)
        angle = np.radians(rng.uniform(-part.rotate, part.rotate))
        reach = int(part.translate)
        moved_xy = rng.integers(-reach, reach + 1, 2)
        flipped = rng.random() < part.flip
        place_xy = rng.random(2)
        if zoom == 1:  # whole pixels: a sample that is only shifted is not resampled
            room = np.array([base_hw[1] - size_hw[1], base_hw[0] - size_hw[0]])
            corner_xy = np.round(place_xy * room)
        else:
            room = np.array([base_hw[1] * zoom - size_hw[1], base_hw[0] * zoom - size_hw[0]])
            corner_xy = place_xy * room
        middle_xy = np.array([size_hw[1], size_hw[0]]) / 2
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        if flipped:
            turn[:, 0] *= -1
        # window pixel p -> scaled image: turn about the window's middle, then shift to its place
        shift = corner_xy + middle_xy - moved_xy - turn @ middle_xy
        shrink = np.array([image_hw[1] / base_hw[1], image_hw[0] / base_hw[0]]) / zoom
        return np.concatenate([turn, shift[:, None]], axis=1) * shrink[:, None]

    def apply(
        self, image_hwc: Image, labels_hw: Image, variation: Variation
    ) -> tuple[Image, Image]:
        """Warp, then light and color, then blur and noise."""
        image, labels = _warp(image_hwc, labels_hw, variation, self.fill)
        if variation.blur > 0.1:  # below, a kernel's neighbors weigh nothing
            image = _as_image(cv2.GaussianBlur(image, (0, 0), variation.blur))
        image = _recolor(image, variation)
        if variation.shadow is not None:
            image = _cast(image, variation.shadow)
        if variation.noise > 0:
            image = _add_noise(image, variation)
        return image, labels


def _draw_factor(rng: np.random.Generator, spread: Factor | tuple[float, float]) -> float:
    if isinstance(spread, Factor):
        return float(np.clip(rng.normal(1.0, spread.sd), spread.min, spread.max))
    return float(rng.uniform(*spread))


def _warp(
    image: Image, labels: Image, variation: Variation, fill: tuple[int, int, int]
) -> tuple[Image, Image]:
    height, width = variation.size_hw
    matrix = variation.matrix
    scale_yx = np.array([labels.shape[0] / image.shape[0], labels.shape[1] / image.shape[1]])
    label_matrix = matrix * scale_yx[::-1, None]
    # Bilinear sampling skips pixels when it shrinks by more than two; halve by area first.
    while np.sqrt(abs(np.linalg.det(matrix[:, :2]))) >= 2:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        factor = np.array([half[0] / image.shape[1], half[1] / image.shape[0]])
        image = _as_image(cv2.resize(image, half, interpolation=cv2.INTER_AREA))
        matrix = matrix * factor[:, None]
    backward = cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        image,
        _from_centers(matrix),
        (width, height),
        flags=cv2.INTER_LINEAR | backward,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    warped_labels = cv2.warpAffine(
        labels,
        _from_centers(label_matrix),
        (width, height),
        flags=cv2.INTER_NEAREST | backward,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORED,
    )
    return _as_image(warped), _as_image(warped_labels)


def _from_centers(matrix: Matrix) -> Matrix:
    """The same map between pixel indices, as OpenCV counts, where a center has whole numbers."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return moved


def _recolor(image: Image, variation: Variation) -> Image:
    """Brightness, contrast about the mean gray, saturation and hue as one color matrix."""
    v = variation
    if v.brightness == v.contrast == v.saturation == 1 and v.hue == 0:
        return image
    cos, sin = np.cos(v.hue) * v.saturation, np.sin(v.hue) * v.saturation
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    colors = _YIQ_TO_RGB @ turn @ _RGB_TO_YIQ * (v.brightness * v.contrast)
    offset = 0.0
    if v.contrast != 1:
        gray = v.brightness * float(np.dot(cv2.mean(image)[:3], _RGB_TO_YIQ[0]))
        offset = (1 - v.contrast) * min(gray, 255.0)
    if v.saturation == 1 and v.hue == 0:  # the same for each channel: a table is enough
        table = np.arange(256) * (v.brightness * v.contrast) + offset
        return _as_image(cv2.LUT(image, np.clip(np.round(table), 0, 255).astype(np.uint8)))
    return _as_image(cv2.transform(image, np.column_stack([colors, np.full(3, offset)])))


def _draw_shadow(rng: np.random.Generator) -> Image:
    """Bands, a half plane or blobs, darkened to 0.3 .. 0.8 each, on a coarse square map."""
    side = 64
    light = np.full((side, side), 255, np.uint8)
    for _ in range(rng.integers(1, 4)):
        shade = np.zeros((side, side), np.uint8)
        pattern = rng.integers(3)
        if pattern == 2:  # the dappled shade of a tree
            for x, y, a, b in rng.uniform((0, 0, 3, 3), (side, side, 14, 9), (12, 4)):
                cv2.ellipse(shade, ((x, y), (a, b), float(rng.uniform(0, 180))), 255, -1)
        else:  # a building's edge (half plane) or a pole's (band)
            angle, middle = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2) * side
            along = 2 * side * np.array([np.cos(angle), np.sin(angle)])
            across = np.array([-np.sin(angle), np.cos(angle)])
            across *= 2 * side if pattern == 0 else rng.uniform(3, 16)
            corners = [
                middle - along,
                middle + along,
                middle + along + across,
                middle - along + across,
            ]
            cv2.fillConvexPoly(shade, np.round(corners).astype(np.int32), 255)
        strength = rng.uniform(0.2, 0.7)
        dimmed = cv2.addWeighted(shade, -strength, shade, 0, 255)
        light = _as_image(cv2.multiply(light, dimmed, scale=1 / 255))
    return _as_image(cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.5, 2))))


def _cast(image: Image, shadow: Image) -> Image:
    height, width = image.shape[:2]
    light = cv2.resize(shadow, (width, height), interpolation=cv2.INTER_LINEAR)
    return _as_image(cv2.multiply(image, cv2.merge([light, light, light]), scale=1 / 255))


def _add_noise(image: Image, variation: Variation) -> Image:
    rng = np.random.default_rng(variation.noise_seed)
    table = np.clip(np.round(_QUANTILES * variation.noise), -128, 127).astype(np.int16)
    levels = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    noise = cv2.LUT(levels, table)
    return _as_image(cv2.add(image, noise, dtype=cv2.CV_8U))


def _as_image(array: Any) -> Image:
    """OpenCV's functions are typed as returning any array; these return bytes."""
    assert array.dtype == np.uint8
    return array  # type: ignore[no-any-return]
