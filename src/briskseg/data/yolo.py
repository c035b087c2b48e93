"""YOLO segmentation, as Ultralytics reads it: a text file an image, a polygon a row.

`data.yaml` lists `names` and, by split, folders of images or .txt lists of them; the labels of
`images/train/a.jpg` are in `labels/train/a.txt`. A row is `class x y x y ...`, coordinates from 0
to 1. The smaller polygon lies over the larger, as in Ultralytics' own masks. An image without a
label file, or with an empty one, is all background.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.limits import MAX_LIST_BYTES, read_text
from briskseg.core.files.safe_names import printable
from briskseg.core.files.yaml_text import YamlError, parse_yaml
from briskseg.core.images import image_size
from briskseg.core.labels.class_list import read_class_list
from briskseg.data import shapes
from briskseg.data.annotations import Entry, files_below, has_masks
from briskseg.data.dataset import Format, Found, Pair, Unmatched, refuse_class_set
from briskseg.data.masks.layout import split_of
from briskseg.data.shape_dataset import Drawing, PairList, classes_of
from briskseg.data.shapes import Patch, Size

_SPLIT_KEYS = ("train", "val", "valid", "test")
_ASKED = 100  # label files of a split and rows of each, to see whether all are boxes
_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")  # without data.yaml
_TOLERANCE = 0.01  # of an image's side, that a point may lie outside it
_PIXELS = 2  # from here on, coordinates are no shares of an image's side


def recognizes(root: Path) -> bool:
    """Whether the folder has a data.yaml with names and splits, or images and labels with .txt."""
    if has_masks(root):
        return False
    if any(_is_yolo(path) for path in _yaml_files(root)):
        return True
    labels = files_below(root / "labels", {".txt"})
    return (root / "images").is_dir() and next(labels, None) is not None


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs: those that data.yaml lists, or else the images in folders named `images`."""
    refuse_class_set(root, classes, "data.yaml")
    pairs = PairList(root, seed)
    described = next(filter(_is_yolo, _yaml_files(root)), None)
    to_ignore: set[str] = set()
    lists: list[Path] = []
    if described is None:
        described = next((root / p for p in _LISTS if (root / p).is_file()), None)
        if described is None:
            raise RequestError(
                f"{root}: labels as YOLO's are there, but no data.yaml or classes.txt names the "
                "classes; write classes.txt: a class name a line, in the order of the numbers"
            )
        listed = read_class_list(described)
        names = {e.value or 0: e.name for e in (*listed.lines, *listed.ignored_lines)}
        to_ignore = {entry.name for entry in listed.ignored_lines}
        every = pairs.images.by_path.items()
        splits = {"": [path for place, path in every if "images" in place.split("/")[:-1]]}
    else:
        content = _yaml(described)
        names = _names(content, described)
        splits = dict(_splits(content, described, pairs, lists))
    for split, paths in splits.items():
        for image in paths:
            place = image.relative_to(root).as_posix()
            pairs.add(split_of(split or place), image, root / _label_place(place))
    found = classes_of(root, (names[n] for n in sorted(names)), to_ignore=to_ignore)
    draw = partial(_drawing, names)
    dataset, twice = pairs.dataset("yolo", found, draw, [described, *lists], absent_is_empty=True)
    _refuse_boxes(root, dataset.splits)
    labels = {pair.label for some in dataset.splits.values() for pair in some}
    missing = (
        Unmatched("label without image", split_of(pairs.folder_of(path)) or "all", path)
        for path in _label_files(root)
        if path not in labels
    )
    return dataset, (*twice, *missing)


def _drawing(names: dict[int, str], pair: Pair, _: None) -> Drawing:
    """The polygons of the pair's text file, the largest first."""
    drawing = Drawing(image_size(pair.image))
    for number, points in _rows(pair.label, names):
        drawing.add(names[number], points, _polygon)
    return drawing.smaller_on_top()


def _polygon(points: Entry, size_hw: Size) -> Patch:
    return shapes.polygon([points.value * (size_hw[1], size_hw[0])], size_hw)


def _yaml_files(root: Path) -> list[Path]:
    named = [root / "data.yaml", *sorted(root.glob("*.yaml")), *sorted(root.glob("*.yml"))]
    return [path for path in dict.fromkeys(named) if path.is_file()]


def _is_yolo(path: Path) -> bool:
    try:
        content = _yaml(path)
    except DataError:
        return path.name == "data.yaml"
    return "names" in content and any(content.get(key) for key in _SPLIT_KEYS)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(read_text(path, MAX_LIST_BYTES, "correct the file"))
    except YamlError as error:
        raise DataError(f"{path}: {error}; correct the file") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: no keys, expected names, train and val; correct the file")
    return content


def _names(content: dict[str, Any], path: Path) -> dict[int, str]:
    stated = content.get("names")
    names = dict(enumerate(stated)) if isinstance(stated, list) else stated
    if not isinstance(names, dict) or not names:
        raise DataError(f"{path}: no list of class names under `names`; write one")
    for number, name in names.items():
        if not isinstance(number, int) or not isinstance(name, str | int | float):
            raise DataError(
                f"{path}: names: {printable(repr(number)[:40])}: {printable(repr(name)[:40])} is "
                "no number with a name, as in `0: road`; correct the line"
            )
    return {number: str(name) for number, name in names.items()}


def _splits(
    content: dict[str, Any], path: Path, pairs: PairList, read: list[Path]
) -> Iterator[tuple[str, list[Path]]]:
    """The images of each split that data.yaml names; the lists it names are added to `read`."""
    base = str(content.get("path") or "")
    for key in _SPLIT_KEYS:
        stated = content.get(key)
        places = stated if isinstance(stated, list) else [stated] if stated else []
        found = [image for place in places for image in _listed(str(place), base, pairs, read)]
        if places and not found and key != "test":  # which Roboflow names though it wrote none
            raise DataError(
                f"{path}: {key}: {printable(str(stated)[:100])} leads to no image in {pairs.root}; "
                "correct the line, with folders relative to that of the file"
            )
        if found:
            yield key, found


def _listed(place: str, base: str, pairs: PairList, read: list[Path]) -> list[Path]:
    """The images in a folder, or in a list of paths. A folder that lies elsewhere on the machine
    that wrote the file is looked for in the root, as Ultralytics does for "../train/images"."""
    root, images = pairs.root, pairs.images
    parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        inside = "/".join(parts[start:])
        for below in dict.fromkeys((posixpath.join(base, inside), inside)):
            below = posixpath.normpath(below)
            if below.endswith(".txt") and not below.startswith("..") and (root / below).is_file():
                read.append(root / below)
                return _of_list(root / below, pairs, (posixpath.dirname(below), "", base))
            some = [p for name, p in images.by_path.items() if name.startswith(f"{below}/")]
            if some:
                return some
    return []


def _of_list(path: Path, pairs: PairList, bases: tuple[str, ...]) -> list[Path]:
    found = []
    for line in _lines(path):
        image = pairs.images.find(line.strip(), bases)
        if image is None:
            raise DataError(
                f"{path}: '{printable(line.strip()[:100])}' is no image in {pairs.root}; remove "
                "the line, or restore the image"
            )
        found.append(image)
    return found


def _label_place(place: str) -> str:
    """Where the labels of an image are: the last folder `images` is `labels`."""
    place = re.sub(r"(.*/|^)images/", r"\1labels/", place, count=1)
    return posixpath.splitext(place)[0] + ".txt"


def _label_files(root: Path) -> Iterator[Path]:
    for path in files_below(root, {".txt"}):
        inside = path.relative_to(root).parts[:-1]
        if "labels" in inside and path.name != "classes.txt":
            yield path


def _refuse_boxes(root: Path, splits: Mapping[str, tuple[Pair, ...]]) -> None:
    """Raise DataError where the first label files hold boxes only."""
    lengths = {
        len(line.split())
        for some in splits.values()
        for pair in some[:_ASKED]
        for line in islice(_lines(pair.label), _ASKED)
    }
    if lengths == {5}:
        raise DataError(
            f"{root}: every row of the label files is `class x y width height`, a box: these are "
            "labels of detection, and segmentation needs `class x y x y ...`, the outline; label "
            "outlines, or export the data as segmentation"
        )


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []  # an image without labels
    return [line for line in read_text(path, MAX_LIST_BYTES).splitlines() if line.strip()]


def _cure_of(points: np.ndarray) -> str:
    """What to do with coordinates outside 0 to 1: dividing those of an outline that only leaves the
    image would make a speck of it."""
    if (np.abs(points) < _PIXELS).all():
        return "the outline leaves the image: limit them to 0 and 1"
    return "divide them by the image's size"


def _rows(path: Path, names: dict[int, str]) -> Iterator[tuple[int, Entry]]:
    """The class and the outline of every row, (n, 2) in shares of the image."""
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}, row {number}"
        try:
            kind, *values = map(float, line.split())
        except ValueError:
            raise DataError(f"{where}: '{printable(line[:60])}' is no row of numbers") from None
        if len(values) == 4:
            raise DataError(
                f"{where}: is `class x y width height`, a box, among outlines; draw the outline"
            )
        if len(values) < 6 or len(values) % 2:
            raise DataError(
                f"{where}: {len(values)} numbers after the class, expected x and y of 3 points or "
                "more"
            )
        if kind not in names:
            raise DataError(f"{where}: the class {kind:g} has no name; expected {[*names]}"[:300])
        points = np.array(values).reshape(-1, 2)
        if not ((points > -_TOLERANCE) & (points < 1 + _TOLERANCE)).all():
            raise DataError(f"{where}: coordinates outside 0 to 1; {_cure_of(points)}")
        yield int(kind), Entry(points, where)


FORMAT = Format(
    recognizes,
    find,
    ("data.yaml (names, train, val) with images/.../NAME.ext and YOLO's labels/.../NAME.txt",),
)
