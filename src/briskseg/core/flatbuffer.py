"""The tables of a serialized FlatBuffer, read in bounds (https://flatbuffers.dev/internals).

A table begins with the distance back to its vtable: a list of 16-bit numbers that say how far from
the table's start each of its fields lies, 0 where there is none. Strings, vectors and tables in a
field are elsewhere, as far from the field as its 32-bit number says; all numbers are little-endian.
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple


class Table(NamedTuple):
    """A table at a byte of a FlatBuffer. Every method raises ValueError where a number in the file
    points out of it."""

    data: bytes | mmap.mmap
    at: int

    @classmethod
    def root(cls, data: bytes | mmap.mmap, identifier: bytes) -> Table:
        """The outermost table. Raises ValueError where the four letters after its offset differ."""
        if data[4:8] != identifier:
            raise ValueError(f"it does not begin as {identifier.decode()} files do")
        return cls(data, _number(data, "<I", 0))

    def field(self, number: int) -> int | None:
        """Where the content of a field lies; None where the table has none."""
        vtable = self.at - _number(self.data, "<i", self.at)
        if 4 + 2 * number >= _number(self.data, "<H", vtable):
            return None
        distance = _number(self.data, "<H", vtable + 4 + 2 * number)
        return self.at + distance if distance else None

    def number(self, number: int) -> int:
        """A field of 32 bits without sign; 0 where there is none."""
        at = self.field(number)
        return 0 if at is None else _number(self.data, "<I", at)

    def vector(self, number: int, width: int) -> tuple[int, int]:
        """Where the first element of a vector lies, and how many of so many bytes there are."""
        at = self.field(number)
        if at is None:
            return 0, 0
        start = at + _number(self.data, "<I", at)
        length = _number(self.data, "<I", start)
        if start + 4 + length * width > len(self.data):
            raise ValueError(f"{length} elements at byte {start} go beyond its end")
        return start + 4, length

    def tables(self, number: int, bound: int) -> list[Table]:
        """Those of a vector of tables. Raises ValueError for more than `bound`."""
        _, length = self.vector(number, 4)
        if length > bound:
            raise ValueError(f"{length} tables in a list, more than {bound}")
        return [self.element(number, index) for index in range(length)]

    def element(self, number: int, index: int) -> Table:
        """One of a vector of tables."""
        start, length = self.vector(number, 4)
        if index >= length:
            raise ValueError(f"element {index} of a list of {length}")
        place = start + 4 * index
        return Table(self.data, place + _number(self.data, "<I", place))

    def content(self, number: int, bound: int) -> bytes:
        """A string or a vector of bytes. Raises ValueError for more than `bound` bytes."""
        start, length = self.vector(number, 1)
        if length > bound:
            raise ValueError(f"{length} bytes at byte {start}, more than {bound}")
        return self.data[start : start + length]


def _number(data: bytes | mmap.mmap, kind: str, at: int) -> int:
    if at < 0 or at + struct.calcsize(kind) > len(data):
        raise ValueError(f"it ends before byte {at}, where something should be")
    value: int = struct.unpack_from(kind, data, at)[0]
    return value
