"""How much of a stranger's file is taken: pixels, bytes of text, depth; beyond it, one sentence.

docs/security.md lists every bound and what it is for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from briskseg.core.errors import BriskError, DataError, PixelsError, RequestError

# Enough for any camera and most map tiles; beyond it one picture fills a machine's memory.
MAX_PIXELS = 89_000_000
MAX_PIXELS_VARIABLE = "BRISKSEG_MAX_PIXELS"
_MOST_PIXELS = 1 << 30  # OpenCV decodes no more

# Of the images that a network asks for: more than an 8K video's is meant to fill the memory.
MAX_INPUT_PIXELS = 1 << 25

MAX_TEXT_BYTES = 256 * 1024 * 1024  # of a log or a scores.json
MAX_LIST_BYTES = 16 * 1024 * 1024  # of a list of names
# Of a tar to label: what lists it takes some 700 bytes a member, and shards hold thousands.
MAX_SHARD_MEMBERS = 1 << 18
MAX_TAR_HEADER_BYTES = 1024 * 1024  # of a member's name and other facts
# Of a file of tensors; the largest network here has 50 MB.
MAX_WEIGHTS_BYTES = 4 * 1024 * 1024 * 1024
MAX_TAR_MEMBERS = 4_000_000  # of a data set in archives
MAX_DOWNLOAD_BYTES = 512 * 1024 * 1024  # of a network that `load` fetches from the Hub
MAX_NCNN_BYTES = 2 * 1024 * 1024 * 1024  # of a .ncnn.bin; its text is bounded as others are


def max_pixels() -> int:
    """The most pixels an image, a label file or a frame may have: $BRISKSEG_MAX_PIXELS, or 89
    million. Raises RequestError where the variable is no whole number from 1 to 2**30."""
    text = os.environ.get(MAX_PIXELS_VARIABLE)
    if text is None:
        return MAX_PIXELS
    if not (
        text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= _MOST_PIXELS
    ):
        raise RequestError(
            f"{MAX_PIXELS_VARIABLE}={text} is no number of pixels, expected a whole number from 1 "
            f"to {_MOST_PIXELS}; leave it out for {MAX_PIXELS}"
        )
    return int(text)


def too_many_pixels(
    path: Path, width: float, height: float, bound: int, is_ours: bool = True
) -> PixelsError:
    """The error for an image of more than `bound` pixels, by what its header says.

    is_ours: whether who reads the message can allow more.
    """
    more = f", or allow more: {MAX_PIXELS_VARIABLE}=N" if is_ours else ""
    return PixelsError(
        f"{path}: {width:.0f}x{height:.0f} is {width * height:.0f} pixels, more than the {bound} "
        f"that are read at once; cut it into tiles or make it smaller{more}"
    )


def check_size(path: Path, bound: int, error: type[BriskError] = DataError) -> None:
    """Raise `error` for what is no regular file (a pipe would be waited for), or one of more than
    `bound` bytes. Raises OSError where there is nothing."""
    size = path.stat().st_size
    if not path.is_file():
        raise error(f"{path} is no regular file, expected one; copy its content into a file")
    if size > bound:
        raise error(
            f"{path} has {size} bytes, more than the {bound} that are read of a file of its kind; "
            "it is damaged or something else"
        )


def read_text(
    path: Path,
    bound: int = MAX_TEXT_BYTES,
    cure: str = "restore it, or remove it",
    errors: str = "strict",
) -> str:
    """A file's text in UTF-8, without the mark that Windows puts before it. Raises DataError with
    the cure for one that is missing, too long, damaged or no text."""
    try:
        check_size(path, bound)
        return path.read_text("utf-8-sig", errors)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {cure}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as text ({error}); {cure}") from None


def parse_json(text: str | bytes) -> Any:
    """The values of strict JSON. Raises ValueError for anything else, among it NaN, halves of
    characters (lone surrogates) and lists within lists without end."""
    from pydantic_core import from_json

    return from_json(text, allow_inf_nan=False)
