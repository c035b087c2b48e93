"""Supervisely: meta.json, and in each data set of the project `img/NAME.ext` with
`ann/NAME.ext.json`.

Polygons with holes, bitmaps, rectangles, and lines of `LINE_WIDTH` pixels; points, graphs and
cuboids are left out. Coordinates name pixels, outlines included, as Supervisely's own drawing has
it. A later object lies over an earlier one. Data sets named train, val or test are splits.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from briskseg.core.errors import DataError
from briskseg.core.files.limits import max_pixels
from briskseg.core.images import image_size
from briskseg.core.labels.class_lines import hex_color
from briskseg.data import shapes
from briskseg.data.annotations import Entry, base64_bytes, files_below, peek, png_mask, read_json
from briskseg.data.dataset import Format, Found, Pair, refuse_class_set
from briskseg.data.masks.layout import split_of
from briskseg.data.shape_dataset import Drawing, PairList, classes_of
from briskseg.data.shapes import LINE_WIDTH, Patch, Points, Size

_NO_AREAS = {"point", "graph", "cuboid", "cuboid_2d", "keypoint"}


def recognizes(root: Path) -> bool:
    """Whether the folder is a project, with a meta.json that lists classes."""
    meta = peek(root / "meta.json")
    return '"classes"' in meta and '"title"' in meta


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of a project."""
    refuse_class_set(root, classes, "meta.json")
    pairs = PairList(root, seed)
    for path in files_below(root, {".json"}):
        place = path.parent.relative_to(root)
        if place.name == "ann":
            image = pairs.images.by_path.get((place.parent / "img" / path.stem).as_posix())
            pairs.add(split_of(place.parent.as_posix()), image, path)
    pairs.rest_is_unlabeled()
    meta = root / "meta.json"
    listed = read_json(meta)["classes"].entries()
    areas = [item for item in listed if item["shape"].value not in _NO_AREAS]
    colors = {item["title"].text(): hex_color(item["color"].value) for item in areas}
    return pairs.dataset("supervisely", classes_of(root, colors, colors), _drawing, [meta])


def _drawing(pair: Pair, _: None) -> Drawing:
    """The objects of the pair's file."""
    content = read_json(pair.label)
    stated = content["size"].size() if content["size"].value else None
    drawing = Drawing(stated or image_size(pair.image))
    for item in content["objects"].entries():
        kind = _kind(item)
        if kind in _NO_AREAS:
            drawing.left_out[kind] += 1
        else:
            drawing.add(item["classTitle"].text(), item, _DRAW.get(kind, _unknown))
    return drawing


def _kind(item: Entry) -> str:
    """What an object is; the oldest files only show it."""
    kind = item["geometryType"]
    if kind.value is not None:
        return kind.text()
    return "bitmap" if item["bitmap"].value else "polygon"


def _unknown(item: Entry, _: Size) -> Patch:
    raise item["geometryType"].fault(f"one of {', '.join(sorted({*_DRAW, *_NO_AREAS}))}")


def _exterior(item: Entry) -> Points:
    return item["points"]["exterior"].points()


def _polygon(item: Entry, size_hw: Size) -> Patch:
    holes = [hole.points() for hole in item["points"]["interior"].entries()]
    return shapes.pixel_polygon(_exterior(item), holes, size_hw)


def _rectangle(item: Entry, size_hw: Size) -> Patch:
    corners = _exterior(item).tolist()
    if len(corners) != 2:
        raise item["points"].fault("two corners")
    return shapes.pixel_polygon(shapes.box_ring(*corners), [], size_hw)


def _line(item: Entry, size_hw: Size) -> Patch:
    return shapes.stroke(_exterior(item) + 0.5, LINE_WIDTH, size_hw)


def _bitmap(item: Entry, size_hw: Size) -> Patch:
    bitmap = item["bitmap"]
    origin = bitmap["origin"].numbers(2)
    data = base64_bytes(bitmap["data"])
    try:
        if not data.startswith(b"\x89PNG"):  # which old versions did not pack
            data = zlib.decompressobj().decompress(data, 8 * max_pixels())
    except zlib.error as error:
        raise DataError(f"{bitmap.where}: data cannot be unpacked ({error})") from None
    mask = png_mask(data, bitmap["data"])
    return shapes.bitmap(mask, (int(origin[0]), int(origin[1])), size_hw)


_DRAW = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "line": _line,
    "polyline": _line,
    "bitmap": _bitmap,
}

FORMAT = Format(
    recognizes,
    find,
    ("meta.json of Supervisely with DATASET/img/NAME.ext and DATASET/ann/NAME.ext.json",),
)
