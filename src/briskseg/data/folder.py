"""The folder layout, as `data draw` and `check --fix` write it, and the streets that we draw.

`images/SPLIT/NAME.ext` with `labels/SPLIT/NAME.png` and `classes.txt`, or both folders flat, split
by lists or 80 to 20 by a seed. `streets.json` beside them marks a drawn set (kind "streets").
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.data.dataset import Format, Found
from briskseg.data.masks.finder import find, format_of, recognizes
from briskseg.data.masks.layouts import FOLDER

SPLITS = ("train", "val", "test")
_STREETS = FOLDER._replace(name="streets", needs=("streets.json",))


def recognizes_streets(root: Path) -> bool:
    """Whether the folder is a drawn set."""
    return recognizes(_STREETS, root)


def find_streets(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of a drawn set, which has CamVid's 11 classes."""
    if classes not in (None, "camvid11"):
        raise RequestError(
            f"{root}: the class set '{classes}' was asked for, but drawn streets have the classes "
            "of camvid11; ask for that one, or for none"
        )
    return find(_STREETS, root, None, seed)


STREETS = Format(
    recognizes_streets,
    find_streets,
    ("streets.json beside the folder layout: drawn by `briskseg data draw`",),
    recipe="demo",
)
FORMAT = format_of(FOLDER)._replace(
    layouts=(
        FOLDER.text,
        "images/NAME.ext with labels/NAME.png and classes.txt: split by train.txt and val.txt, or"
        " 80 to 20 by a seed",
    )
)
