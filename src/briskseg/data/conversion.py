"""A data set of any format written as another: the folder layout, labelme's files, COCO's, shards.

    folder    images/SPLIT/NAME.ext, labels/SPLIT/NAME.png (class indices, 255 ignored), classes.txt
    labelme   SPLIT/NAME.ext, SPLIT/NAME.json (polygons), labels.txt (classes.txt too: signs)
    coco      images/SPLIT/NAME.ext, annotations/instances_SPLIT.json (run lengths)
    shards    SPLIT-000000.tar (NAME.ext, NAME.labels.png), classes.txt

All hold every pixel exactly. Shape formats have a class `background` for what is in no shape;
where the data have none, they are read back with `unlabeled="ignored"`; and they ignore a class
named ignore, void or unlabeled. Images are copied byte for byte, in their splits and under their
stems; where several in subfolders have one, their folders' names are put before it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.atomic import write_whole, writing
from briskseg.core.files.safe_names import file_stem
from briskseg.core.images import write_png
from briskseg.core.labels import IGNORED
from briskseg.core.labels.class_list import written_class
from briskseg.core.parallel import thread_map
from briskseg.core.types import Array, Labels, Progress
from briskseg.data.check.fixed_copy import refuse_out, stored_pair
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.frequencies import refuse_binary_masks
from briskseg.data.shape_dataset import BACKGROUND
from briskseg.data.shard_writer import write_shards

# labelme's own names for both, which every shape format here reads as such.
_IGNORE_LABEL, _BACKGROUND_LABEL = "__ignore__", "_background_"


class Target(NamedTuple):
    """images: the folder of a split's images. write: writes one pair's labels, and gives what
    `finish` needs of it, which is called with a split's once all are written."""

    images: str
    write: Callable[[Dataset, Path, Path, Labels], Any]
    finish: Callable[[Dataset, Path, dict[str, list[Any]]], None]


def convert_dataset(
    dataset: Dataset, out: Path, to: str = "folder", progress: Progress | None = None
) -> dict[str, dict[str, Pair]]:
    """Write the data set to the folder `out`; of each split the pairs, by their files' stem there.

    Raises RequestError for an unknown format, or where `out` is not empty or lies in the data set;
    DataError for a damaged file, labels of another size than the image or masks of two classes that
    hold 0 and 255; BriskError where something cannot be written.
    """
    if to not in WRITTEN:
        raise RequestError(f"no format '{to}' to convert to; {nearest(to, WRITTEN)}")
    refuse_out(dataset.root, out, "OUT")
    refuse_binary_masks(dataset)
    if to != "coco":
        dataset.labels.classes_txt()  # what it refuses, before anything is written
    dot = "_" if to == SHARDS else "."  # there, what follows a dot is WebDataset's
    named = {split: _named(pairs, dot) for split, pairs in dataset.splits.items()}
    jobs = [(split, *job) for split, pairs in named.items() for job in pairs.items()]
    with writing(out):
        if to == SHARDS:
            write_shards(dataset, out, jobs, progress)
        else:
            _write(TARGETS[to], dataset, out, jobs, progress)
    return named


def _named(pairs: tuple[Pair, ...], dot: str) -> dict[str, Pair]:
    """A split's pairs by their files' stem in the copy, one folder deep, where dots become `dot`.
    Raises DataError where two would have one."""
    named: dict[str, Pair] = {}
    stems = [
        tuple(file_stem(name).replace(".", dot) for name in (Path(pair.name).name, pair.name))
        for pair in pairs
    ]
    wanted = Counter(stem for both in stems for stem in {*both})
    for pair, (short, full) in zip(pairs, stems, strict=True):
        stem = short if wanted[short] == 1 else full
        if stem in named:
            raise DataError(
                f"{pair.image} and {named[stem].image} would both be '{stem}'; rename one"
            )
        named[stem] = pair
    return named


def _write(
    target: Target,
    dataset: Dataset,
    out: Path,
    jobs: list[tuple[str, str, Pair]],
    progress: Progress | None,
) -> None:
    def write(job: tuple[str, str, Pair]) -> tuple[str, Any]:
        split, stem, pair = job
        labels_hw, content, suffix = stored_pair(dataset, pair)
        image = out / target.images.format(split) / f"{stem}{suffix}"
        image.write_bytes(content)
        return split, target.write(dataset, out, image, labels_hw)

    written: dict[str, list[Any]] = {split: [] for split in dataset.splits}
    for split in written:
        (out / target.images.format(split)).mkdir(parents=True, exist_ok=True)
    for split, done in thread_map(write, jobs, progress=progress):
        written[split].append(done)
    target.finish(dataset, out, written)


def _write_mask(dataset: Dataset, out: Path, image: Path, labels_hw: Labels) -> None:
    path = out / "labels" / image.parent.name / f"{image.stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, labels_hw)


def _finish_folder(dataset: Dataset, out: Path, _: dict[str, list[Any]]) -> None:
    dataset.labels.write_classes_txt(out / "classes.txt")


def _write_labelme(dataset: Dataset, out: Path, image: Path, labels_hw: Labels) -> None:
    names = _labelme_names(dataset)
    height, width = labels_hw.shape
    shapes: list[dict[str, Any]] = [
        {
            "label": names[value],
            "points": outline,
            "group_id": None,
            "shape_type": "polygon",
            "flags": {},
        }
        for value, outline in outlines(labels_hw)
        # No shape lies around what reaches the image's border: that is background unsaid.
        if names[value] != _BACKGROUND_LABEL or not _is_at_border(outline, height, width)
    ]
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image.name}
    size = {"imageData": None, "imageHeight": height, "imageWidth": width}
    write_whole(image.with_suffix(".json"), json.dumps(content | size), synced=False)


def _is_at_border(outline: list[list[int]], height: int, width: int) -> bool:
    return any(x in (0, width) or y in (0, height) for x, y in outline)


def _labelme_names(dataset: Dataset) -> dict[int, str]:
    names = dict(enumerate(dataset.names)) | {IGNORED: _IGNORE_LABEL}
    return names | ({0: _BACKGROUND_LABEL} if dataset.names[0] == BACKGROUND else {})


def _finish_labelme(dataset: Dataset, out: Path, _: dict[str, list[Any]]) -> None:
    names = _labelme_names(dataset)
    lines = [names.pop(IGNORED), *names.values()]
    write_whole(out / "labels.txt", "\n".join(lines) + "\n")
    quoted = [written_class(name) for name in lines]
    # labelme reads labels.txt line by line as it is; our reader parses it, and prefers classes.txt
    if quoted != lines:
        write_whole(out / "classes.txt", "\n".join(quoted) + "\n")


def outlines(labels_hw: Labels) -> list[tuple[int, list[list[int]]]]:
    """The value and the outline, (x, y) along the edges of pixels, of every connected area.

    Filled one over the other in this order, the largest first, they give the labels again: what
    lies in a hole is smaller than the area around it.
    """
    found: list[tuple[float, int, list[list[int]]]] = []
    for value in np.unique(labels_hw).tolist():
        number, marks, stats, _ = cv2.connectedComponentsWithStats(
            (labels_hw == value).astype(np.uint8), connectivity=4
        )
        for mark in range(1, number):
            left, top, width, height, _ = stats[mark].tolist()
            area = marks[top : top + height, left : left + width] == mark
            outline = _outline(area)
            corners = (outline + (left, top)).tolist()
            found.append((cv2.contourArea(outline), value, corners))
    found.sort(key=lambda each: -each[0])
    return [(value, outline) for _, value, outline in found]


def _outline(area_hw: Array) -> Array:
    """The corners (n, 2) of the outer outline of one 4-connected area, along the edges of pixels.

    OpenCV's contours run through the centers of pixels: of the area at twice its size they lie half
    a step inside the edges, so halving and rounding up puts them there.
    """
    twice = cv2.resize(area_hw.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = (contours[0][:, 0] + 1) // 2
    return np.asarray(corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)])


def _write_coco(
    dataset: Dataset, out: Path, image: Path, labels_hw: Labels
) -> tuple[str, tuple[int, ...], list[dict[str, Any]]]:
    """The image's name and size, and an annotation of each class in it."""
    from pycocotools import mask as coco_mask

    skipped = 0 if dataset.names[0] == BACKGROUND else None
    annotations: list[dict[str, Any]] = []
    for value in np.unique(labels_hw).tolist():
        if value == skipped:
            continue
        mask = labels_hw == value
        packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        size, counts = [int(n) for n in packed["size"]], packed["counts"].decode()
        box = [int(n) for n in cv2.boundingRect(mask.astype(np.uint8))]
        annotations.append(
            {
                "category_id": _category(value),
                "iscrowd": int(value == IGNORED),
                "area": int(np.count_nonzero(mask)),
                "bbox": box,
                "segmentation": {"size": size, "counts": counts},
            }
        )
    return image.name, labels_hw.shape, annotations


def _category(value: int) -> int:
    return 0 if value == IGNORED else value + 1


def _finish_coco(dataset: Dataset, out: Path, written: dict[str, list[Any]]) -> None:
    categories = [{"id": 0, "name": "ignore"}]
    categories += [{"id": _category(i), "name": name} for i, name in enumerate(dataset.names)]
    for split, done in written.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image_id, (name, (height, width), some) in enumerate(done, start=1):
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            for annotation in some:
                annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_whole(out / "annotations" / f"instances_{split}.json", json.dumps(content))


TARGETS = {
    "folder": Target("images/{}", _write_mask, _finish_folder),
    "labelme": Target("{}", _write_labelme, _finish_labelme),
    "coco": Target("images/{}", _write_coco, _finish_coco),
}
SHARDS = "shards"  # written in order, one after the other
WRITTEN = (*TARGETS, SHARDS)
