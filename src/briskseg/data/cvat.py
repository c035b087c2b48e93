"""CVAT for images 1.1: annotations.xml, with the images in `images/` or anywhere below.

Polygons, boxes, ellipses, masks, and polylines of `LINE_WIDTH` pixels; points, cuboids, skeletons
and tags are left out. The shape of the higher `z_order` lies on top, of two with the same the later
one. Classes and their colors are the labels of the task or project; subsets are splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from briskseg.core.errors import DataError
from briskseg.core.files.safe_names import printable
from briskseg.core.images import image_size
from briskseg.core.labels.class_lines import hex_color
from briskseg.core.types import RGB
from briskseg.data import shapes
from briskseg.data.annotations import Entry, checked_size, files_below, of_tool, parsed
from briskseg.data.dataset import Format, Found, Pair, refuse_class_set
from briskseg.data.masks.layout import split_of
from briskseg.data.shape_dataset import Drawing, PairList, classes_of
from briskseg.data.shapes import LINE_WIDTH, Patch, Points, Size

_DEEPEST = 20  # elements within elements
_NO_AREAS = {"points", "cuboid", "skeleton", "tag"}


@dataclass(frozen=True)
class Element:
    """An XML element: its attributes, the elements in it, its text, and where it stands."""

    tag: str
    attributes: dict[str, str]
    where: str
    inner: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text directly in it."""
        return "".join(self.pieces).strip()

    def every(self, tag: str) -> Iterator[Element]:
        """The elements of this tag in it, however deep."""
        for element in self.inner:
            if element.tag == tag:
                yield element
            yield from element.every(tag)

    def __getitem__(self, key: str) -> Entry:
        """An attribute; None where there is none."""
        file, _, tag = self.where.rpartition(": ")
        return Entry(self.attributes.get(key), f"{file}: {key} of {tag}")

    def numbers(self, *keys: str) -> list[float]:
        """Attributes that are numbers."""
        return [self[key].number() for key in keys]


def _read_xml(path: Path) -> Element:
    """The outermost element of an XML file. A file with a document type, which could define
    entities, is refused. Raises DataError as `read_json`."""
    from xml.parsers import expat

    parser = expat.ParserCreate()
    open_elements = [Element("", {}, str(path))]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > _DEEPEST:
            raise ValueError("elements within elements without end")
        where = f"{path}, line {parser.CurrentLineNumber}: <{printable(tag[:40])}>"
        element = Element(tag, attributes, where)
        open_elements[-1].inner.append(element)
        open_elements.append(element)

    def refuse(*_: Any) -> None:
        raise ValueError("a document type, which annotations have not")

    def parse(data: bytes) -> Element:
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise ValueError(str(error)) from None
        return open_elements[0].inner[0]

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.CharacterDataHandler = lambda text: open_elements[-1].pieces.append(text)
    parser.StartDoctypeDeclHandler = refuse
    element: Element = parsed(path, parse)
    return element


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of every annotations.xml in the folder."""
    refuse_class_set(root, classes, "annotations.xml")
    pairs = PairList(root, seed, is_shared=True)
    colors: dict[str, RGB | None] = {}
    files = _files(root)
    for path in files:
        content = _read_xml(path)
        if next(content.every("track"), None):
            raise DataError(
                f"{path}: is of CVAT for video (it has a <track>), whose frames are no files; "
                "export the task as CVAT for images"
            )
        colors |= _labels(content)
        folder = pairs.folder_of(path)
        for element in content.every("image"):
            subset, name = element.attributes.get("subset", ""), element["name"].text()
            bases = [f"{folder}/images/{subset}", f"{folder}/images", folder]
            image = pairs.images.find(name, bases)
            pairs.add(split_of(subset, folder), image, path, element, name)
    return pairs.dataset("cvat", classes_of(root, colors, colors), _drawing, files)


def _drawing(pair: Pair, image: Element) -> Drawing:
    """The shapes of an <image>, the lowest first."""
    drawing = Drawing(_size(image, pair))
    drawing.left_out.update(shape.tag for shape in image.inner if shape.tag in _NO_AREAS)
    areas = [shape for shape in image.inner if shape.tag in _DRAW]
    for shape in sorted(areas, key=lambda shape: shape["z_order"].number(absent=0)):
        drawing.add(shape["label"].text(), shape, _DRAW[shape.tag])
    return drawing


def _files(root: Path) -> list[Path]:
    return of_tool([*files_below(root, {".xml"})], _is_cvat) or [
        path for path in (root / "annotations.xml",) if path.is_file() and not path.stat().st_size
    ]


def _is_cvat(text: str) -> bool:
    return "<annotations" in text and ("<image " in text or "<meta" in text)


def _labels(content: Element) -> dict[str, RGB | None]:
    """The labels that the task or project has, with their colors."""
    found: dict[str, RGB | None] = {}
    for label in content.every("label"):
        texts = {inner.tag: inner.text for inner in label.inner}
        if "name" in texts and "parent" not in texts:  # a skeleton's points have a parent
            found[texts["name"]] = hex_color(texts.get("color"))
    if not found:  # an export without its task's description
        shapes_of = (shape for image in content.every("image") for shape in image.inner)
        found = dict.fromkeys(sorted({s["label"].text() for s in shapes_of if s.tag in _DRAW}))
    return found


def _size(image: Element, pair: Pair) -> Size:
    height, width = image["height"], image["width"]
    if height.value is None or width.value is None:
        return image_size(pair.image)
    return checked_size(int(height.number()), int(width.number()), width)


def _points(shape: Element) -> Points:
    entry = shape["points"]
    numbers = re.split(r"[,;]", entry.text())
    return Entry([Entry(n, entry.where).number() for n in numbers], entry.where).points()


def _polygon(shape: Element, size_hw: Size) -> Patch:
    return shapes.polygon([_points(shape)], size_hw)


def _box(shape: Element, size_hw: Size) -> Patch:
    x0, y0, x1, y1 = shape.numbers("xtl", "ytl", "xbr", "ybr")
    ring, middle = shapes.box_ring((x0, y0), (x1, y1)), ((x0 + x1) / 2, (y0 + y1) / 2)
    turn = shape["rotation"].number(absent=0)
    return shapes.polygon([shapes.rotated(ring, middle, turn)], size_hw)


def _ellipse(shape: Element, size_hw: Size) -> Patch:
    x, y, radius_x, radius_y = shape.numbers("cx", "cy", "rx", "ry")
    turn = shape["rotation"].number(absent=0)
    return shapes.ellipse((x, y), (radius_x, radius_y), size_hw, turn)


def _polyline(shape: Element, size_hw: Size) -> Patch:
    return shapes.stroke(_points(shape), LINE_WIDTH, size_hw)


def _mask(shape: Element, size_hw: Size) -> Patch:
    """Run lengths along the rows of the mask's own box, the first of them outside."""
    left, top, width, height = map(int, shape.numbers("left", "top", "width", "height"))
    entry = shape["rle"]
    counts = Entry(entry.text().split(","), entry.where).counts()
    mask_hw = shapes.runs(counts, checked_size(height, width, entry), by_column=False)
    return shapes.bitmap(mask_hw, (left, top), size_hw)


_DRAW = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "polyline": _polyline,
    "mask": _mask,
}

FORMAT = Format(
    lambda root: bool(_files(root)),
    find,
    ("annotations.xml of CVAT for images 1.1, with images/NAME.ext or images/SUBSET/NAME.ext",),
)
