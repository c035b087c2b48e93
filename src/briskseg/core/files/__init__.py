"""Files: limits, safe names, atomic writing, pictures that others made, and the user's cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from briskseg.core.errors import RequestError


def cache_folder() -> Path:
    """Where what is made once is kept (drawn data, what files hold, the fastest backend):
    $BRISKSEG_CACHE, else the user's cache folder."""
    if own := os.environ.get("BRISKSEG_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "briskseg"


def as_path(given: object) -> Path:
    """A path as a program gave it; RequestError for what is none."""
    if isinstance(given, str | os.PathLike) and given != "" and "\0" not in str(given):
        return Path(given)
    raise RequestError(
        f"the path is {given!r}, expected a file's or a folder's name, as text or pathlib.Path"
    )


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
