"""Figures in files, as PNG, SVG or PDF by the suffix; the same figure gives the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.core.errors import RequestError, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
_DATE = {".svg": "Date", ".pdf": "CreationDate"}


def check_figure_file(path: Path) -> None:
    """Raises RequestError where `save_figure` could not write `path`, before there is work."""
    if path.suffix.lower() not in SUFFIXES:
        told = nearest(path.suffix, SUFFIXES)
        raise RequestError(f"{path} is no kind of picture that can be written; {told}")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: the folder {path.parent} is not there; make it")


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write the figure without the date (an SVG's names are random but for `svg.hashsalt`).

    Raises BriskError where it cannot be written.
    """
    from briskseg.core.images import (
        write_picture,
    )  # heavy, and the command asks for the check alone

    suffix = path.suffix.lower()
    key = _DATE.get(suffix)
    metadata: dict[str, Any] = {} if key is None else {key: None}
    written = io.BytesIO()
    figure.savefig(written, format=suffix.removeprefix("."), dpi=dpi, metadata=metadata)
    write_picture(path, written.getvalue())
