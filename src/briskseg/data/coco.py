"""COCO: one JSON file a split (`annotations/instances_train2017.json` ...), a single one, or
Roboflow's `train/_annotations.coco.json`; the images in the folders that such sets have them in.

Polygons of several parts and run lengths, plain and compressed; `iscrowd` is ignored. The smaller
object lies over the larger, of two as large the later one. Classes are the categories in the order
of their ids. The class set "panoptic" reads `panoptic_*.json` with its PNG files instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.images import image_size
from briskseg.core.labels import LabelSet
from briskseg.data import shapes
from briskseg.data.annotations import Entry, of_tool, read_json
from briskseg.data.dataset import Format, Found, Pair
from briskseg.data.masks.layout import split_of
from briskseg.data.masks.segments import SegmentDataset, segment_classes
from briskseg.data.shape_dataset import Drawing, PairList, ShapeClasses, classes_of
from briskseg.data.shapes import Patch, Size

CLASS_SETS = ("instances", "panoptic")


class Annotated(NamedTuple):
    """An image's size as stated, its annotations with their number in the file, and the names of
    the file's categories."""

    size_hw: Size | None
    annotations: list[tuple[int, dict[str, Any]]]
    names: dict[int, str]


def _drawing(pair: Pair, content: Annotated) -> Drawing:
    """The objects of the pair's image, the largest first."""
    drawing = Drawing(content.size_hw or image_size(pair.image))
    for number, value in content.annotations:
        entry = Entry(value, f"{pair.label}: annotations[{number}]")
        if not value.get("segmentation"):
            drawing.left_out["box"] += 1
            continue
        category = entry["category_id"]
        name = content.names.get(category.integer())
        if name is None:
            raise category.fault("the id of a category")
        drawing.add(name, entry["segmentation"], _patch, bool(value.get("iscrowd")))
    return drawing.smaller_on_top()


def _patch(segmentation: Entry, size_hw: Size) -> Patch:
    if isinstance(segmentation.value, dict):
        return run_lengths(segmentation, size_hw)
    parts = segmentation.entries()
    if parts and not isinstance(parts[0].value, list):
        parts = [segmentation]  # one polygon that is not in a list of its own
    return shapes.coco_polygon([part.points() for part in parts], size_hw)


def run_lengths(entry: Entry, size_hw: Size) -> Patch:
    """The pixels of `{"size": [H, W], "counts": ...}`, counts as a list or compressed."""
    size = entry["size"].entries()
    if len(size) != 2 or (size[0].integer(), size[1].integer()) != size_hw:
        raise entry["size"].fault(f"the image's [{size_hw[0]}, {size_hw[1]}]")
    counts = entry["counts"]
    if isinstance(counts.value, str):
        lengths = shapes.coco_counts(counts.value.encode("ascii", "replace"))
    else:
        lengths = counts.counts()
    return Patch(0, 0, shapes.runs(lengths, size_hw, by_column=True))


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs. classes: "instances" (the default where such files are there) or
    "panoptic"."""
    if classes is not None and classes not in CLASS_SETS:
        raise RequestError(f"{root}: no class set '{classes}'; {nearest(classes, CLASS_SETS)}")
    files, panoptic = _files(root), _panoptic_files(root)
    if classes == "panoptic" or (classes is None and not files):
        if not panoptic:
            raise RequestError(f"{root}: no panoptic_*.json; ask for the class set instances")
        return _find_panoptic(PairList(root, seed), panoptic)
    if not files:
        raise RequestError(f"{root}: no file of instances; ask for the class set panoptic")
    pairs = PairList(root, seed, is_shared=True)
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
            image = pairs.images.find(name, _bases_of(pairs, path))
            pairs.add(split_of(path.stem, pairs.folder_of(path)), image, path, annotated, name)
    if not has_outline:
        raise DataError(
            f"{files[0]}: no annotation has a `segmentation`: these are boxes, labels of "
            "detection; label outlines, or export the data with segmentation"
        )
    return pairs.dataset("coco", _classes(categories, pairs, is_grouped), _drawing, files)


def _json_files(root: Path) -> list[Path]:
    paths = sorted([*root.glob("*.json"), *root.glob("*/*.json")])
    return [path for path in paths if not path.name.startswith(".")]


def _files(root: Path) -> list[Path]:
    """The files of instances; where some are named so, those of keypoints and captions beside them
    are not read."""
    found = of_tool(_json_files(root), _is_coco)
    named = [path for path in found if path.name.startswith("instances")]
    return named or found


def _panoptic_files(root: Path) -> list[Path]:
    return of_tool(_json_files(root), lambda text: '"segments_info"' in text)


def _is_coco(text: str) -> bool:
    keys = [f'"{key}"' in text for key in ("images", "annotations", "categories")]
    others = ('"segments_info"', '"shapes"', '"dm_format_version"', '"task_attributes"')
    return sum(keys) >= 2 and not any(key in text for key in others)


def _categories(content: Entry) -> dict[int, str]:
    names: dict[int, str] = {}
    for entry in content["categories"].entries():
        number, name = entry["id"].integer(), entry["name"].text()
        if names.setdefault(number, name) != name:
            raise DataError(
                f"{entry.where}.id {number} is '{name}', and '{names[number]}' has it too; give "
                "each category a number of its own, or export the file again"
            )
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
    seen = set()
    for entry in content["images"].entries():
        number = entry["id"].value
        if not isinstance(number, int | str):
            raise entry["id"].fault("a number")
        if number in seen:  # files that were merged: whose the annotations are, nobody knows
            raise DataError(
                f"{entry.where}.id {number!r} is that of another image too; number the images of "
                "the file anew, and the image_id of its annotations"
            )
        seen.add(number)
        found = Annotated(entry.size(), by_image.pop(number, []), names)
        yield entry["file_name"].text(), found
    if by_image:
        image_id, ((number, _), *_) = next(iter(by_image.items()))
        raise DataError(
            f"{content.where}: annotations[{number}].image_id {image_id!r} is no image of the "
            "file; export the file again"
        )


def _bases_of(pairs: PairList, path: Path) -> list[str]:
    """The folders in which the images of an annotation file may lie, relative to the root."""
    folder = pairs.folder_of(path)
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


def _find_panoptic(pairs: PairList, files: list[Path]) -> Found:
    """Images with PNG files whose colors are segment ids, and JSON files that say of what category
    each segment is. Segments of crowds, and pixels of no segment (black), are ignored."""
    contents = {path: read_json(path) for path in files}
    categories: dict[int, str] = {}
    for content in contents.values():
        categories |= _categories(content)
    names = (categories[number] for number in sorted(categories))
    classes = classes_of(pairs.root, names).without_unlabeled()
    of_category = {number: classes.index[name] for number, name in categories.items()}
    for path, content in contents.items():
        stated = {entry["id"].value: entry for entry in content["images"].entries()}
        folder = pairs.folder_of(path)
        split = split_of(path.stem, folder)
        masks = [f"{folder}/{path.stem}", path.stem, f"annotations/{path.stem}", folder]
        for entry in content["annotations"].entries():
            mask = pairs.images.find(entry["file_name"].text(), masks)
            image_id = entry["image_id"].value
            listed = stated.get(image_id) if isinstance(image_id, int | str) else None
            if listed is None:
                raise entry["image_id"].fault("the id of an image of the file")
            image = pairs.images.find(listed["file_name"].text(), _bases_of(pairs, path))
            if image is not None and mask is None:
                pairs.without_labels(split, image)
            else:
                pairs.add(split, image, mask or path, segment_classes(entry, of_category))
    splits = pairs.splits()
    segments = {p.label: pairs.content[p.image] for some in splits.values() for p in some}
    labels = LabelSet(classes.labels.names)
    about: dict[str, Any] = {"lists": tuple(files), "split_seed": pairs.split_seed}
    dataset = SegmentDataset("coco", pairs.root, labels, splits, segments, **about)
    return dataset, tuple(pairs.unmatched)


FORMAT = Format(
    lambda root: bool(_files(root) or _panoptic_files(root)),
    find,
    (
        "annotations/instances_SPLIT.json (COCO) with SPLIT/NAME.ext or images/SPLIT/NAME.ext",
        "SPLIT/_annotations.coco.json (Roboflow) with SPLIT/NAME.ext",
        "annotations/panoptic_SPLIT.json with panoptic_SPLIT/NAME.png (class set panoptic)",
    ),
)
