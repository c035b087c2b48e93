"""What label files hold, as they hold it: masks of any kind.

Pillow reads the masks, because OpenCV turns a palette's indices into colors before one sees them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from briskseg.core.errors import ContentError, DataError
from briskseg.core.files.pictures import opened, raw_mode
from briskseg.core.types import RGB, Array
from briskseg.core.wording import counted

# A PNG of 2 or 4 bits a pixel: Pillow spreads the values over 0..255; these factors undo it.
_SPREAD = {"L;2": 85, "L;4": 17}
_NAMED = 4096  # values of a file, at most, that an error holds
_MODES = ("1", "L", "LA", "P", "PA", "I;16", "I;16B", "I", "RGB", "RGBA")


class Mask(NamedTuple):
    """A label file's pixels, (H, W) values or (H, W, channels) colors, and its (256, 3) palette.

    form, mode: the file's format and how it stores pixels, as Pillow names them. is_lossy: whether
    saving it changed values (JPEG, lossy WebP).
    """

    pixels: Array
    palette: Array | None
    form: str
    mode: str
    is_lossy: bool


def read_mask(path: Path) -> Mask:
    """Read a label file without interpreting it: indices stay indices, colors stay RGB.

    Raises DataError, naming the file, when it is missing, empty, damaged or no label image.
    """
    with opened(path, "a label image", "restore it, or remove its pair") as image:
        if image.mode not in _MODES:
            raise ContentError(
                "label-mode",
                f"{path}: a label file of mode {image.mode}; expected one channel of class "
                "indices, a palette, or RGB",
                "save it as an 8-bit PNG of class indices",
            )
        divisor = _SPREAD.get(raw_mode(image), 1)
        pixels = np.asarray(image.convert("RGBA") if image.mode == "PA" else image)
        colors = image.getpalette("RGB") if image.mode == "P" else None
        about = image.format or "", image.mode, _is_lossy(image, path)
    if colors is None:
        return Mask(pixels // divisor if divisor > 1 else pixels, None, *about)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors) // 3] = np.array(colors, np.uint8).reshape(-1, 3)
    return Mask(pixels, palette, *about)


def read_exact_mask(path: Path) -> Mask:
    """As `read_mask`; DataError too for a file whose values lossy compression has changed."""
    mask = read_mask(path)
    if mask.is_lossy:
        raise DataError(
            f"{path}: labels saved with lossy compression ({mask.form}), which changes values; "
            "make them again as PNG, from what the file was made of"
        )
    return mask


def _is_lossy(image: Image.Image, path: Path) -> bool:
    if image.format == "WEBP":
        with path.open("rb") as file:
            return file.read(16)[12:] == b"VP8 "  # lossless files have VP8L, or a header before it
    return image.format in {"JPEG", "MPO"}


def packed_colors(pixels_hwc: Array) -> Array:
    """(H, W) uint32, each color (red, green, blue) as the number 0xRRGGBB."""
    # the fourth byte that cv2 adds makes every pixel one 32-bit number
    colors: Array = cv2.cvtColor(np.ascontiguousarray(pixels_hwc), cv2.COLOR_RGB2BGRA)
    return np.asarray(colors.view("<u4")[..., 0] & 0xFFFFFF)


def rgb(packed: int) -> RGB:
    """The color 0xRRGGBB as (red, green, blue)."""
    return packed >> 16, packed >> 8 & 255, packed & 255


def most_frequent(pixels: Array) -> tuple[Array, Array, int]:
    """The values in pixels and how often each occurs, and how many there are in all.

    Of more than _NAMED the most frequent alone: a photo in a mask's place has millions.
    """
    values, counts = np.unique(pixels, return_counts=True)
    if len(values) > _NAMED:
        most = np.sort(np.argpartition(counts, -_NAMED)[-_NAMED:])
        return values[most], counts[most], len(values)
    return values, counts, len(values)


def split_alpha(mask: Array) -> tuple[Array, Array | None]:
    """A mask without its alpha channel, and where it is transparent, (H, W) bool; None: nowhere."""
    if mask.ndim == 2 or mask.shape[2] not in (2, 4):
        return mask, None
    clear = mask[..., -1] != np.iinfo(mask.dtype).max
    opaque = mask[..., 0] if mask.shape[2] == 2 else mask[..., :3]
    return np.ascontiguousarray(opaque), clear if clear.any() else None


def without_alpha(mask: Array, path: Path) -> Array:
    """A mask without its alpha channel. Raises DataError where a pixel is transparent."""
    opaque, where = split_alpha(mask)
    if where is not None:
        clear = int(np.count_nonzero(where))
        raise DataError(
            f"{path}: {counted(clear, 'pixel')} of the labels {'is' if clear == 1 else 'are'} "
            "transparent, which says nothing about their class; save the file without an alpha "
            "channel"
        )
    return opaque
