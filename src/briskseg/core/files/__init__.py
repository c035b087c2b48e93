"""Files: limits, safe names, atomic writing, pictures that others made, and the user's cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what is made once is kept (drawn data, what files hold, the fastest backend):
    $BRISKSEG_CACHE, else the user's cache folder."""
    if own := os.environ.get("BRISKSEG_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "briskseg"


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
