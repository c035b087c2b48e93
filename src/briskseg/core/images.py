"""Images: read, measure, resize and write them; a file that is damaged or too large is named.

image_hwc is (H, W, 3) uint8 RGB. The EXIF orientation is applied, on reading and in `image_size`:
an image is what viewers and labeling tools show of it, and a phone's photo stands upright.
"""

from __future__ import annotations

import io
import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from briskseg.core.errors import BriskError, ContentError, DataError, RequestError
from briskseg.core.files.atomic import write_whole
from briskseg.core.files.pictures import is_16_bit, opened, raw_mode, stored_bands
from briskseg.core.types import Array
from briskseg.core.wording import counted

# By the name that Pillow has for a type, the usual one first.
SUFFIXES = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "MPO": (".jpg", ".jpeg"),  # several JPEGs in one file, as some phones write
    "PNG": (".png",),
    "PPM": (".ppm",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
IMAGE_SUFFIXES = frozenset(suffix for some in SUFFIXES.values() for suffix in some)
# Pictures and arrays that people take for images or labels and that are not read.
UNREAD_SUFFIXES = frozenset(
    {".arw", ".cr2", ".dcm", ".dng", ".exr", ".gif", ".h5", ".hdr", ".heic", ".heif", ".j2k"}
    | {".jp2", ".jxl", ".mat", ".nef", ".nii", ".npy", ".npz", ".pbm", ".pgm", ".psd", ".raw"}
    | {".svg", ".tga"}
)
VIDEO_SUFFIXES = frozenset(
    {
        *{".avi", ".flv", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"},
        *{".ts", ".webm", ".wmv"},
    }
)

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

    Grayscale becomes three equal channels, 16 bits become 8 (the high byte; of a color
    TIFF rounded), alpha is dropped.
    Raises DataError naming the file when it is missing, empty, damaged, no image, or its header
    states more pixels than `max_pixels()`.
    """
    with opened(path) as picture:
        return decode_image(picture, path)


def decode_image(picture: Image.Image, path: Path) -> Array:
    """As `read_image`, of a file that is `opened`: its header is not read again."""
    size_hw, orientation = _header(picture, path)
    if picture.format == "PPM" and picture.mode in ("1", "L", "RGB"):
        # white may be another value than 255 there, which OpenCV does not heed
        return np.array(picture.convert("RGB"))
    how = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(encoded(path), how)
    except cv2.error:
        image = None
    if image is None and picture.format == "AVIF":  # which OpenCV is seldom built with
        image = np.asarray(picture.convert("RGB"))
    if image is None and picture.format == "TIFF" and picture.mode in ("I", "F"):
        raise ContentError("image-mode", f"{path}: 32 bits a pixel", "save it with 8 or 16")
    if image is None or image.shape[:2] != size_hw:
        raise DataError(f"{path} is damaged or cut off; restore it, or remove it")
    return np.ascontiguousarray(upright(np.asarray(image), orientation))


def encoded(path: Path) -> Array:
    """The bytes of an image as OpenCV takes them, (bytes,) uint8."""
    return np.frombuffer(path.read_bytes(), np.uint8)


def sixteen_bit_range(path: Path) -> tuple[int, int] | None:
    """The lowest and the highest value of an image of more than 8 bits a channel; None of others.

    Raises DataError as `read_image`.
    """
    with opened(path) as picture:
        bands = stored_bands(path) if picture.format == "TIFF" else None
        if not (is_16_bit(raw_mode(picture) or picture.mode) or (bands and bands[1] > 8)):
            return None
    stored = cv2.imdecode(encoded(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if stored is None or stored.dtype.kind == "f":
        return None
    return int(stored.min()), int(stored.max())


def stretched_image(path: Path, highest: int, orientation: int) -> npt.NDArray[np.uint8]:
    """A 16-bit image as (H, W, 3) uint8 RGB, upright, without the bits that are 0 in all values up
    to `highest`. Raises DataError."""
    how = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    stored = cv2.imdecode(encoded(path), how)
    if stored is None:
        raise DataError(f"{path} is damaged or cut off; restore it, or remove it")
    shift = max(0, highest.bit_length() - 8)
    shifted = np.minimum(np.right_shift(stored.astype(np.uint16), shift), 255).astype(np.uint8)
    turned = upright(cv2.cvtColor(shifted, cv2.COLOR_BGR2RGB), orientation)
    return np.ascontiguousarray(turned)


def dark_image(lowest: int, highest: int) -> str:
    """What to say of a 16-bit image with these values: "" unless it uses so few bits that its high
    bytes, which are what is read, are nearly all 0."""
    if not lowest < highest < 1 << 12:
        return ""
    return f"16-bit images whose highest value is {highest} of 65535 are read as black"


def read_as_black(image_hwc: Array, path: Path) -> str:
    """As `dark_image`, of one that `read_image` gave: its file is opened again only where all of it
    is dark."""
    if image_hwc.max() > 1 << 4:  # of a color TIFF OpenCV rounds 4095 up to 16
        return ""
    values = sixteen_bit_range(path)
    return dark_image(*values) if values else ""


DARK_HINT = "scale the values to the whole range, or save the images with 8 bits"


def dark_images(paths: Sequence[Path]) -> str:
    """A sentence on those of the images that are read as black, or "" where none is."""
    dark: dict[Path, tuple[int, int]] = {}
    for path in paths:
        with suppress(DataError):  # who reads it says so
            values = sixteen_bit_range(path)
            if values and dark_image(*values):
                dark[path] = values
    if not dark:
        return ""
    lowest = min(values[0] for values in dark.values())
    highest = max(values[1] for values in dark.values())
    return (
        f"{len(dark)} of {counted(len(paths), 'image')}: {dark_image(lowest, highest)}, the first: "
        f"{next(iter(dark))}; {DARK_HINT}"
    )


def upright(stored: Array, orientation: int) -> Array:
    """A stored image or label map, (H, W) or (H, W, 3), turned as its EXIF orientation says: a
    view, of the same array for 1 and for what is no orientation."""
    turn = _UPRIGHT.get(orientation)
    return stored if turn is None else turn(stored)


def image_size(path: Path) -> tuple[int, int]:
    """The upright image's (height, width) in pixels, from the file's header: no pixel is decoded.

    Raises DataError naming the file when it is missing, empty or no image.
    """
    with opened(path) as picture:
        (height, width), orientation = _header(picture, path)
    return (width, height) if orientation >= 5 else (height, width)


def _header(picture: Image.Image, path: Path) -> tuple[tuple[int, int], int]:
    """The stored (height, width) and the EXIF orientation, 1 where the file says none."""
    if picture.mode == "F":
        raise ContentError(
            "image-mode",
            f"{path}: stores floating-point numbers, which have no scale",
            "save it with 8 or 16 bits a band",
        )
    return (picture.height, picture.width), orientation_of(picture)


def orientation_of(picture: Image.Image) -> int:
    """An opened picture's EXIF orientation, 1..8; 1 where it says none."""
    # Where no EXIF block precedes the pixels, Pillow would decode a PNG to look for one.
    exif = picture.getexif() if "exif" in picture.info else {}
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return int(orientation) if orientation in range(1, 9) else 1


def whole_size(size_hw: Sequence[int]) -> tuple[int, int]:
    """A (height, width) in pixels as a caller gave it; RequestError for what is none."""
    try:
        height, width = map(operator.index, size_hw)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise RequestError(f"the size is {size_hw!r}, expected (height, width) in whole pixels")
    return height, width


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

    palette: (up to 256, 3) uint8 RGB, the color of each index (`LabelSet.palette`). The file is
    there whole or as it was. Raises BriskError naming it where it cannot be encoded or written.
    """
    if palette is None:
        write_picture(path, png_bytes(array, str(path)))
        return
    written = io.BytesIO()
    try:
        picture = Image.fromarray(np.ascontiguousarray(array))
        picture.putpalette(palette.astype(np.uint8).tobytes())
        picture.save(written, format="PNG")
    except Exception as error:  # Pillow raises several types for what it cannot store
        raise _not_encoded(path, array) from error
    write_picture(path, written.getvalue())


def write_jpeg(path: Path, image_hwc: Array) -> None:
    """Write image_hwc, (H, W, 3) uint8 RGB, as a JPEG; as `write_png`."""
    write_picture(path, _encoded(path, ".jpg", image_hwc, cv2.IMWRITE_JPEG_QUALITY, 90))


def write_picture(path: Path, encoded: bytes) -> None:
    """Let `path` hold an encoded picture whole. Raises BriskError naming it where it cannot."""
    try:
        path.parent.stat()  # a folder that is not there is a mistake and not made
        write_whole(path, encoded, synced=False)
    except OSError as error:
        raise BriskError(
            f"{path} cannot be written: {error.strerror or error}; make room and look at the "
            "folder's permissions, or name another folder"
        ) from error


def png_bytes(array: Array, name: str = "the picture") -> bytes:
    """The content of a PNG file of (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 values.

    Raises BriskError, calling it `name`, where it cannot be encoded.
    """
    return _encoded(Path(name), ".png", array)


def _encoded(path: Path, suffix: str, array: Array, *how: int) -> bytes:
    try:
        stored = cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if array.ndim == 3 else array
        is_whole, encoded = cv2.imencode(suffix, stored, how)
    except cv2.error as error:
        raise _not_encoded(path, array) from error
    if not is_whole:
        raise _not_encoded(path, array)
    return encoded.tobytes()


def _not_encoded(path: Path, array: Array) -> BriskError:
    return BriskError(
        f"{path} cannot be written: a picture of {array.shape} {array.dtype} cannot be encoded, "
        "expected (H, W, 3) uint8, or (H, W) uint8 or uint16, of one pixel or more and memory for "
        "it; make it smaller"
    )


def pixel_runs(values_hw: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """The value and the length of each run of equal pixels, row after row: masks are made of long
    runs, and `np.repeat` of the two gives the pixels back. Truth values become uint8."""
    if values_hw.dtype == np.bool_:
        values_hw = (values_hw.view(np.uint8) > 0).astype(np.uint8)
    flat = values_hw.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])[: len(flat)])
    return flat[starts], np.diff(np.append(starts, len(flat)))
