"""The frame times of an mp4 file, rewritten in its index (ISO/IEC 14496-12, section 8.6.1.2).

The index, the box *moov*, lies behind the pictures, so it may grow or shrink. What changes: the
table *stts* of how long each frame is shown, and the durations and time scales in *mvhd*, *tkhd*,
*elst* and *mdhd*.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from briskseg.core.errors import BriskError

# Ticks/s. Multiples of the usual rates, also 30000/1001; for videos beyond 13 hours, milliseconds.
_FINE, _COARSE = 90_000, 1000
_INSIDE = frozenset({b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"})


def set_frame_times(path: Path, seconds: Sequence[float], rate: float) -> None:
    """Show frame n of `path` from `seconds[n]` on, counted from the first, to a tick of 1/90000 s.

    The last frame, and frames that `seconds` does not reach, last 1/rate.
    Raises BriskError where the file is not as OpenCV writes it, or cannot be written.
    """
    try:
        with path.open("r+b") as file:
            place, index = _find_index(file.read, file.seek)
            new = _rewritten(index, _times(seconds, _frames(index), rate))
            file.seek(place)
            file.truncate()
            file.write(new)
    except (OSError, ValueError, struct.error) as error:
        raise BriskError(
            f"{path} was written, but its frames have no times of their own: {error}"
        ) from None


def _find_index(read: Callable[[int], bytes], seek: Callable[[int], int]) -> tuple[int, bytes]:
    """Where the last box, *moov*, begins, and its bytes."""
    place = 0
    while True:
        seek(place)
        head = read(16)
        if len(head) < 8:
            raise ValueError("its index is missing")
        size, kind = struct.unpack(">I4s", head[:8])
        if size == 1:  # for boxes beyond 4 GiB
            (size,) = struct.unpack(">Q", head[8:16])
        if kind == b"moov":
            seek(place)
            index = read(size)
            if read(1):
                raise ValueError("its index is not at its end")
            return place, index
        if size < 8:
            raise ValueError(f"its box {kind!r} has no size")
        place += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The type and body of each box in `data`."""
    place = 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if not 8 <= size <= len(data) - place:
            raise ValueError(f"its box {kind!r} is damaged")
        yield kind, data[place + 8 : place + size]
        place += size


def _frames(data: bytes) -> int:
    """How many frames the index holds."""
    for kind, body in _boxes(data):
        if kind in _INSIDE and (inside := _frames(body)):
            return inside
        if kind == b"stts":
            return int(np.frombuffer(body, ">u4", offset=8)[::2].sum())
    return 0


def _times(seconds: Sequence[float], frames: int, rate: float) -> tuple[int, list[int]]:
    """The time scale in ticks/s, and how many ticks each frame lasts."""
    at = np.asarray(seconds[:frames], dtype=np.float64)
    at = at - at[0] if at.size else at
    missing = frames - at.size + 1  # and the end of the last
    at = np.concatenate([at, (at[-1] if at.size else 0) + np.arange(1, missing + 1) / rate])
    scale = _FINE if at[-1] * _FINE < 2**32 else _COARSE
    ticks = np.maximum.accumulate(np.rint(at * scale).astype(np.int64))
    return scale, np.diff(ticks).tolist()


def _rewritten(data: bytes, times: tuple[int, list[int]]) -> bytes:
    """The boxes in `data` with these times."""
    scale, lengths = times
    whole = struct.pack(">I", sum(lengths))
    out = bytearray()
    for kind, body in _boxes(data):
        if kind in _INSIDE:
            body = _rewritten(body, times)
        elif kind in {b"mvhd", b"mdhd"}:
            body = _short(body)[:12] + struct.pack(">I", scale) + whole + body[20:]
        elif kind == b"tkhd":
            body = _short(body)[:20] + whole + body[24:]
        elif kind == b"elst":
            body = _short(body)[:8] + whole + body[12:]
        elif kind == b"stts":
            table = [(len([*same]), ticks) for ticks, same in groupby(lengths)]
            body = struct.pack(">II", 0, len(table)) + np.array(table, ">u4").tobytes()
        elif kind == b"ctts":
            raise ValueError("its frames are not in the order in which they are shown")
        out += struct.pack(">I4s", 8 + len(body), kind) + body
    return bytes(out)


def _short(body: bytes) -> bytes:
    """The same, if its version is the one with durations of 32 bits."""
    if body[0]:
        raise ValueError("it is longer than its index can say")
    return body
