"""Cityscapes as downloaded: 19 classes of `gtFine` (or `gtCoarse` where that is all there is).

`leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` with `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`, whose
label ids are turned into train ids on reading, or with `*_gtFine_labelTrainIds.png`, read as they
are. A pair's name is the file's without its ending; it begins with the city.

The benchmark's own scores need two files as they are: the label ids, and beside them
`*_gtFine_instanceIds.png`, which holds 1000 * label id + number for each pixel of an object, and
the label id alone where objects are not told apart (groups, and all other labels).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.pictures import opened, raw_mode
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.core.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORED
from briskseg.core.labels.cityscapes_table import to_label_ids
from briskseg.core.labels.mask_files import read_exact_mask
from briskseg.core.types import Array
from briskseg.data.dataset import Format, Found, MaskDataset, Pair, Unmatched, refuse_class_set
from briskseg.data.matching import composed, image_files, match, walk

if TYPE_CHECKING:
    from briskseg.data.scorer import Scorer

IMAGES = "leftImg8bit"
TRUTHS = ("gtFine", "gtCoarse")
# The label ids come with the download, so they are the ones that are surely complete.
FILES = {"labelIds": CITYSCAPES_LABEL_IDS, "labelTrainIds": CITYSCAPES}

_GRAY = ("L", "I;16B")  # of 8 and of 16 bits, as Pillow names how a PNG stores them


@dataclass(frozen=True)
class Cityscapes(MaskDataset):
    """Cityscapes, which is scored by its own benchmark's rules too."""

    def scorer(self, split: str, label_size: tuple[int, int] | None = None) -> Scorer:
        """The benchmark's scores beside the plain ones; the arguments are `Dataset.scorer`'s."""
        from briskseg.data.cityscapes.benchmark import CityscapesScorer

        return CityscapesScorer(self, self.pairs(split), label_size)


def recognizes(root: Path) -> bool:
    """Whether the folder has `leftImg8bit`."""
    return (root / IMAGES).is_dir()


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of every split that has both images and labels; the splits are the data's."""
    refuse_class_set(root, classes, "Cityscapes", "cityscapes")
    truth, content = _truth(root)
    ending = f"_{truth}_{content}"
    splits: dict[str, tuple[Pair, ...]] = {}
    left_over: list[Unmatched] = []
    for folder in sorted((root / IMAGES).iterdir()):
        split = folder.name
        if not folder.is_dir() or not (root / truth / split).is_dir():
            continue
        images = _by_name(folder, f"_{IMAGES}")
        masks = _by_name(root / truth / split, ending)
        splits[split], unmatched = match(split, images, masks)
        left_over += unmatched
    # Color previews, instance ids, the other labels, images of a test split without labels.
    beside = [path for part in (IMAGES, *TRUTHS) for path in walk(root / part)]
    pictures = tuple(path for path in beside if path.suffix.lower() in IMAGE_SUFFIXES)
    found = Cityscapes("cityscapes", root, FILES[content], splits, beside=pictures)
    return found, tuple(left_over)


def instance_file(label: Path) -> Path:
    """The file of instance ids that belongs to a file of labels; it may not be there."""
    name = label.name
    for content in FILES:
        name = name.replace(f"_{content}", "_instanceIds")
    return label.with_name(name)


def read_label_ids(path: Path) -> Array:
    """Read label ids (H, W) uint8 as the file holds them: 0..33, and 255, which counts nowhere.

    Of a file of train ids the label ids of its 19 classes, and 255. Raises DataError naming a file
    that is damaged or holds anything else than bytes, or train ids where its name says so.
    """
    ids_hw = _read_gray(path)
    if "_labelTrainIds" in path.name:
        labels_hw = CITYSCAPES.decode(ids_hw, path)
        return np.where(labels_hw == IGNORED, np.uint8(IGNORED), to_label_ids(labels_hw))
    if ids_hw.dtype != np.uint8:
        CITYSCAPES_LABEL_IDS.decode(ids_hw, path)  # names what is no label id
    return ids_hw.astype(np.uint8, copy=False)


def read_instance_ids(path: Path) -> Array:
    """Read instance ids (H, W), unsigned integers. Raises DataError naming a damaged file."""
    return _read_gray(path)


def _read_gray(path: Path) -> Array:
    """The values (H, W) of a file; gray PNG by OpenCV, which lets other threads work meanwhile."""
    with opened(path, "a label image", "restore it, or remove its pair") as picture:
        is_gray_png = picture.format == "PNG" and raw_mode(picture) in _GRAY
    if is_gray_png:
        with suppress(cv2.error):
            values_hw = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
            if values_hw is not None:
                return np.asarray(values_hw)
    # another kind of file, or one that is damaged, which it names
    pixels = read_exact_mask(path).pixels
    if pixels.ndim != 2:
        raise DataError(f"{path}: {pixels.shape[2]} channels, expected one, of Cityscapes' ids")
    return pixels


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


def _by_name(split: Path, ending: str) -> dict[str, list[Path]]:
    """The files of all cities with this ending, by their names without it."""
    named: dict[str, list[Path]] = {}
    for city in sorted(check_file_name(path) for path in split.iterdir() if path.is_dir()):
        for path in image_files(city, ending):
            named.setdefault(composed(path.stem.removesuffix(ending)), []).append(path)
    return named


FORMAT = Format(
    recognizes,
    find,
    (
        "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_labelIds.png"
        " (or _labelTrainIds; or gtCoarse)",
    ),
)
