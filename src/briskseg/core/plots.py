"""Figures in files, as PNG, SVG or PDF by the suffix; the same figure gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.core.errors import BriskError, RequestError, nearest

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


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure without the date (an SVG's names are random but for `svg.hashsalt`).

    Raises BriskError where it cannot be written.
    """
    key = _DATE.get(path.suffix.lower())
    metadata: dict[str, Any] = {} if key is None else {key: None}
    try:
        figure.savefig(path, dpi=120, metadata=metadata)
    except OSError as error:
        raise BriskError(f"{path} cannot be written: {error.strerror or error}") from None
