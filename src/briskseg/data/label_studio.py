"""Label Studio's JSON and JSON_MIN exports: a list of tasks, with the images anywhere below the
folder.

Polygons, rectangles and ellipses in percent, and brush masks; key points, lines and text are left
out. A later region lies over an earlier one. Of a task that several people labeled, the last
annotation that was not cancelled counts; predictions do not. The classes are those of classes.txt,
else the labels in alphabetical order.

JSON_MIN has a record for each annotation, where the regions lie under the names of the labeling
interface's controls: those of a control in their order, the controls in the record's. It does not
say what a region is, which its numbers tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from briskseg.core.images import IMAGE_SUFFIXES, image_size
from briskseg.data import shapes
from briskseg.data.annotations import Entry, checked_size, of_tool, read_json
from briskseg.data.dataset import Format, Found, Pair, refuse_class_set
from briskseg.data.masks.layout import split_of
from briskseg.data.shape_dataset import Drawing, PairList, classes_of, listed_classes
from briskseg.data.shapes import Patch, ShapeError, Size

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before an uploaded file's name


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the tasks' images."""
    refuse_class_set(root, classes, "classes.txt, or else of the regions")
    pairs = PairList(root, seed, is_shared=True)
    listed = listed_classes(root)
    names: set[str] = set()
    files = _files(root)
    for path in files:
        for task in _labeled(read_json(path).entries()):
            stated = _stated_images(task)
            image = pairs.images.first(stated)
            split = split_of(path.stem, pairs.folder_of(image) if image else "")
            pairs.add(split, image, path, task, stated[0] if stated else "?")
            if image is not None and listed is None:
                names |= {r.name for r in _regions(task) if r.kind in _DRAW and r.name}
    found = listed or classes_of(root, sorted(names))
    return pairs.dataset("label-studio", found, _drawing, files)


def _drawing(pair: Pair, task: Entry) -> Drawing:
    """The regions of a task."""
    regions = [*_regions(task)]
    sizes = (region.entry.size("original_height", "original_width") for region in regions)
    drawing = Drawing(next(filter(None, sizes), None) or image_size(pair.image))
    for _, value, kind, name in regions:
        if kind in _DRAW and name is not None:
            drawing.add(name, value, _DRAW[kind])
        else:
            drawing.left_out[kind] += 1
    return drawing


def _files(root: Path) -> list[Path]:
    return of_tool(sorted(root.glob("*.json")), _is_export)


def _is_export(text: str) -> bool:
    starts = text.lstrip("\ufeff \n\r\t").startswith("[")
    is_json = '"data"' in text and '"annotations"' in text
    return starts and (is_json or ('"annotation_id"' in text and '"lead_time"' in text))


def _labeled(tasks: list[Entry]) -> list[Entry]:
    """The tasks that somebody has labeled; of the records of JSON_MIN the newest of each task."""
    found: dict[int | str, Entry] = {}
    for number, task in enumerate(tasks):
        key: int | str = number
        if _is_flat(task):
            if task["annotation_id"].value is None:
                continue
            key = key if (stated := task["id"].value) is None else str(stated)
            if key in found and _made(task) <= _made(found[key]):
                continue
        elif not any(_annotations(task)):
            continue
        found[key] = task
    return [*found.values()]


def _is_flat(task: Entry) -> bool:
    """Whether a task is a record of JSON_MIN."""
    return task["annotations"].value is None and task["data"].value is None


def _made(record: Entry) -> str:
    return str(record["created_at"].value or "")


def _stated_images(task: Entry) -> list[str]:
    """The names that an image of the task may have here."""
    data = (task if _is_flat(task) else task["data"]).value
    found = []
    for value in data.values() if isinstance(data, dict) else ():
        if not isinstance(value, str):
            continue
        name = unquote(re.sub(r"^.*[?&]d=", "", value).split("?")[0])
        name = re.sub(r"^\w+://[^/]*", "", name)
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            base = name.rsplit("/", 1)[-1]
            found += [name, base, _UPLOADED.sub("", base)]
    return found


def _annotations(task: Entry) -> Iterator[Entry]:
    for annotation in task["annotations"].entries():
        if not annotation["was_cancelled"].value:
            yield annotation


class Region(NamedTuple):
    """entry: with the size of the image. value: with the shape. kind: what it is. name: its label,
    None where it has none."""

    entry: Entry
    value: Entry
    kind: str
    name: str | None


def _regions(task: Entry) -> Iterator[Region]:
    """Each region of the task's last annotation; its label may stand in another entry of its id."""
    if _is_flat(task):
        yield from _flat_regions(task)
        return
    annotation = [*_annotations(task)][-1:]
    entries = annotation[0]["result"].entries() if annotation else []
    keys = [
        n if (key := region["id"].value) is None else str(key) for n, region in enumerate(entries)
    ]
    labels: dict[int | str, str] = {}
    for region, key in zip(entries, keys, strict=True):
        if (name := _label(region["value"])) is not None:
            labels.setdefault(key, name)
    seen = set()
    for region, key in zip(entries, keys, strict=True):
        kind = region["type"].text().removesuffix("labels")
        # What is said of a region is not its shape.
        if kind and kind not in ("choices", "textarea") and (key, kind) not in seen:
            seen.add((key, kind))
            yield Region(region, region["value"], kind, labels.get(key))


# What tells the kind of a region that does not say it, the first that is there.
_TELLING = {"rle": "brush", "points": "polygon", "radiusX": "ellipse", "height": "rectangle"}
_TELLING |= {"x": "keypoint", "vertices": "vector"}


def _flat_regions(record: Entry) -> Iterator[Region]:
    """The regions of a record of JSON_MIN. Where labels are a control of their own, each region
    stands there with its label and under its shape's control without one."""
    found = []
    for key, values in record.value.items():
        if isinstance(values, list):
            some = [value for value in record[key].entries() if isinstance(value.value, dict)]
            for value in some:
                told = (kind for telling, kind in _TELLING.items() if telling in value.value)
                if kind := next(told, ""):
                    found.append(Region(value, value, kind, _label(value)))
    labeled = [_shape(region) for region in found if region.name is not None]
    for region in found:
        if region.name is not None or _shape(region) not in labeled:
            yield region


def _shape(region: Region) -> dict[str, Any]:
    return {k: v for k, v in region.value.value.items() if not k.endswith("labels")}


def _label(value: Entry) -> str | None:
    """The first label that a region's value names."""
    for name, said in value.value.items() if isinstance(value.value, dict) else ():
        if name.endswith("labels") and isinstance(said, list) and said:
            return Entry(said[0], value.where).text()
    return None


def _of_pixels(value: Entry, size_hw: Size, *keys: str) -> list[float]:
    """Numbers in percent of the width and, in turn, of the height, in pixels."""
    sides = (size_hw[1], size_hw[0])
    return [value[key].number() * sides[i % 2] / 100 for i, key in enumerate(keys)]


def _polygon(value: Entry, size_hw: Size) -> Patch:
    points = value["points"].points() * (size_hw[1] / 100, size_hw[0] / 100)
    return shapes.polygon([points], size_hw)


def _rectangle(value: Entry, size_hw: Size) -> Patch:
    x, y, width, height = _of_pixels(value, size_hw, "x", "y", "width", "height")
    ring = shapes.box_ring((x, y), (x + width, y + height))
    turn = value["rotation"].number(absent=0)
    return shapes.polygon([shapes.rotated(ring, (x, y), turn)], size_hw)


def _ellipse(value: Entry, size_hw: Size) -> Patch:
    x, y, radius_x, radius_y = _of_pixels(value, size_hw, "x", "y", "radiusX", "radiusY")
    turn = value["rotation"].number(absent=0)
    return shapes.ellipse((x, y), (radius_x, radius_y), size_hw, turn)


def _brush(value: Entry, size_hw: Size) -> Patch:
    height, width = size_hw
    rle = value["rle"]
    if not isinstance(rle.value, list) or not all(
        isinstance(n, int) and 0 <= n < 256 for n in rle.value
    ):
        raise rle.fault("a list of bytes")
    flat = brush_values(bytes(rle.value), 4 * checked_size(height, width, rle)[0] * width)
    return shapes.Patch(0, 0, flat.reshape(height, width, 4)[..., 3] > 0)


def brush_values(data: bytes, expected: int) -> npt.NDArray[np.uint8]:
    """The (expected,) uint8 values that Label Studio's brush packs, RGBA pixel by pixel.

    32 bits: how many; 5: the bits of a value, less 1; 4 x 4: the bits of a length, less 1, by kind.
    Then runs: 1 bit whether one value is repeated, 2 which kind of length, the length less 1, and
    the value or the values. Raises ShapeError for another number of values, or fewer bits.
    """
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise ShapeError("a brush mask that is cut off")
        place += count
        return int(bits[place - count : place], 2)

    total, width = read(32), read(5) + 1
    if total != expected or width > 8:
        raise ShapeError(f"a brush mask of {total} values, expected {expected} of 8 bits")
    sizes = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    start = 0
    while start < total:
        is_repeated = read(1)
        end = start + 1 + read(sizes[read(2)])
        if end > total:
            raise ShapeError("a brush mask with a run beyond its end")
        if is_repeated:
            values[start:end] = read(width)
        else:
            values[start:end] = [read(width) for _ in range(end - start)]
        start = end
    return values


_DRAW = {"polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse, "brush": _brush}

FORMAT = Format(
    lambda root: bool(_files(root)),
    find,
    ("NAME.json, Label Studio's JSON or JSON_MIN export, with the images in the folder or below",),
)
