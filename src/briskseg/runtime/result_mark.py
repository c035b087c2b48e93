"""A mark in what `predict` writes: such a file is no input of a later `predict`, which may replace
such a picture."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

_TEXT = b"tEXtSoftware\0briskseg predict"  # a text chunk, behind the header of a PNG
_MARK = struct.pack(">I", len(_TEXT) - 4) + _TEXT + struct.pack(">I", zlib.crc32(_TEXT))
_HEADER = 33  # bytes: a PNG's signature, its size and how it stores pixels
_BOX = b"\0\0\0\x18freebriskseg predict"  # at the end of an mp4: players pass over it


def marked(png: bytes) -> bytes:
    """A PNG with the mark in it."""
    return png[:_HEADER] + _MARK + png[_HEADER:]


def mark_video(mp4: Path) -> None:
    """Put the mark into an mp4 file that is complete. Raises OSError where it cannot be written."""
    with mp4.open("ab") as file:
        file.write(_BOX)


def is_marked(path: Path) -> bool:
    """Whether it is a file with the mark; not where it cannot be read."""
    try:
        is_video = path.suffix == ".mp4"
        # a pipe would be waited for; other kinds it does not write
        if not path.is_file() or not (is_video or path.suffix == ".png"):
            return False
        with path.open("rb") as file:
            if is_video:
                file.seek(-len(_BOX), os.SEEK_END)
                return file.read() == _BOX
            return file.read(_HEADER + len(_MARK))[_HEADER:] == _MARK
    except OSError:  # of a file that is shorter, too
        return False
