"""The fields of a serialized protobuf message, and how numbers are written (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

# Protobuf's wire types.
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


def fields(data: bytes | mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, first byte, start and end of its content) of each field of a protobuf message.

    Raises ValueError where the bytes are no such message.
    """
    at = start
    while at < end:
        first = at
        tag, at = _read_varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            content = at
            _, at = _read_varint(data, at, end)
        elif kind == _BYTES:
            length, content = _read_varint(data, at, end)
            at = content + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            content = at
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of no known type at byte {first}")
        if at > end or number == 0:
            raise ValueError(f"the field at byte {first} does not fit into {end} bytes")
        yield number, first, content, at


def field(number: int, content: bytes | int) -> bytes:
    """A field of this number, below 16, as a message holds it: bytes, or a whole number from 0."""
    if isinstance(content, int):
        return bytes([number << 3 | _VARINT]) + _varint(content)
    return bytes([number << 3 | _BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes | mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(at, min(at + 10, end)):
        value |= (data[place] & 0x7F) << (7 * (place - at))
        if data[place] < 0x80:
            return value, place + 1
    raise ValueError(f"a number at byte {at} that does not end")
