"""Data sets whose labels are masks, however they lie on disk.

`layouts.py` and `published.py` are tables: where images and masks lie, what their names end in,
what makes the splits and names the classes. `finder.py` is the one that reads them all.
"""

from briskseg.data.masks.finder import format_of
from briskseg.data.masks.layouts import LAYOUTS
from briskseg.data.masks.published import PUBLISHED

__all__ = ["LAYOUTS", "PUBLISHED", "format_of"]
