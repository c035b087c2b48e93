"""Files: limits, safe names, atomic writing, pictures that others made, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what is made once is kept (drawn data, what files hold, the fastest backend):
    $BRISKSEG_CACHE, else the user's cache folder."""
    if own := os.environ.get("BRISKSEG_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "briskseg"
