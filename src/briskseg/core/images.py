"""Images: read, measure, resize and write them; a file that is damaged or too large is named.

image_hwc is (H, W, 3) uint8 RGB. The EXIF orientation is applied, on reading and in `image_size`:
an image is what viewers and labeling tools show of it, and a phone's photo stands upright.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from briskseg.core.errors import DataError
from briskseg.core.files.pictures import opened
from briskseg.core.types import Array

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})

# What each EXIF orientation does to the stored pixels to make them upright.
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[::-1],
}


def read_image(path: Path) -> Array:
    """Read a file into image_hwc, (H, W, 3) uint8 RGB, upright.

    Grayscale becomes three equal channels, 16 bits become 8 (the high byte), alpha is dropped.
    Raises DataError naming the file when it is missing, empty, damaged, no image, or its header
    states more pixels than `bounds.max_pixels()`.
    """
    size_hw, orientation = _header(path)
    data = np.fromfile(path, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None or image.shape[:2] != size_hw:
        raise DataError(f"{path}: the image is damaged or cut off; restore it, or remove it")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(upright(np.asarray(image), orientation))


def upright(stored: Array, orientation: int) -> Array:
    """A stored image or label map, (H, W) or (H, W, 3), turned as its EXIF orientation says: a
    view, of the same array for 1 and for what is no orientation."""
    turn = _UPRIGHT.get(orientation)
    return stored if turn is None else turn(stored)


def image_size(path: Path) -> tuple[int, int]:
    """The upright image's (height, width) in pixels, from the file's header: no pixel is decoded.

    Raises DataError naming the file when it is missing, empty or no image.
    """
    (height, width), orientation = _header(path)
    return (width, height) if orientation >= 5 else (height, width)


def _header(path: Path) -> tuple[tuple[int, int], int]:
    """The stored (height, width) and the EXIF orientation, 1 where the file says none."""
    with opened(path) as picture:
        return (picture.height, picture.width), orientation_of(picture)


def orientation_of(picture: Image.Image) -> int:
    """An opened picture's EXIF orientation, 1..8; 1 where it says none."""
    # Where no EXIF block precedes the pixels, Pillow would decode a PNG to look for one.
    exif = picture.getexif() if "exif" in picture.info else {}
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return int(orientation) if orientation in range(1, 9) else 1


def resize_image(image_hwc: Array, size_hw: tuple[int, int]) -> Array:
    """Resize image_hwc, (H, W, 3) uint8, to size_hw pixels: averaged to shrink, else bilinear."""
    height, width = size_hw
    if image_hwc.shape[:2] == (height, width):
        return image_hwc
    shrinks = height <= image_hwc.shape[0] and width <= image_hwc.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image_hwc, (width, height), interpolation=method))


def resize_labels(labels_hw: Array, size_hw: tuple[int, int]) -> Array:
    """Resize labels_hw, (H, W) uint8, to size_hw pixels with nearest neighbor (pixel centers)."""
    height, width = size_hw
    if labels_hw.shape == (height, width):
        return labels_hw
    return np.asarray(cv2.resize(labels_hw, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


def write_png(path: Path, array: Array, palette: Array | None = None) -> None:
    """Write a PNG: (H, W, 3) uint8 RGB, (H, W) uint8 or uint16 values, or uint8 palette indices.

    palette: (up to 256, 3) uint8 RGB, the color of each index (`LabelSet.palette`).
    """
    if palette is not None:
        picture = Image.fromarray(np.ascontiguousarray(array))
        picture.putpalette(palette.astype(np.uint8).tobytes())
        picture.save(path, format="PNG")
        return
    stored = cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if array.ndim == 3 else array
    _, encoded = cv2.imencode(".png", stored)
    encoded.tofile(path)
