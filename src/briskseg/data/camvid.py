"""CamVid, in the SegNet tutorial's layout and as published.

SegNet's: `train/` with `trainannot/` and so on, index masks of 11 classes, paired by file name; the
lists train.txt and val.txt only repeat what the folders hold and are not read. As published:
`701_StillsRaw_full/NAME.png` with `LabeledApproved_full/NAME_L.png` in 32 colors; there train.txt
and val.txt (and test.txt), a name a line, make the splits where they are given, else the seed.
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.limits import MAX_LIST_BYTES, check_size
from briskseg.core.files.safe_names import printable
from briskseg.core.labels import CAMVID11, CAMVID32
from briskseg.data.dataset import Format, Found, MaskDataset, Pair
from briskseg.data.matching import by_name, image_files, match, match_splits, split_by_seed

SPLITS = ("train", "val", "test")
IMAGES, LABELS = "701_StillsRaw_full", "LabeledApproved_full"
CLASS_SETS = {"camvid11": CAMVID11, "camvid32": CAMVID32}

# 573 of the 701 images train and 128 validate in the write-up of ERFNet on CamVid's 32 classes.
VAL_SHARE = 128 / 701


def recognizes(root: Path) -> bool:
    """Whether the folder has either layout."""
    return bool(_segnet_splits(root)) or _is_published(root)


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of either layout.

    classes: "camvid11" or "camvid32"; left out, 11 in SegNet's layout and 32 in the published one.
    Raises RequestError for a class set that the files cannot give, DataError for a damaged list.
    """
    if classes is not None and classes not in CLASS_SETS:
        raise RequestError(f"{root}: no class set '{classes}'; {nearest(classes, CLASS_SETS)}")
    if _is_published(root):
        return _find_published(root, classes or "camvid32", seed)
    if classes == "camvid32":
        raise RequestError(
            f"{root}: the class set 'camvid32' was asked for, but these label files (SegNet's "
            f"layout) hold 11 classes; use camvid11, or the published files ({IMAGES}, {LABELS})"
        )
    splits, unmatched = match_splits(
        {split: (root / split, root / f"{split}annot") for split in _segnet_splits(root)}
    )
    return MaskDataset("camvid", root, CAMVID11, splits), unmatched


def _segnet_splits(root: Path) -> list[str]:
    return [s for s in SPLITS if (root / s).is_dir() and (root / f"{s}annot").is_dir()]


def _is_published(root: Path) -> bool:
    return (root / IMAGES).is_dir() and (root / LABELS).is_dir()


def _find_published(root: Path, classes: str, seed: int) -> Found:
    images = by_name(image_files(root / IMAGES))
    masks = by_name(image_files(root / LABELS, "_L"), "_L")
    pairs, unmatched = match("all", images, masks)
    lists = [split for split in SPLITS if (root / f"{split}.txt").is_file()]
    if not lists:
        splits = split_by_seed(pairs, VAL_SHARE, seed)
    elif {"train", "val"} <= set(lists):
        known = {pair.name: pair for pair in pairs}
        half = {path.stem.removesuffix("_L") for path in (file.path for file in unmatched)}
        splits = {split: _listed(root / f"{split}.txt", known, half) for split in lists}
    else:
        raise RequestError(
            f"{root}: {lists[0]}.txt is there alone; give train.txt and val.txt, or neither for a "
            "split by the seed"
        )
    return MaskDataset("camvid", root, CLASS_SETS[classes], splits), unmatched


def _listed(path: Path, known: dict[str, Pair], half: set[str]) -> tuple[Pair, ...]:
    """The pairs that a list names, a name (or the path of the image) a line, sorted by name.

    half: names of which one file is missing; they are reported as unmatched, not here.
    """
    chosen = {}
    check_size(path, MAX_LIST_BYTES)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name = Path(line.split()[0]).stem
        if name not in known and name not in half:
            raise DataError(
                f"{path}, line {number}: '{printable(name[:100])}' is no image in {IMAGES}; remove "
                "the line, or restore the image and its labels"
            )
        if name in known:
            chosen[name] = known[name]
    return tuple(chosen[name] for name in sorted(chosen))


FORMAT = Format(
    recognizes,
    find,
    (
        "train/NAME.ext with trainannot/NAME.png, and so on for val and test (SegNet's, 11"
        " classes)",
        "701_StillsRaw_full/NAME.png with LabeledApproved_full/NAME_L.png (as published, 32"
        " colors)",
    ),
    recipe="erfnet-camvid11",
)
