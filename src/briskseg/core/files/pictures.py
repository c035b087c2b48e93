"""Pictures that others made, opened: their kind and size are known before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, features

from briskseg.core.errors import ContentError, DataError, Interrupted
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.limits import max_pixels, too_many_pixels
from briskseg.core.process_settings import ProcessSetting

# Pillow reads AVIF from 11.3 on, where it was built with it.
AVIF = ("AVIF",) if "avif" in features.modules and features.check("avif") else ()

# Pillow knows many more, some of which start other programs (EPS) or read other files.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *AVIF)

_BYTES_A_PIXEL = 8  # RGBA of 16 bits, not compressed
_BESIDE = 64 * 1024 * 1024  # bytes for what a file says beside its pixels

_PILLOWS: ProcessSetting[int | None] = ProcessSetting(
    lambda: Image.MAX_IMAGE_PIXELS, lambda bound: setattr(Image, "MAX_IMAGE_PIXELS", bound)
)


@contextmanager
def opened(
    path: Path, what: str = "an image", hint: str = "", bound: int | None = None
) -> Iterator[Image.Image]:
    """The picture by Pillow, its header read and nothing decoded; what fails within is said too.

    what, hint: for the message. bound: pixels, by default `max_pixels()`.
    Raises DataError naming a file that is missing, empty, no regular file or damaged, PixelsError
    for more pixels, ContentError for a file that is something else or has other bands than are
    read.
    """
    most = max_pixels() if bound is None else bound
    ending = f"; {hint}" if hint else ""
    try:
        check_file(path, most, ending)
        # its own bound would be told without the size
        with _PILLOWS.changed(None), path.open("rb") as file:
            _check_bands(path, file)  # before Pillow logs what it does not read
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > most:
                    raise too_many_pixels(path, picture.width, picture.height, most, bound is None)
                yield picture
    except (DataError, Interrupted):
        raise
    except FileNotFoundError as error:  # it went after it was checked
        raise DataError(f"{path}: no such file{ending}") from error
    except Exception as error:  # a damaged file shows as any of a dozen types
        refuse_other(path, what)
        # Pillow would name the object that holds the bytes
        is_unknown = isinstance(error, UnidentifiedImageError)
        why = "damaged, or of no kind that is read" if is_unknown else error
        raise DataError(f"{path}: cannot be read as {what} ({why}){ending}") from error


def most_bytes(pixels: int) -> int:
    """The most bytes that a file of a picture of so many pixels may have."""
    return pixels * _BYTES_A_PIXEL + _BESIDE


def check_file(path: Path, bound: int, ending: str = "") -> None:
    """Raise DataError for a file that cannot hold a picture of at most `bound` pixels."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file{ending}") from error
    if not path.is_file():  # a pipe would be waited for without end
        raise DataError(f"{path}: no regular file, expected a picture{ending}")
    if size == 0:
        raise DataError(f"{path}: the file is empty{ending or '; restore it, or remove it'}")
    if size > most_bytes(bound):
        raise DataError(
            f"{path}: {size} bytes, more than any picture of {bound} pixels has{ending}"
        )


def is_16_bit(mode: str) -> bool:
    """Whether a channel has more than 8 bits, by how Pillow names the file's pixels."""
    return "16" in mode or mode.startswith("I")


def raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels ("L;4": 4 bits of gray), or "" where Pillow does not say."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def stored_bands(path: Path) -> tuple[int, int, bool] | None:
    """A TIFF's bands, the bits of one, and whether it holds floating-point numbers; None for what
    is no TIFF or says nothing of its bands."""
    with path.open("rb") as file:
        return _bands(file)


def _bands(file: IO[bytes]) -> tuple[int, int, bool] | None:
    try:
        header = file.read(8)
        if header[:4] == b"II+\0":  # BigTIFF, whose header is longer
            header += file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file.seek(tags.next)
        tags.load(file)
        bits, kinds = tags.get(258, (1,)), tags.get(339, (1,))
        return int(tags.get(277, 1)), int(bits[0]), kinds[0] == 3
    except Exception:  # no TIFF, or a damaged one
        return None


def _check_bands(path: Path, file: IO[bytes]) -> None:
    """Raise ContentError for a TIFF whose bands are not read, which Pillow and OpenCV call damaged:
    2 are gray and alpha where the file says so, of 4 the last one is dropped."""
    bands, bits, is_float = _bands(file) or (1, 8, False)
    if is_float and bands > 1:
        found = f"stores {bands} bands of {bits}-bit floating-point numbers, which have no scale"
        raise ContentError("image-mode", f"{path}: {found}", "save it with 8 or 16 bits a band")
    if bands > 4 or (bands == 2 and not _has_alpha(file)):
        raise ContentError(
            "image-mode",
            f"{path}: {bands} bands, and 3 are taken (red, green, blue; or one, gray)",
            "choose three, and save them as an RGB image",
        )


def _has_alpha(file: IO[bytes]) -> bool:
    try:
        with Image.open(file, formats=("TIFF",)) as picture:
            return picture.mode == "LA"
    except Exception:  # Pillow knows two bands as nothing else
        return False
