"""COCO panoptic: PNG files whose colors are segment ids, and a JSON file that says of what category
each segment is. Segments of crowds, and pixels of no segment (black), are ignored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.mask_files import read_mask
from briskseg.core.types import Labels
from briskseg.data.annotations import Entry, ImageIndex, peek, read_json
from briskseg.data.dataset import Dataset, Found, Pair
from briskseg.data.file_stats import FileProblem, LabelStats, decoded_stats
from briskseg.data.shape_dataset import PairList, classes_of, split_of

_BLACK = 0


@dataclass(frozen=True)
class PanopticDataset(Dataset):
    """content: by image, the JSON file, and the class or `IGNORED` of each segment id."""

    content: dict[Path, tuple[Path, dict[int, int]]] = field(default_factory=dict, repr=False)

    def read_labels(self, pair: Pair) -> Labels:
        """The labels, (H, W) uint8, of the pair's PNG file."""
        _, classes = self.content[pair.image]
        pixels = read_mask(pair.label).pixels
        if pixels.ndim != 3 or pixels.shape[2] < 3:
            raise DataError(f"{pair.label}: no RGB picture, expected segment ids as colors")
        red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
        ids, where = np.unique(red | green << 8 | blue << 16, return_inverse=True)
        unknown = [number for number in ids.tolist() if number not in classes]
        if unknown:
            raise DataError(
                f"{pair.label}: segment {unknown[0]} is not in the JSON file's segments_info; "
                "export both again"
            )
        table = np.array([classes[number] for number in ids.tolist()], np.uint8)
        return np.asarray(table[where].reshape(pixels.shape[:2]))

    def scan_labels(self, pair: Pair) -> LabelStats | FileProblem:
        """As the contract's."""
        return decoded_stats(pair.label, lambda: self.read_labels(pair))

    def label_files(self, pair: Pair) -> tuple[Path, ...]:
        """The PNG file and the JSON file."""
        return pair.label, self.content[pair.image][0]


def files(candidates: list[Path]) -> list[Path]:
    """Those of the JSON files that are panoptic ones."""
    return [path for path in candidates if '"segments_info"' in peek(path)]


def find(root: Path, paths: list[Path], seed: int) -> Found:
    """Find the images with their PNG files."""
    if not paths:
        raise RequestError(f"{root}: no panoptic_*.json; ask for the class set instances")
    from briskseg.data.coco import bases_of

    contents = {path: read_json(path) for path in paths}
    categories: dict[int, str] = {}
    for content in contents.values():
        categories |= {c["id"].integer(): c["name"].text() for c in content["categories"].entries()}
    classes = classes_of(root, (categories[number] for number in sorted(categories)))
    names = classes.labels.names if 0 in classes.index.values() else classes.labels.names[1:]
    labels = LabelSet(names)
    of_category = {
        number: IGNORED if classes.index[name] == IGNORED else names.index(_listed(name, names))
        for number, name in categories.items()
    }
    images, pairs = ImageIndex(root), PairList(root, seed)
    for path, content in contents.items():
        stated = {entry["id"].value: entry for entry in content["images"].entries()}
        split = split_of(path.stem) or split_of(path.parent.relative_to(root).as_posix())
        folder = path.parent.relative_to(root).as_posix()
        masks = [f"{folder}/{path.stem}", path.stem, f"annotations/{path.stem}", folder]
        for entry in content["annotations"].entries():
            mask = images.find(entry["file_name"].text(), masks)
            image_id = entry["image_id"].value
            listed = stated.get(image_id) if isinstance(image_id, int | str) else None
            if listed is None:
                raise entry["image_id"].fault("the id of an image of the file")
            image = images.find(listed["file_name"].text(), bases_of(root, path))
            if image is None:
                pairs.missing(split, mask or path)
            elif mask is None:
                pairs.unmatched_image(split, image)
            else:
                pairs.add(split, image, mask, (path, _segments(entry, of_category)))
    dataset = PanopticDataset("coco", root, labels, pairs.splits(), pairs.content)
    return dataset, tuple(pairs.unmatched)


def _listed(name: str, names: tuple[str, ...]) -> str:
    return name if name in names else names[0]  # another spelling of background


def _segments(entry: Entry, of_category: dict[int, int]) -> dict[int, int]:
    found: dict[int, Any] = {_BLACK: IGNORED}
    for segment in entry["segments_info"].entries():
        category = segment["category_id"]
        if category.integer() not in of_category:
            raise category.fault("the id of a category")
        known = of_category[category.integer()]
        found[segment["id"].integer()] = IGNORED if segment["iscrowd"].value else known
    return found
