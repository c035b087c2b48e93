"""What a file holds that is not what its name says, seen by how it begins.

One place judges it, so that every verb says the same of one file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from briskseg.core.errors import BriskError, ContentError

_LOOKED_AT = 1024  # bytes; web pages may begin with blank lines and comments


class Content(NamedTuple):
    """found: the end of a sentence that begins with the file's name. fix_hint: what to do. kind: of
    the findings that `check` lists."""

    name: str
    found: str
    fix_hint: str
    kind: str = "not-an-image"


_AGAIN = "download or export it again, as the file itself"
_PICTURE = "save it as PNG or JPEG"
_PACKED = "unpack it"
_LFS = "holds a pointer of Git LFS, not the file itself"
_PULL = "run `git lfs pull` in the repository it comes from"
_CONTENTS = (
    (rb"version https://git-lfs", Content("lfs", _LFS, _PULL, "lfs-pointer")),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body|script|title)\b",
        Content("page", "is a web page", _AGAIN),
    ),
    (rb"(\xef\xbb\xbf)?\s*<", Content("xml", "is XML", _AGAIN)),
    (rb"%PDF", Content("pdf", "is a PDF", _AGAIN)),
    (rb"PK\x03\x04", Content("zip", "is a zip archive", _PACKED)),
    (rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ", Content("archive", "is an archive", _PACKED)),
    (rb"\x93NUMPY", Content("numpy", "is a numpy file", _PICTURE)),
    (rb"MATLAB", Content("matlab", "is a Matlab file", _PICTURE)),
    (rb"\x89HDF", Content("hdf5", "is an HDF5 file", _AGAIN)),
    (rb".{4}ftyp(hei|hev|mif|msf)", Content("heic", "is a HEIC photo", _PICTURE)),
    (
        rb"\x00\x00\x00\x0c(jP  |JXL )|\xff\x4f\xff\x51|\xff\x0a",
        Content("jpeg2000", "is JPEG 2000 or JPEG XL", _PICTURE),
    ),
    (rb"8BPS", Content("psd", "is a Photoshop file", _PICTURE)),
    (rb"v/1\x01", Content("exr", "is an OpenEXR file", _PICTURE)),
    # A bracket, what may follow it, and text: a bracket alone begins many a damaged file.
    (
        rb"\s*[{\[]\s*[\"{\[\]}0-9tfn-](?!.{0,16}[\x00-\x08\x0e-\x1f])",
        Content("json", "is JSON", _AGAIN),
    ),
)
_BY_START = [(re.compile(pattern, re.DOTALL), content) for pattern, content in _CONTENTS]


def refuse_other(
    path: Path,
    wanted: str,
    error: type[BriskError] | None = None,
    expected: Collection[str] = (),
) -> None:
    """Raise `error`, by default a ContentError, where the file begins as a thing that no reader
    here takes, instead of what is wanted.

    expected: the `Content.name`s that the caller's files begin as. Nothing is raised for what
    cannot be read: opening it says why.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        return
    content = next((found for pattern, found in _BY_START if pattern.match(start)), None)
    if content is None or content.name in expected:
        return
    found = f"{path}: {content.found}, expected {wanted}"
    if error is None:
        raise ContentError(content.kind, found, content.fix_hint) from None
    raise error(f"{found}; {content.fix_hint}") from None
