"""The stock way that ours is compared with: PIL and numpy, one step after the other.

Written as a careful engineer writes a first pipeline: images are resized before anything else, so
that the later steps work on few pixels; each operation makes its own picture.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter


def resize(image: Image.Image, labels: Image.Image, size_hw: tuple[int, int]):
    size = (size_hw[1], size_hw[0])
    return image.resize(size, Image.Resampling.BILINEAR), labels.resize(
        size, Image.Resampling.NEAREST
    )


def rotate(image: Image.Image, labels: Image.Image, degrees: float):
    return (
        image.rotate(degrees, Image.Resampling.BILINEAR),
        labels.rotate(degrees, Image.Resampling.NEAREST, fillcolor=255),
    )


def crop(image: Image.Image, labels: Image.Image, rng, size_hw: tuple[int, int]):
    """A window of this size at random, the image padded where it is smaller."""
    height, width = size_hw
    if image.width < width or image.height < height:
        padded = Image.new("RGB", (max(width, image.width), max(height, image.height)))
        padded.paste(image)
        padded_labels = Image.new("L", padded.size, 255)
        padded_labels.paste(labels)
        image, labels = padded, padded_labels
    x = int(rng.integers(image.width - width + 1))
    y = int(rng.integers(image.height - height + 1))
    window = (x, y, x + width, y + height)
    return image.crop(window), labels.crop(window)


def flip(image: Image.Image, labels: Image.Image):
    mirror = Image.Transpose.FLIP_LEFT_RIGHT
    return image.transpose(mirror), labels.transpose(mirror)


def recolor(image: Image.Image, brightness: float, contrast: float, saturation: float):
    image = ImageEnhance.Brightness(image).enhance(brightness)
    image = ImageEnhance.Contrast(image).enhance(contrast)
    return ImageEnhance.Color(image).enhance(saturation)


def shadow(image: Image.Image, rng) -> Image.Image:
    mask = Image.new("L", image.size, 255)
    corners = [tuple(p) for p in (rng.random((4, 2)) * image.size).tolist()]
    ImageDraw.Draw(mask).polygon(corners, fill=int(rng.integers(80, 200)))
    light = np.asarray(mask, np.float32)[..., None] / 255
    return Image.fromarray((np.asarray(image, np.float32) * light).astype(np.uint8))


def blur(image: Image.Image, sigma: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma))


def noise(image: Image.Image, rng, sd: float) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    pixels = pixels + rng.normal(0, sd, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
