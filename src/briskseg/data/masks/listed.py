"""Data that lists describe: SPLIT.txt with an image and its label a line (PaddleSeg), or a CSV."""

from __future__ import annotations

from pathlib import Path

from briskseg.data.dataset import Format, Found, MaskDataset, Pair
from briskseg.data.masks.class_files import no_classes, own_classes
from briskseg.data.masks.finder import VAL_SHARE
from briskseg.data.masks.split_lists import first_entry, listed_pairs, pair_lists
from briskseg.data.matching import split_by_seed

_TEXT = "train.txt and val.txt with `IMAGE LABEL` lines (PaddleSeg), or a CSV of image,label,split"


def recognizes(root: Path) -> bool:
    """Whether lists are there that name an image and its label a line, and the first is there."""
    for path in pair_lists(root):
        if path.suffix.lower() == ".csv":
            return True
        first = first_entry(path)
        if first is not None and (root / first.image.lstrip("/")).is_file():
            return True
    return False


def find(root: Path, classes: str | None, seed: int) -> Found:
    """The pairs that the lists name; where they name no split, it is drawn by the seed."""
    lists = pair_lists(root)
    named, unmatched = listed_pairs(root, lists)
    splits: dict[str, tuple[Pair, ...]] = {
        split: tuple(sorted(pairs, key=lambda pair: pair.name)) for split, pairs in named.items()
    }
    if "all" in splits:
        splits = split_by_seed(splits["all"], VAL_SHARE, seed)
    found = own_classes(root, classes)
    if found is None:
        raise no_classes(root, _TEXT, [pair for some in splits.values() for pair in some])
    read = (*found.files, *lists)
    return MaskDataset("lists", root, found.labels, splits, lists=read), unmatched


FORMAT = Format(recognizes, find, (_TEXT,))
