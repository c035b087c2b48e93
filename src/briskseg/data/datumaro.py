"""Datumaro: `annotations/SUBSET.json`, with the images in `images/SUBSET/` or `images/`.

Polygons, boxes, ellipses, masks, and polylines of `LINE_WIDTH` pixels; labels, points, captions and
cuboids are left out. The shape of the higher `z_order` lies on top, of two with the same the later
one; `is_crowd` is ignored. Subsets named as splits are splits.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from briskseg.core.images import image_size
from briskseg.data import shapes
from briskseg.data.annotations import Entry, ImageIndex, checked_size, drawn, of_tool, read_json
from briskseg.data.coco import run_lengths
from briskseg.data.dataset import Format, Found, Pair
from briskseg.data.shape_dataset import (
    Drawing,
    PairList,
    ShapeDataset,
    classes_of,
    refuse_class_set,
    split_of,
)
from briskseg.data.shapes import LINE_WIDTH, Patch, Size

_ASKED = 50  # files, to see whether they are Datumaro's


class DatumaroDataset(ShapeDataset):
    """Images of Datumaro files. content: the item and the labels' names."""

    def drawing(self, pair: Pair) -> Drawing:
        """The shapes of the pair's item, the lowest first."""
        item: Entry
        item, names = self.content[pair.image]
        size_hw = _size(item) or image_size(pair.image)
        found = []
        left_out: Counter[str] = Counter()
        for shape in item["annotations"].entries():
            kind = shape["type"].text()
            if kind not in _DRAW:
                left_out[kind] += 1
                continue
            number, level = shape["label_id"], shape["z_order"]
            if number.value is None or not 0 <= number.integer() < len(names):
                raise number.fault(f"the number of a label, 0..{len(names) - 1}")
            patch = drawn(shape, _DRAW[kind], shape, size_hw)
            attributes = shape["attributes"].value
            is_crowd = isinstance(attributes, dict) and bool(attributes.get("is_crowd"))
            name = None if is_crowd else names[number.integer()]
            found.append((0.0 if level.value is None else level.number(), name, patch))
        found.sort(key=lambda each: each[0])
        return Drawing(size_hw, [(name, patch) for _, name, patch in found], left_out)


def recognizes(root: Path) -> bool:
    """Whether there is a Datumaro file in `annotations`."""
    return bool(_files(root))


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the items of every subset."""
    refuse_class_set(root, classes, "annotations/*.json")
    images, pairs = ImageIndex(root), PairList(root, seed)
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
            image = images.find(name, bases) or _by_id(images, item, bases)
            if image is None:
                pairs.missing_image(split_of(path.stem), name, path)
            else:
                pairs.add(split_of(path.stem), image, path, (item, names), shared=True)
    found = classes_of(root, all_names)
    dataset = DatumaroDataset(
        "datumaro", root, found.labels, pairs.splits(), found, pairs.content, lists=tuple(files)
    )
    return pairs.found(dataset, images)


def _files(root: Path) -> list[Path]:
    return of_tool(sorted((root / "annotations").glob("*.json"))[:_ASKED], _is_datumaro)


def _is_datumaro(text: str) -> bool:
    return '"items"' in text and '"categories"' in text and '"label"' in text


def _by_id(images: ImageIndex, item: Entry, bases: tuple[str, ...]) -> Path | None:
    number = item["id"].text()
    suffixes = (".jpg", ".png", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
    names = (f"{number}{suffix}" for suffix in suffixes)
    return next((image for name in names if (image := images.find(name, bases))), None)


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
    return shapes.Patch(0, 0, run_lengths(shape["rle"], size_hw))


_DRAW = {
    "polygon": _polygon,
    "bbox": _box,
    "ellipse": _ellipse,
    "polyline": _polyline,
    "mask": _mask,
}

FORMAT = Format(
    recognizes,
    find,
    ("annotations/SUBSET.json of Datumaro with images/SUBSET/NAME.ext or images/NAME.ext",),
)
