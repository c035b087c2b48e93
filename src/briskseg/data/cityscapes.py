"""Cityscapes, as downloaded: 19 classes of `gtFine` (or `gtCoarse` where that is all there is).

`leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` with `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`, whose
label ids are turned into train ids on reading, or with `*_gtFine_labelTrainIds.png`, read as they
are. A pair's name is the file's without its ending; it begins with the city.
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS
from briskseg.data.dataset import Dataset, Found, Pair, Unmatched, by_name, image_files, match

IMAGES = "leftImg8bit"
TRUTHS = ("gtFine", "gtCoarse")
# The label ids come with the download, so they are the ones that are surely complete.
FILES = {"labelIds": CITYSCAPES_LABEL_IDS, "labelTrainIds": CITYSCAPES}


def recognizes(root: Path) -> bool:
    """Whether the folder has `leftImg8bit`."""
    return (root / IMAGES).is_dir()


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of every split that has both images and labels; the splits are the data's."""
    if classes not in (None, "cityscapes"):
        raise RequestError(
            f"{root}: the class set '{classes}' was asked for, but this is Cityscapes; ask for "
            "'cityscapes', or for none"
        )
    truth, content = _truth(root)
    ending = f"_{truth}_{content}"
    splits: dict[str, tuple[Pair, ...]] = {}
    left_over: list[Unmatched] = []
    for folder in sorted((root / IMAGES).iterdir()):
        split = folder.name
        if not folder.is_dir() or not (root / truth / split).is_dir():
            continue
        images = by_name(_of_all_cities(folder, f"_{IMAGES}"), f"_{IMAGES}")
        masks = by_name(_of_all_cities(root / truth / split, ending), ending)
        splits[split], unmatched = match(split, images, masks)
        left_over += unmatched
    return Dataset("cityscapes", root, FILES[content], splits), tuple(left_over)


def _truth(root: Path) -> tuple[str, str]:
    """Which labels to use: the fine ones and the label ids where there is a choice."""
    for truth in TRUTHS:
        for content in FILES:
            if next((root / truth).glob(f"*/*/*_{truth}_{content}.png"), None) is not None:
                return truth, content
    raise RequestError(
        f"{root}: {IMAGES} is there, but no labels; expected "
        "gtFine/SPLIT/CITY/*_gtFine_labelIds.png (or _labelTrainIds, or the same in gtCoarse); "
        "unpack the labels beside the images"
    )


def _of_all_cities(split: Path, ending: str) -> list[Path]:
    cities = sorted(path for path in split.iterdir() if path.is_dir())
    return [path for city in cities for path in image_files(city, ending)]
