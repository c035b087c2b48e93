"""One file in a few numbers, as `check` needs it: sizes, form, histogram, digest; no pixels.

A mask's numbers do not depend on the classes, so that another class list needs no file read again.
`StatsCache` keeps them in the user's cache folder while the files are the same.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from briskseg.core.errors import ContentError, DataError, PixelsError, UnknownLabelError
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.in_memory import InMemory
from briskseg.core.files.pictures import AVIF, is_16_bit, opened, raw_mode, stored_bands
from briskseg.core.images import (
    dark_image,
    decode_image,
    orientation_of,
    pixel_runs,
    sixteen_bit_range,
    stretched_image,
)
from briskseg.core.labels.mask_files import packed_colors, read_mask, rgb, split_alpha
from briskseg.core.types import RGB, Array, Floats32, Labels
from briskseg.data.blends import blended_share

LOOK = 12  # cells a side, of an image's gradients

# Of a label file with more values or colors than a class list can have, the most frequent ones.
_ALL, _SOME = 257, 128
_NETPBM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
_MAGIC = (b"\x89PNG", b"\xff\xd8", b"BM", b"II", b"MM", b"RIFF", b"GIF8", *_NETPBM)


@dataclass(frozen=True)
class ImageStats:
    """height, width: upright, in pixels. orientation: EXIF's, 1 where there is none. form, mode:
    the file's format and how it stores pixels, as Pillow names them. lowest, highest: the extreme
    values of all channels; of a 16-bit file those of 16 bits. digest: of size and pixels. look:
    `look_of` the image, "" where it is blank."""

    height: int
    width: int
    orientation: int
    form: str
    mode: str
    lowest: int
    highest: int
    digest: str
    look: str


@dataclass(frozen=True)
class LabelStats:
    """height, width: in pixels, as stored. histogram: the pixels of each value, of a file with very
    many of the most frequent ones. distinct: how many there are in all. digest: of the pixels.
    is_color: whether the histogram holds colors (0xRRGGBB) and not values. form, mode: as
    ImageStats'. clear: transparent pixels, which the histogram is without. under: the values of
    those that are wholly so. palette: the color of each index that is used, where there is one.
    is_decoded: whether the histogram holds class indices and 255, as of a format whose label files
    are no pictures. left_out: how many shapes of each kind are no areas. crowds: how many of each
    class are ignored because they are marked as crowds. blended: `blended_share` of indices.
    """

    height: int
    width: int
    histogram: dict[int, int]
    distinct: int
    digest: str
    is_color: bool = False
    form: str = ""
    mode: str = ""
    is_lossy: bool = False
    clear: int = 0
    under: dict[int, int] = field(default_factory=dict)
    palette: dict[int, int] | None = None
    is_decoded: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    crowds: dict[str, int] = field(default_factory=dict)
    blended: float = 0.0

    def color(self, value: int) -> RGB:
        """The color of a value: of an index of the palette, or the one that the value is."""
        return rgb(value if self.palette is None else self.palette[value])


@dataclass(frozen=True)
class FileProblem:
    """Why a file cannot be read: one of `KINDS`, and a sentence that names the file. fix_hint: what
    to do, where that is more than the kind says. is_listed: of every class of
    the file's shapes, whether the class list has it."""

    kind: str
    path: Path
    message: str
    fix_hint: str = ""
    is_listed: dict[str, bool] = field(default_factory=dict)


def image_stats(path: Path) -> ImageStats | FileProblem:
    """Decode an image as training does and reduce it."""
    if not isinstance(path, InMemory) and (problem := _seen_at_once(path)):
        return problem
    try:
        with opened(path) as picture:
            image_hwc = decode_image(picture, path)
            form, mode = picture.format or "", _stored_mode(picture, path)
            orientation = orientation_of(picture)
        extremes = sixteen_bit_range(path) if is_16_bit(mode) else None
        if extremes and dark_image(*extremes):  # else its high bytes, all 0, would stand for it
            image_hwc = stretched_image(path, extremes[1], orientation)
        extremes = extremes or (int(image_hwc.min()), int(image_hwc.max()))
    except DataError as error:
        return _problem(path, error)
    height, width = image_hwc.shape[:2]
    about = (orientation, form, mode, *extremes, _digest(image_hwc), look_of(image_hwc))
    return ImageStats(height, width, *about)


def _stored_mode(picture: Image.Image, path: Path) -> str:
    """As Pillow names how pixels are stored; of a TIFF also what that name hides: more than 8 bits,
    or a fourth band that is not said to be alpha."""
    mode = raw_mode(picture) or picture.mode
    bands = stored_bands(path) if picture.format == "TIFF" else None
    if bands and bands[0] == 4 and picture.mode == "RGB":
        mode = "RGBX"
    return f"{mode};16" if bands and bands[1] == 16 and not is_16_bit(mode) else mode


def mask_stats(path: Path) -> LabelStats | FileProblem:
    """Read a label file without knowing the classes, and count its values or colors."""
    if problem := _seen_at_once(path):
        return problem
    try:
        mask = read_mask(path)
    except DataError as error:
        return _problem(path, error)
    pixels, where_clear = split_alpha(mask.pixels)
    clear = 0 if where_clear is None else int(np.count_nonzero(where_clear))
    is_color = pixels.ndim == 3
    held, under = packed_colors(pixels) if is_color else pixels, dict[int, int]()
    if where_clear is not None:
        under, _ = _histogram(*pixel_runs(held[mask.pixels[..., -1] == 0]))
        held = held[~where_clear]
    values, lengths = pixel_runs(held)
    histogram, distinct = _histogram(values, lengths)
    is_index = not (is_color or clear) and mask.palette is None and values.dtype == np.uint8
    blended = blended_share(values, lengths) if is_index else 0.0
    palette = None
    if mask.palette is not None:
        red, green, blue = mask.palette[[*histogram]].astype(int).T
        colors = (red << 16 | green << 8 | blue).tolist()
        palette = dict(zip(histogram, colors, strict=True))
    height, width = pixels.shape[:2]
    about = (is_color, mask.form, mask.mode, mask.is_lossy, clear, under, palette)
    stats = LabelStats(height, width, histogram, distinct, _digest(pixels), *about)
    return replace(stats, blended=blended)


def decoded_stats(
    path: Path, read: Callable[[], Labels], absent_is_empty: bool = False
) -> LabelStats | FileProblem:
    """Of a label file that is no picture: what `read` decodes it to.

    absent_is_empty: `read` takes a file that is not there, or is empty, for one without shapes.
    """
    if not absent_is_empty and (problem := _absent_or_empty(path)):
        return problem
    try:
        labels_hw = read()
    except UnknownLabelError as error:
        return FileProblem("unknown-values", path, str(error))
    except DataError as error:
        return FileProblem("damaged-file", path, str(error))
    height, width = labels_hw.shape
    counted = (*_histogram(*pixel_runs(labels_hw)), _digest(labels_hw))
    return LabelStats(height, width, *counted, is_decoded=True)


def look_of(image_hwc: Array) -> str:
    """A perceptual hash: the gradients of the image shrunk to 13x13 gray cells, across and down, as
    288 signed bytes in base64; "" for an image without any.

    Resizing, re-encoding, brightness and contrast change it little: the cosine of two looks stays
    above 0.99; that of different street scenes lies below 0.7.
    """
    gray = cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    if (factor := min(height, width) // (8 * (LOOK + 1))) > 1:  # quick, as it is a whole number
        gray = cv2.resize(gray, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    cells = (LOOK + 1, LOOK + 1)
    gray = cv2.resize(gray.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
    across, down = np.diff(gray, axis=1)[:-1], np.diff(gray, axis=0)[:, :-1]
    gradients = np.stack([across, down])
    largest = np.abs(gradients).max()
    if largest < 1:
        return ""
    return base64.b64encode((gradients * (127 / largest)).round().astype(np.int8)).decode()


def looks_array(looks: list[str]) -> Floats32:
    """(images, 288) float32, each row of length 1: a product of two is the cosine."""
    rows = [np.frombuffer(base64.b64decode(look), np.int8) for look in looks]
    array = np.array(rows, np.float32).reshape(len(looks), 2 * LOOK * LOOK)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True))


def _digest(pixels: Array) -> str:
    """Of the shape and the pixels: a CRC-32 of each half. They tell files apart that nobody made
    alike on purpose, in a third of the time that SHA-256 takes."""
    flat = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    halves = (zlib.crc32(half.data) for half in np.array_split(flat, 2))
    return f"{'x'.join(map(str, pixels.shape))}-{''.join(f'{crc:08x}' for crc in halves)}"


def _histogram(of_runs: Array, lengths: Array) -> tuple[dict[int, int], int]:
    """The pixels of each value, of many the most frequent; and how many values there are."""
    if of_runs.dtype == np.uint8:
        counts = np.bincount(of_runs, weights=lengths)
        values = np.flatnonzero(counts)
        sums = counts[values].astype(np.int64)
    else:
        values, where = np.unique(of_runs, return_inverse=True)
        sums = np.bincount(where, weights=lengths).astype(np.int64)
    distinct = len(values)
    if distinct > _ALL:  # before they become Python's numbers: a photo has millions
        most = np.argsort(-sums, kind="stable")[:_SOME]
        values, sums = values[most], sums[most]
    return dict(zip(values.tolist(), sums.tolist(), strict=True)), distinct


def _absent_or_empty(path: Path) -> FileProblem | None:
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        return FileProblem("not-an-image", path, f"{path}: is no regular file")
    if not path.exists():
        return FileProblem("missing-file", path, f"{path}: there is no such file")
    if path.stat().st_size == 0:
        return FileProblem("empty-file", path, f"{path}: the file is empty")
    return None


def _seen_at_once(path: Path) -> FileProblem | None:
    """What the first and last bytes tell, before a decoder complains about them."""
    try:
        if problem := _absent_or_empty(path):
            return problem
        with path.open("rb") as file:
            head = file.read(16)
            length = file.seek(0, 2)
            file.seek(max(0, length - 4096))
            tail = file.read()
    except OSError as error:
        return FileProblem("damaged-file", path, f"{path}: cannot be read ({error.strerror})")
    if not head.startswith(_MAGIC) and not (AVIF and head[4:12] == b"ftypavif"):
        try:
            refuse_other(path, "an image")
        except ContentError as error:
            return _problem(path, error)
        return FileProblem("not-an-image", path, f"{path}: is no image of a known type")
    if head.startswith(b"\x89PNG") and b"IEND" not in tail and b"IEND" not in path.read_bytes():
        return FileProblem(
            "damaged-file", path, f"{path}: the file is cut off after {length} bytes"
        )
    return None


def _problem(path: Path, error: DataError) -> FileProblem:
    """Which kind of problem a file has that could not be read."""
    if isinstance(error, ContentError):
        return FileProblem(error.kind, path, error.found, error.fix_hint)
    kind = "too-large" if isinstance(error, PixelsError) else "damaged-file"
    return FileProblem(kind, path, str(error))
