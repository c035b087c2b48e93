"""The folder layout: one's own data, and the streets that we draw.

`images/SPLIT/NAME.ext` with `labels/SPLIT/NAME.png` and `classes.txt`, or both folders flat, split
80 to 20 by a seed. `streets.json` beside them marks a drawn set (kind "streets").
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError, nearest
from briskseg.core.labels import LabelSet
from briskseg.data.dataset import Format, Found, MaskDataset
from briskseg.data.matching import by_name, image_files, match, match_splits, split_by_seed

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.2


def recognizes(root: Path) -> bool:
    """Whether the folder has `images` and `labels`."""
    return (root / "images").is_dir() and (root / "labels").is_dir()


def recognizes_streets(root: Path) -> bool:
    """Whether the folder is a drawn set."""
    return (root / "streets.json").is_file() and recognizes(root)


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of a folder of one's own; its classes are those of classes.txt."""
    if classes is not None:
        raise RequestError(
            f"{root}: the class set '{classes}' was asked for, but the classes of a folder are "
            f"those of its classes.txt; leave the class set out"
        )
    return _find("folder", root, seed)


def find_streets(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of a drawn set, which has CamVid's 11 classes."""
    if classes not in (None, "camvid11"):
        raise RequestError(
            f"{root}: the class set '{classes}' was asked for, but drawn streets have the classes "
            "of camvid11; ask for that one, or for none"
        )
    return _find("streets", root, seed)


def _find(kind: str, root: Path, seed: int) -> Found:
    if not (root / "classes.txt").is_file():
        raise RequestError(
            f"{root}: images and labels are there, but no classes.txt; write one: a class name a "
            "line, in the order of the class indices"
        )
    labels = LabelSet.from_classes_txt(root / "classes.txt")
    folders = _split_folders(root)
    if not folders:
        images, masks = by_name(image_files(root / "images")), by_name(image_files(root / "labels"))
        pairs, unmatched = match("all", images, masks)
        return MaskDataset(kind, root, labels, split_by_seed(pairs, VAL_SHARE, seed)), unmatched
    splits, unmatched = match_splits(
        {split: (root / "images" / split, root / "labels" / split) for split in folders}
    )
    return MaskDataset(kind, root, labels, splits), unmatched


def _split_folders(root: Path) -> list[str]:
    """The splits that have a folder, or none when both folders are flat."""
    both = [root / "images", root / "labels"]
    inside = [path for top in both for path in sorted(top.iterdir())]
    folders = {path.name for path in inside if path.is_dir() and not path.name.startswith(".")}
    unknown = sorted(folders - set(SPLITS))
    if unknown:
        raise RequestError(
            f"{root}: '{unknown[0]}' is no split; {nearest(unknown[0], SPLITS)}; rename the folder "
            "in both images and labels, or move it away"
        )
    flat = [path for top in both for path in image_files(top)]
    if folders and flat:
        raise RequestError(
            f"{root}: {len(flat)} files lie beside the split folders ({flat[0].name} first); move "
            "them into a split, or all files out of the split folders"
        )
    return [split for split in SPLITS if split in folders]


STREETS = Format(
    recognizes_streets,
    find_streets,
    ("streets.json beside the folder layout: drawn by `briskseg data draw`",),
    recipe="demo",
)
FORMAT = Format(
    recognizes,
    find,
    (
        "images/SPLIT/NAME.ext with labels/SPLIT/NAME.png and classes.txt; SPLIT train, val, test",
        "images/NAME.ext with labels/NAME.png and classes.txt: split 80 to 20 by a seed",
    ),
)
