"""A mark in each picture that `predict` writes: a later `predict` may replace such a file, and does
not take it for an image."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

_TEXT = b"tEXtSoftware\0briskseg predict"  # a text chunk, behind the header
_MARK = struct.pack(">I", len(_TEXT) - 4) + _TEXT + struct.pack(">I", zlib.crc32(_TEXT))
_HEADER = 33  # bytes: a PNG's signature, its size and how it stores pixels


def marked(png: bytes) -> bytes:
    """A PNG with the mark in it."""
    return png[:_HEADER] + _MARK + png[_HEADER:]


def is_marked(path: Path) -> bool:
    """Whether it is a file with the mark; not where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER + len(_MARK))[_HEADER:] == _MARK
    except OSError:
        return False
