"""Pictures that others made, opened: their kind and size are known before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, features

from briskseg.core.errors import DataError, Interrupted
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
def opened(path: Path, what: str = "an image", hint: str = "") -> Iterator[Image.Image]:
    """The picture by Pillow, its header read and nothing decoded; what fails within is said too.

    what, hint: for the message. Raises DataError naming a file that is missing, empty, no regular
    file, of no known kind, damaged, or of more than `max_pixels()` pixels.
    """
    bound = max_pixels()
    ending = f"; {hint}" if hint else ""
    try:
        check_file(path, bound, ending)
        # Pillow warns from 89.5 million pixels on and refuses twice that, whatever we allow.
        pillows = bound if Image.MAX_IMAGE_PIXELS is None else max(bound, Image.MAX_IMAGE_PIXELS)
        with _PILLOWS.changed(pillows), Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > bound:
                raise too_many_pixels(path, picture.width, picture.height, bound)
            yield picture
    except (DataError, Interrupted):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{path}: more than the {bound} pixels that are read at once; cut it into tiles or "
            "make it smaller"
        ) from None
    except Exception as error:  # a damaged file shows as any of a dozen types
        raise DataError(f"{path}: cannot be read as {what} ({error}){ending}") from error


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
    if size > bound * _BYTES_A_PIXEL + _BESIDE:
        raise DataError(
            f"{path}: {size} bytes, more than any picture of {bound} pixels has{ending}"
        )
