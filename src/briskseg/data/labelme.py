"""labelme, versions 3 to 6: a JSON file an image, beside it or in a folder of its own.

Polygons, rectangles (oriented ones too), circles, masks, and lines of `LINE_WIDTH` pixels; points
are left out. A later shape lies over an earlier one, as in labelme's own masks. The classes are
those of classes.txt or labels.txt in the root, else the shapes' labels in alphabetical order.
Group ids and flags say nothing about pixels. The image is `imagePath`, or the file of the JSON
file's name, or where neither is there `imageData`, the image embedded in the JSON file.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from briskseg.core.errors import DataError
from briskseg.core.files.in_memory import InMemory
from briskseg.core.images import image_size
from briskseg.data import shapes
from briskseg.data.annotations import (
    ASKED,
    Entry,
    ImageIndex,
    base64_bytes,
    files_below,
    has_masks,
    peek,
    png_mask,
    read_json,
    with_suffixes,
)
from briskseg.data.dataset import Format, Found, Pair, refuse_class_set
from briskseg.data.masks.layout import split_of
from briskseg.data.shape_dataset import Drawing, PairList, ShapeDataset, classes_of, listed_classes
from briskseg.data.shapes import LINE_WIDTH, Patch, Size

_POINTS = {"point", "points"}  # which are no areas


class Labelme(ShapeDataset):
    """A data set of labelme's, whose images may be embedded in the JSON files."""

    def image_file(self, pair: Pair) -> Path:
        """`imageData`, decoded, where the pair has no other image."""
        return _image_file(pair, read_json(pair.label)) if pair.image == pair.label else pair.image


def recognizes(root: Path) -> bool:
    """Whether the folder has JSON files of labelme's, and no masks."""
    return not has_masks(root) and any(
        map(_is_labelme, islice(files_below(root, {".json"}), ASKED))
    )


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of a folder of labelme's files; folders named as splits are splits."""
    refuse_class_set(root, classes, "classes.txt, or else of the shapes")
    pairs = PairList(root, seed)
    listed = listed_classes(root)
    names: set[str] = set()
    others = []
    for path in files_below(root, {".json"}):
        stated, damage, has_image = None, "", False
        folder = pairs.folder_of(path)
        try:
            content = read_json(path)
            if not _has_shapes(content):
                others.append((path, folder))
                continue
            stated = content.value.get("imagePath")
            has_image = bool(content.value.get("imageData"))
            if listed is None:
                names |= _names(content)
        except DataError as error:
            damage = str(error)  # which reading the labels says too, where there is an image
        image = _image(pairs.images, path, folder, stated)
        if image is None and has_image:
            image = path
        pairs.add(split_of(folder), image, path, damage=damage)
    for path, folder in others:  # an index of the files, or what was meant as an image's labels
        image = _image(pairs.images, path, folder, None)
        if image is not None and image not in pairs.content:
            pairs.add(split_of(folder), image, path)
    pairs.rest_is_unlabeled()
    classes_found = listed or classes_of(root, sorted(names))
    return pairs.dataset("labelme", classes_found, _drawing, form=Labelme)


def _drawing(pair: Pair, _: None) -> Drawing:
    """The shapes of the pair's JSON file."""
    content = read_json(pair.label)
    if not _has_shapes(content):
        raise DataError(
            f'{pair.label}: is not labelme\'s: it has no "shapes"; save it again in labelme, or '
            "remove it and label the image"
        )
    stated = content.size("imageHeight", "imageWidth")
    drawing = Drawing(stated or image_size(_image_file(pair, content)))
    for shape in content["shapes"].entries():
        kind = _kind(shape)
        if kind in _POINTS:
            drawing.left_out[kind] += 1
        else:
            drawing.add(shape["label"].text(), shape, _DRAW.get(kind, _unknown))
    return drawing


def _image_file(pair: Pair, content: Entry) -> Path:
    """The image, which may be in the JSON file."""
    if pair.image != pair.label:
        return pair.image
    return InMemory.of(pair.image, base64_bytes(content["imageData"]))


def _has_shapes(content: Entry) -> bool:
    return isinstance(content.value, dict) and "shapes" in content.value


def _names(content: Entry) -> set[str]:
    every = content["shapes"].entries()
    return {shape["label"].text() for shape in every if _kind(shape) not in _POINTS}


def _image(images: ImageIndex, path: Path, folder: str, stated: object) -> Path | None:
    """The image that the file names, or the one of the file's own name."""
    names = [stated] if isinstance(stated, str) else []
    return images.first([*names, *with_suffixes(path.stem)], (folder,))


def _is_labelme(path: Path) -> bool:
    seen = peek(path)
    return '"shapes"' in seen and ('"imagePath"' in seen or '"imageHeight"' in seen)


def _kind(shape: Entry) -> str:
    kind = shape["shape_type"]
    return "polygon" if kind.value is None else kind.text()  # which the oldest files do not say


def _unknown(shape: Entry, _: Size) -> Patch:
    raise shape["shape_type"].fault(f"one of {', '.join(sorted({*_DRAW, *_POINTS}))}")


def _polygon(shape: Entry, size_hw: Size) -> Patch:
    return shapes.polygon([shape["points"].points()], size_hw)


def _rectangle(shape: Entry, size_hw: Size) -> Patch:
    low, high = _two(shape)
    return shapes.box(low, high, size_hw)


def _circle(shape: Entry, size_hw: Size) -> Patch:
    center, on_it = _two(shape)
    radius = float(np.hypot(*np.subtract(on_it, center)))
    return shapes.ellipse(center, (radius, radius), size_hw)


def _line(shape: Entry, size_hw: Size) -> Patch:
    return shapes.stroke(shape["points"].points(), LINE_WIDTH, size_hw)


def _mask(shape: Entry, size_hw: Size) -> Patch:
    low, _ = _two(shape)
    pixels = png_mask(base64_bytes(shape["mask"]), shape["mask"])
    return shapes.bitmap(pixels, (int(low[0]), int(low[1])), size_hw)


def _two(shape: Entry) -> list[list[float]]:
    points: list[list[float]] = shape["points"].points().tolist()
    if len(points) != 2:
        raise shape["points"].fault("two points")
    return points


_DRAW = {
    "polygon": _polygon,
    "oriented_rectangle": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "line": _line,
    "linestrip": _line,
    "mask": _mask,
}

FORMAT = Format(
    recognizes,
    find,
    ("NAME.json of labelme beside NAME.ext or in a folder; folders train, val, test are splits",),
)
