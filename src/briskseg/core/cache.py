"""Where what we make once is kept: drawn data, and which backend is fastest on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$BRISKSEG_CACHE, else the user's cache folder."""
    if own := os.environ.get("BRISKSEG_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "briskseg"
