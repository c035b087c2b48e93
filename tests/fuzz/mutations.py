"""Whole files made into damaged and hostile ones, by a few changes that follow from numbers."""

from __future__ import annotations

import io
import json
import math
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

# Lengths and counts that readers trip over, in both byte orders.
NUMBERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1]
PIECES = [struct.pack(order + code, n & (256**size - 1)) for n in NUMBERS for order in "<>"
          for code, size in (("B", 1), ("H", 2), ("I", 4), ("Q", 8))]  # fmt: skip
TEXTS = [
    *(b'null NaN -1 1e999 0x10 {} [] {{ [[ " \\ \n \r\n , : - ../../x /etc/passwd %s'.split(b" ")),
    b"9" * 400,
    b"9" * 5000,
    b"[" * 300,
    b"\x1b[2J\x1b]0;x\x07",
    b"<script>alert(1)</script>",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "\u202e\u2028\U0001f600".encode(),
    b"!!python/object/apply:os.system [id]",
    b"&a [*a, *a]",
    b"__metadata__",
]


class Change(NamedTuple):
    """One change. at, length: as shares of the file; pick: which piece is put there."""

    kind: int
    at: float
    length: float
    pick: int


KINDS = 7


def random_changes(rng: random.Random) -> list[Change]:
    """One to six changes, mostly small ones."""
    return [
        Change(rng.randrange(KINDS), rng.random(), rng.random() ** 4, rng.randrange(1 << 30))
        for _ in range(min(6, 1 + int(rng.expovariate(0.7))))
    ]


def changed(data: bytes, changes: Sequence[Change], words: Sequence[bytes] = ()) -> bytes:
    """The file after all changes. words: pieces that mean something in files of its kind."""
    pieces = [*PIECES, *TEXTS, *words, *words]
    for change in changes:
        at = int(change.at * len(data))
        end = min(len(data), at + 1 + int(change.length * (len(data) - at)))
        piece = pieces[change.pick % len(pieces)]
        if change.kind == 0:  # a bit
            at = min(at, len(data) - 1)
            flipped = bytes([data[at] ^ 1 << change.pick % 8]) if data else b""
            data = data[:at] + flipped + data[at + 1 :]
        elif change.kind == 1:  # overwritten
            data = data[:at] + piece + data[at + len(piece) :]
        elif change.kind == 2:  # put between
            data = data[:at] + piece + data[at:]
        elif change.kind == 3:  # cut out
            data = data[:at] + data[end:]
        elif change.kind == 4:  # twice
            data = data[:end] + data[at:end] + data[end:]
        elif change.kind == 5:  # the rest is missing
            data = data[:at]
        else:  # in the place of a part
            data = data[:at] + piece + data[end:]
        data = data[: 1 << 18]
    return data


# What a value may be instead: of another type, too large, too deep, or made to be shown.
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 255, 256, 65536, 1 << 31, 1 << 63, 1 << 64, 10**400),
    *(0.0, -0.0, 0.5, 1e-300, 1e308, math.nan, math.inf, -math.inf),
    *("", "x", "a" * 100_000, "\x00", "\x1b[31mred", "../../x", "/etc/passwd", "\ud800"),
    *("<img src=x onerror=alert(1)>", '" onload="x', "a\nb", "\u202e", "__proto__", "NaN"),
    *([], {}, [[]], [None], {"": {}}, [1, 2, 3], [0.5] * 300, {"a": {"b": {"c": []}}}),
]


def changed_values(content: Any, rng: random.Random, deep: int = 0) -> Any:
    """JSON's values with some replaced, left out, doubled or moved; their frame stays whole."""
    if rng.random() < 0.04:
        return rng.choice(VALUES)
    if isinstance(content, dict):
        made = {k: changed_values(v, rng, deep + 1) for k, v in content.items()}
        if made and rng.random() < 0.05:
            del made[rng.choice(list(made))]
        if made and rng.random() < 0.05:
            made[rng.choice(["", "x" * 300, "name", "\x1b[2J"])] = rng.choice(list(made.values()))
        return made
    if isinstance(content, list):
        made_list = [changed_values(v, rng, deep + 1) for v in content]
        if made_list and rng.random() < 0.05:
            made_list *= rng.choice([0, 2, 50])
        return made_list
    return content


def with_checksums(data: bytes) -> bytes:
    """A PNG whose checksums are right again, so that what was changed is read at all."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = data[:8], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return out


def changed_json(data: bytes, changes: Sequence[Change]) -> bytes:
    """A JSON text, or one a line, with values changed; it is JSON still."""
    rng = random.Random(changes[0].pick)
    lines = data.splitlines() if data.count(b"\n{") else [data]
    made = [json.dumps(changed_values(json.loads(line), rng)) for line in lines]
    return "\n".join(made).encode()


def members(data: bytes) -> list[tuple[str, bytes]]:
    """What is in a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zipped(content: Sequence[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these members."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", how) as archive:
        for name, data in content:
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return written.getvalue()


def changed_within(data: bytes, changes: Sequence[Change], words: Sequence[bytes] = ()) -> bytes:
    """A zip with one of its members changed, whole as an archive."""
    content = members(data)
    place = changes[0].pick % len(content)
    content[place] = (content[place][0], changed(content[place][1], changes, words))
    return zipped(content)


def tarred(kind: int, photo: bytes) -> bytes:
    """A tar of this format: photographs, one of a long name, a link and a class."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=kind) as tar:
        folder = "f" * 90 + "/"
        for name, data in (("0.jpg", photo), ("0.cls", b"1"), (f"{folder}long.jpg", photo)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, of in (("soft.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (
                of,
                "/etc/passwd" if kind == tarfile.USTAR_FORMAT else "l" * 150,
            )
            tar.addfile(info)
        last = tarfile.TarInfo("9" * 120 + ".jpg" if kind != tarfile.USTAR_FORMAT else "9.jpg")
        last.size = len(photo)
        tar.addfile(last, io.BytesIO(photo))
    return written.getvalue()


def tar_sums(data: bytes) -> bytes:
    """The tar with each header's sum as its bytes have it now, so that it is read on."""
    mended = bytearray(data)
    for start in range(0, len(data) - 511, 512):
        header = mended[start : start + 512]
        if header[257:262] == b"ustar":
            total = sum(header) - sum(header[148:156]) + 8 * 32
            mended[start + 148 : start + 156] = f"{total:06o}\0 ".encode()
    return bytes(mended)
