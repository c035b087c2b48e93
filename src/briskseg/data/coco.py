"""COCO: one JSON file a split (`annotations/instances_train2017.json` ...), a single one, or
Roboflow's `train/_annotations.coco.json`; the images in the folders that such sets have them in.

Polygons of several parts and run lengths, plain and compressed; `iscrowd` is ignored. The smaller
object lies over the larger, of two as large the later one. Classes are the categories in the order
of their ids. The class set "panoptic" reads `panoptic_*.json` with its PNG files instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.images import image_size
from briskseg.data import coco_panoptic, shapes
from briskseg.data.annotations import Entry, ImageIndex, drawn, of_tool, read_json
from briskseg.data.dataset import Format, Found, Pair
from briskseg.data.shape_dataset import (
    Drawing,
    PairList,
    ShapeClasses,
    ShapeDataset,
    classes_of,
    split_of,
)
from briskseg.data.shapes import Patch, Size

CLASS_SETS = ("instances", "panoptic")
_ASKED = 50  # JSON files, to see whether they are COCO's


class Annotated(NamedTuple):
    """An image's size as stated, its annotations with their number in the file, and the names of
    the file's categories."""

    size_hw: Size | None
    annotations: list[tuple[int, dict[str, Any]]]
    names: dict[int, str]


class CocoDataset(ShapeDataset):
    """Images of COCO files. content: `Annotated`."""

    def drawing(self, pair: Pair) -> Drawing:
        """The objects of the pair's image, the largest first."""
        content: Annotated = self.content[pair.image]
        size_hw = content.size_hw or image_size(pair.image)
        found: list[tuple[str | None, Patch]] = []
        left_out: Counter[str] = Counter()
        for number, value in content.annotations:
            entry = Entry(value, f"{pair.label}: annotations[{number}]")
            if not value.get("segmentation"):
                left_out["box"] += 1
                continue
            category = entry["category_id"]
            name = content.names.get(category.integer())
            if name is None:
                raise category.fault("the id of a category")
            patch = drawn(entry["segmentation"], _patch, entry["segmentation"], size_hw)
            found.append((None if value.get("iscrowd") else name, patch))
        found.sort(key=lambda shape: -shape[1].pixels)
        return Drawing(size_hw, found, left_out)


def _patch(segmentation: Entry, size_hw: Size) -> Patch:
    if isinstance(segmentation.value, dict):
        return shapes.Patch(0, 0, run_lengths(segmentation, size_hw))
    parts = segmentation.entries()
    if parts and not isinstance(parts[0].value, list):
        parts = [segmentation]  # one polygon that is not in a list of its own
    return shapes.coco_polygon([part.points() for part in parts], size_hw)


def run_lengths(entry: Entry, size_hw: Size) -> shapes.Mask:
    """(H, W) bool of `{"size": [H, W], "counts": ...}`, counts as a list or compressed."""
    size = entry["size"].entries()
    if len(size) != 2 or (size[0].integer(), size[1].integer()) != size_hw:
        raise entry["size"].fault(f"the image's [{size_hw[0]}, {size_hw[1]}]")
    counts = entry["counts"]
    if isinstance(counts.value, str):
        packed = counts.value.encode("ascii", "replace")
        return shapes.runs(shapes.coco_counts(packed), size_hw, by_column=True)
    return shapes.runs([int(n) for n in counts.numbers()], size_hw, by_column=True)


def recognizes(root: Path) -> bool:
    """Whether there is a JSON file of COCO's in the folder or in a folder in it."""
    return bool(_files(root) or coco_panoptic.files(_json_files(root)))


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs. classes: "instances" (the default where such files are there) or
    "panoptic"."""
    if classes is not None and classes not in CLASS_SETS:
        raise RequestError(f"{root}: no class set '{classes}'; {nearest(classes, CLASS_SETS)}")
    files = _files(root)
    panoptic = coco_panoptic.files(_json_files(root))
    if classes == "panoptic" or (classes is None and not files):
        return coco_panoptic.find(root, panoptic, seed)
    if not files:
        raise RequestError(f"{root}: no file of instances; ask for the class set panoptic")
    images, pairs = ImageIndex(root), PairList(root, seed)
    categories: dict[int, str] = {}
    has_outline = is_grouped = False
    for path in files:
        content = read_json(path)
        names = _categories(content)
        for number, name in names.items():
            if categories.setdefault(number, name) != name:
                raise DataError(
                    f"{path}: category {number} is '{name}', and '{categories[number]}' in the "
                    "files before it; give the splits the same categories"
                )
        is_grouped = is_grouped or _is_grouped(content, names)
        for name, annotated in _annotated(content, names):
            has_outline = has_outline or any(a.get("segmentation") for _, a in annotated[1])
            _add(pairs, images, path, name, annotated)
    if not has_outline:
        raise DataError(
            f"{files[0]}: no annotation has a `segmentation`: these are boxes, labels of "
            "detection; label outlines, or export the data with segmentation"
        )
    found = _classes(categories, pairs, is_grouped)
    dataset = CocoDataset(
        "coco", root, found.labels, pairs.splits(), found, pairs.content, lists=tuple(files)
    )
    return pairs.found(dataset, images)


def _json_files(root: Path) -> list[Path]:
    paths = sorted([*root.glob("*.json"), *root.glob("*/*.json")])
    return [path for path in paths if not path.name.startswith(".")][:_ASKED]


def _files(root: Path) -> list[Path]:
    """The files of instances; where some are named so, those of keypoints and captions beside them
    are not read."""
    found = of_tool(_json_files(root), _is_coco)
    named = [path for path in found if path.name.startswith("instances")]
    return named or found


def _is_coco(text: str) -> bool:
    keys = [f'"{key}"' in text for key in ("images", "annotations", "categories")]
    others = ('"segments_info"', '"shapes"', '"dm_format_version"', '"task_attributes"')
    return sum(keys) >= 2 and not any(key in text for key in others)


def _categories(content: Entry) -> dict[int, str]:
    names = {}
    for entry in content["categories"].entries():
        names[entry["id"].integer()] = entry["name"].text()
    if not names:
        raise content["categories"].fault("a list of categories")
    return names


def _is_grouped(content: Entry, names: dict[int, str]) -> bool:
    groups = [entry["supercategory"].value for entry in content["categories"].entries()]
    return 0 in names and names[0] in groups


def _classes(categories: dict[int, str], pairs: PairList, is_grouped: bool) -> ShapeClasses:
    """The classes in the order of the ids. is_grouped: category 0 is what the others belong to, as
    Roboflow writes it; it is a class only where an object has it."""
    ids = sorted(categories)
    every = (a for content in pairs.content.values() for _, a in content.annotations)
    if is_grouped and len(ids) > 1 and all(a.get("category_id") != 0 for a in every):
        ids.remove(0)
    return classes_of(pairs.root, (categories[number] for number in ids))


def _annotated(content: Entry, names: dict[int, str]) -> Iterator[tuple[str, Annotated]]:
    """Every image of a file with its annotations."""
    by_image: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
    for number, entry in enumerate(content["annotations"].entries()):
        if not isinstance(entry.value, dict):
            raise entry.fault("an object")
        image_id = entry.value.get("image_id")
        if not isinstance(image_id, int | str):
            raise entry["image_id"].fault("the id of an image")
        by_image.setdefault(image_id, []).append((number, entry.value))
    for entry in content["images"].entries():
        number = entry["id"].value
        if not isinstance(number, int | str):
            raise entry["id"].fault("a number")
        found = Annotated(entry.size(), by_image.pop(number, []), names)
        yield entry["file_name"].text(), found
    if by_image:
        image_id, ((number, _), *_) = next(iter(by_image.items()))
        raise DataError(
            f"{content.where}: annotations[{number}].image_id {image_id!r} is no image of the "
            "file; export the file again"
        )


def bases_of(root: Path, path: Path) -> list[str]:
    """The folders in which the images of an annotation file may lie, relative to the root."""
    folder = path.parent.relative_to(root).as_posix()
    subset = path.stem.partition("_")[2] or path.stem  # `train2017` of instances_train2017
    names = dict.fromkeys(name for name in (subset, split_of(subset), split_of(folder)) if name)
    return [
        folder,
        f"{folder}/images",
        *(f"{top}{name}" for name in names for top in ("images/", "", "data/")),
        *(f"{name}/images" for name in names),
        "images",
        "",
        "data",
    ]


def _add(pairs: PairList, images: ImageIndex, path: Path, name: str, annotated: Annotated) -> None:
    image = images.find(name, bases_of(pairs.root, path))
    split = split_of(path.stem) or split_of(path.parent.relative_to(pairs.root).as_posix())
    if image is None:
        pairs.missing_image(split, name, path)
    else:
        pairs.add(split, image, path, annotated, shared=True)


FORMAT = Format(
    recognizes,
    find,
    (
        "annotations/instances_SPLIT.json (COCO) with SPLIT/NAME.ext or images/SPLIT/NAME.ext",
        "SPLIT/_annotations.coco.json (Roboflow) with SPLIT/NAME.ext",
        "annotations/panoptic_SPLIT.json with panoptic_SPLIT/NAME.png (class set panoptic)",
    ),
)
