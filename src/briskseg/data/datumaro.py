"""Datumaro: `annotations/SUBSET.json`, with the images in `images/SUBSET/` or `images/`.

Polygons, boxes, ellipses, masks, and polylines of `LINE_WIDTH` pixels; labels, points, captions and
cuboids are left out. The shape of the higher `z_order` lies on top, of two with the same the later
one; `is_crowd` is ignored. Subsets named as splits are splits.
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.images import image_size
from briskseg.data import shapes
from briskseg.data.annotations import Entry, checked_size, of_tool, read_json, with_suffixes
from briskseg.data.coco import run_lengths
from briskseg.data.dataset import Format, Found, Pair, refuse_class_set
from briskseg.data.masks.layout import split_of
from briskseg.data.shape_dataset import Drawing, PairList, classes_of
from briskseg.data.shapes import LINE_WIDTH, Patch, Size


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the items of every subset."""
    refuse_class_set(root, classes, "annotations/*.json")
    pairs = PairList(root, seed, is_shared=True)
    all_names: dict[str, None] = {}
    files = _files(root)
    for path in files:
        content = read_json(path)
        names = [n["name"].text() for n in content["categories"]["label"]["labels"].entries()]
        all_names |= dict.fromkeys(names)
        for item in content["items"].entries():
            stated = item["image"]["path"].value if item["image"].value else None
            name = stated if isinstance(stated, str) and stated else item["id"].text()
            bases = (f"images/{path.stem}", "images", "")
            image = pairs.images.find(name, bases)
            image = image or pairs.images.first(with_suffixes(item["id"].text()), bases)
            pairs.add(split_of(path.stem), image, path, (item, names), name)
    return pairs.dataset("datumaro", classes_of(root, all_names), _drawing, files)


def _drawing(pair: Pair, content: tuple[Entry, list[str]]) -> Drawing:
    """The shapes of an item, the lowest first; content: the item and the labels' names."""
    item, names = content
    drawing = Drawing(_size(item) or image_size(pair.image))
    areas = []
    for shape in item["annotations"].entries():
        kind = shape["type"].text()
        if kind in _DRAW:
            areas.append((shape["z_order"].number(absent=0), kind, shape))
        else:
            drawing.left_out[kind] += 1
    for _, kind, shape in sorted(areas, key=lambda area: area[0]):
        number, attributes = shape["label_id"], shape["attributes"].value
        if number.value is None or not 0 <= number.integer() < len(names):
            raise number.fault(f"the number of a label, 0..{len(names) - 1}")
        is_crowd = isinstance(attributes, dict) and bool(attributes.get("is_crowd"))
        drawing.add(names[number.integer()], shape, _DRAW[kind], is_crowd)
    return drawing


def _files(root: Path) -> list[Path]:
    return of_tool(sorted((root / "annotations").glob("*.json")), _is_datumaro)


def _is_datumaro(text: str) -> bool:
    return '"items"' in text and '"categories"' in text and '"label"' in text


def _size(item: Entry) -> Size | None:
    size = item["image"]["size"] if item["image"].value else None
    if size is None or size.value is None:
        return None
    height, width = size.numbers(2)
    return checked_size(int(height), int(width), size)


def _polygon(shape: Entry, size_hw: Size) -> Patch:
    return shapes.polygon([shape["points"].points()], size_hw)


def _box(shape: Entry, size_hw: Size) -> Patch:
    x, y, width, height = shape["bbox"].numbers(4)
    return shapes.box((x, y), (x + width, y + height), size_hw)


def _ellipse(shape: Entry, size_hw: Size) -> Patch:
    x0, y0, x1, y1 = shape["points"].numbers(4)
    radii = abs(x1 - x0) / 2, abs(y1 - y0) / 2
    return shapes.ellipse(((x0 + x1) / 2, (y0 + y1) / 2), radii, size_hw)


def _polyline(shape: Entry, size_hw: Size) -> Patch:
    return shapes.stroke(shape["points"].points(), LINE_WIDTH, size_hw)


def _mask(shape: Entry, size_hw: Size) -> Patch:
    return run_lengths(shape["rle"], size_hw)


_DRAW = {
    "polygon": _polygon,
    "bbox": _box,
    "ellipse": _ellipse,
    "polyline": _polyline,
    "mask": _mask,
}

FORMAT = Format(
    lambda root: bool(_files(root)),
    find,
    ("annotations/SUBSET.json of Datumaro with images/SUBSET/NAME.ext or images/NAME.ext",),
)
