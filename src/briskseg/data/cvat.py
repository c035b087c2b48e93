"""CVAT for images 1.1: annotations.xml, with the images in `images/` or anywhere below.

Polygons, boxes, ellipses, masks, and polylines of `LINE_WIDTH` pixels; points, cuboids, skeletons
and tags are left out. The shape of the higher `z_order` lies on top, of two with the same the later
one. Classes and their colors are the labels of the task or project; subsets are splits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from briskseg.core.files.safe_names import printable
from briskseg.core.images import image_size
from briskseg.core.labels import RGB
from briskseg.data import shapes
from briskseg.data.annotations import (
    Entry,
    ImageIndex,
    annotation_files,
    checked_size,
    drawn,
    of_tool,
    parsed,
)
from briskseg.data.dataset import Format, Found, Pair
from briskseg.data.shape_dataset import (
    Drawing,
    PairList,
    ShapeDataset,
    classes_of,
    refuse_class_set,
    split_of,
)
from briskseg.data.shapes import LINE_WIDTH, Patch, Points, Size

_DEEPEST = 20  # elements within elements
_NO_AREAS = {"points", "cuboid", "skeleton", "tag"}


@dataclass(frozen=True)
class Element:
    """An XML element: its attributes, the elements in it, its text, and its line in the file."""

    tag: str
    attributes: dict[str, str]
    line: int
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

    def entry(self, path: Path, key: str) -> Entry:
        """An attribute, None where there is none."""
        where = f"{path}, line {self.line}: {key} of <{printable(self.tag[:40])}>"
        return Entry(self.attributes.get(key), where)


def read_xml(path: Path) -> Element:
    """The outermost element of an XML file. A file with a document type, which could define
    entities, is refused. Raises DataError as `read_json`."""
    element: Element = parsed(path, _element)
    return element


def _element(data: bytes) -> Element:
    from xml.parsers import expat

    parser = expat.ParserCreate()
    open_elements = [Element("", {}, 0)]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > _DEEPEST:
            raise ValueError("elements within elements without end")
        element = Element(tag, attributes, parser.CurrentLineNumber)
        open_elements[-1].inner.append(element)
        open_elements.append(element)

    def refuse(*_: Any) -> None:
        raise ValueError("a document type, which annotations have not")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.CharacterDataHandler = lambda text: open_elements[-1].pieces.append(text)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from None
    return open_elements[0].inner[0]


class CvatDataset(ShapeDataset):
    """Images of one annotations.xml. content: the <image> element."""

    def drawing(self, pair: Pair) -> Drawing:
        """The shapes of the pair's image, the lowest first."""
        element: Element = self.content[pair.image]
        size_hw = _size(element, pair)
        found = []
        left_out: Counter[str] = Counter()
        for shape in element.inner:
            if shape.tag in _NO_AREAS:
                left_out[shape.tag] += 1
            elif shape.tag in _DRAW:
                level = shape.entry(pair.label, "z_order")
                patch = drawn(level, _DRAW[shape.tag], shape, pair.label, size_hw)
                height = 0.0 if level.value is None else level.number()
                found.append((height, shape.entry(pair.label, "label").text(), patch))
        found.sort(key=lambda item: item[0])
        return Drawing(size_hw, [(name, patch) for _, name, patch in found], left_out)


def recognizes(root: Path) -> bool:
    """Whether there is an XML file of CVAT's in the folder."""
    return bool(_files(root))


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of every annotations.xml in the folder."""
    refuse_class_set(root, classes, "annotations.xml")
    images, pairs = ImageIndex(root), PairList(root, seed)
    names: dict[str, RGB] = {}
    files = _files(root)
    for path in files:
        content = read_xml(path)
        names |= _labels(content, path)
        folder = path.parent.relative_to(root).as_posix()
        for element in content.every("image"):
            subset = element.attributes.get("subset", "")
            name = element.entry(path, "name").text()
            bases = [f"{folder}/images/{subset}", f"{folder}/images", folder]
            image = images.find(name, bases)
            split = split_of(subset) or split_of(folder)
            if image is None:
                pairs.missing_image(split, name, path)
            else:
                pairs.add(split, image, path, element, shared=True)
    found = classes_of(root, names, names)
    dataset = CvatDataset(
        "cvat", root, found.labels, pairs.splits(), found, pairs.content, lists=tuple(files)
    )
    return pairs.found(dataset, images)


def _files(root: Path) -> list[Path]:
    return of_tool(annotation_files(root, ".xml"), _is_cvat) or [
        path for path in (root / "annotations.xml",) if path.is_file() and not path.stat().st_size
    ]


def _is_cvat(text: str) -> bool:
    return "<annotations" in text and ("<image " in text or "<meta" in text)


def _labels(content: Element, path: Path) -> dict[str, RGB]:
    """The labels that the task or project has, with their colors."""
    found: dict[str, RGB] = {}
    for label in content.every("label"):
        texts = {inner.tag: inner.text for inner in label.inner}
        if "name" in texts and "parent" not in texts:  # a skeleton's points have a parent
            digits = re.fullmatch(r"#([0-9a-fA-F]{6})", texts.get("color", ""))
            red, green, blue = bytes.fromhex(digits[1]) if digits else (0, 0, 0)
            found[texts["name"]] = (red, green, blue)
    if not found:  # an export without its task's description
        shapes_of = (shape for image in content.every("image") for shape in image.inner)
        names = {s.entry(path, "label").text() for s in shapes_of if s.tag in _DRAW}
        found = dict.fromkeys(sorted(names), (0, 0, 0))
    return found


def _size(element: Element, pair: Pair) -> Size:
    height, width = (element.entry(pair.label, key) for key in ("height", "width"))
    if height.value is None or width.value is None:
        return image_size(pair.image)
    return checked_size(int(height.number()), int(width.number()), width)


def _points(shape: Element, path: Path) -> Points:
    entry = shape.entry(path, "points")
    numbers: list[Any] = re.split(r"[,;]", entry.text())
    return Entry([Entry(n, entry.where).number() for n in numbers], entry.where).points()


def _numbers(shape: Element, path: Path, *keys: str) -> list[float]:
    return [shape.entry(path, key).number() for key in keys]


def _turn(shape: Element, path: Path) -> float:
    turn = shape.entry(path, "rotation")
    return 0.0 if turn.value is None else turn.number()


def _polygon(shape: Element, path: Path, size_hw: Size) -> Patch:
    return shapes.polygon([_points(shape, path)], size_hw)


def _box(shape: Element, path: Path, size_hw: Size) -> Patch:
    x0, y0, x1, y1 = _numbers(shape, path, "xtl", "ytl", "xbr", "ybr")
    ring = shapes.box_ring((x0, y0), (x1, y1))
    ring = shapes.rotated(ring, ((x0 + x1) / 2, (y0 + y1) / 2), _turn(shape, path))
    return shapes.polygon([ring], size_hw)


def _ellipse(shape: Element, path: Path, size_hw: Size) -> Patch:
    x, y, radius_x, radius_y = _numbers(shape, path, "cx", "cy", "rx", "ry")
    return shapes.ellipse((x, y), (radius_x, radius_y), size_hw, _turn(shape, path))


def _polyline(shape: Element, path: Path, size_hw: Size) -> Patch:
    return shapes.stroke(_points(shape, path), LINE_WIDTH, size_hw)


def _mask(shape: Element, path: Path, size_hw: Size) -> Patch:
    """Run lengths along the rows of the mask's own box, the first of them outside."""
    left, top, width, height = map(int, _numbers(shape, path, "left", "top", "width", "height"))
    entry = shape.entry(path, "rle")
    box_hw = checked_size(height, width, entry)
    counts = [int(n) for n in re.findall(r"\d{1,10}", entry.text())]
    return shapes.bitmap(shapes.runs(counts, box_hw, by_column=False), (left, top), size_hw)


_DRAW = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "polyline": _polyline,
    "mask": _mask,
}

FORMAT = Format(
    recognizes,
    find,
    ("annotations.xml of CVAT for images 1.1, with images/NAME.ext or images/SUBSET/NAME.ext",),
)
