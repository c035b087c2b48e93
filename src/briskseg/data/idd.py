"""IDD as downloaded: `leftImg8bit/SPLIT/DRIVE/*_leftImg8bit.*` with polygons in
`gtFine/SPLIT/DRIVE/*_gtFine_polygons.json`, drawn as the 26 classes of level 3.

A later polygon lies over an earlier one, deleted ones are left out, and what is in none is ignored.
They are filled as IDD's own script does it with Pillow, so that the labels are those of its
`createLabels.py --id-type level3Id`; where its files lie beside the polygons, these are read.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from briskseg.core.images import image_size
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.class_list import parse_class_list
from briskseg.data.annotations import ASKED, Entry, files_below, peek, read_json
from briskseg.data.dataset import Format, Pair
from briskseg.data.masks.finder import find
from briskseg.data.masks.layout import Classes, Layout
from briskseg.data.masks.published_classes import IDD, IDD_IGNORED, IDD_MERGED
from briskseg.data.shape_dataset import Drawing, ShapeClasses, ShapeDataset
from briskseg.data.shapes import NOTHING, Patch, Size

# Names that Cityscapes, whose tree is the same, does not have; few frames of IDD are without.
_ITS_OWN = ('"drivable fallback"', '"obs-str-bar-fallback"', '"autorickshaw"', '"billboard"')
_LABELS = LabelSet.from_class_list(parse_class_list(IDD, Path("IDD")))
_INDEX = {name: i for i, name in enumerate(_LABELS.names)}
_INDEX |= {name: _INDEX[level_3] for name, level_3 in IDD_MERGED.items()}
_INDEX |= dict.fromkeys(IDD_IGNORED, IGNORED)


def recognizes(root: Path) -> bool:
    """Whether the folder has IDD's polygons."""
    if not ((root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()):
        return False
    files = (p for p in files_below(root / "gtFine", {".json"}) if p.stem.endswith("_polygons"))
    return any(any(name in seen for name in _ITS_OWN) for seen in map(peek, islice(files, ASKED)))


def _classes(root: Path) -> Classes:
    shapes = ShapeClasses(_LABELS, _INDEX, IGNORED)
    return Classes(_LABELS, form=partial(ShapeDataset, classes=shapes, draw=_drawing))


def _drawing(pair: Pair, _: None) -> Drawing:
    """The polygons of the pair's JSON file."""
    content = read_json(pair.label)
    drawing = Drawing(content.size("imgHeight", "imgWidth") or image_size(pair.image))
    for shape in content["objects"].entries():
        if not shape["deleted"].value:
            name = shape["label"].text()
            drawing.add(name if name in _INDEX else name.removesuffix("group"), shape, _polygon)
    return drawing


def _polygon(shape: Entry, size_hw: Size) -> Patch:
    """The pixels that Pillow fills, those under the outline among them."""
    points = shape["polygon"].points()
    if len(points) < 2:
        return NOTHING
    height, width = size_hw
    drawn = Image.new("L", (width, height))
    ImageDraw.Draw(drawn).polygon([(x, y) for x, y in points.tolist()], fill=1)
    box = drawn.getbbox()
    return Patch(box[1], box[0], np.asarray(drawn.crop(box)) > 0) if box else NOTHING


_LAYOUT = Layout(
    name="idd-polygons",
    images="leftImg8bit/{split}/{name}[_(leftImg8bit|image)]",
    labels="gtFine/{split}/{name}_gtFine_polygons",
    label_suffixes=frozenset({".json"}),
    beside=("gtFine/{split}/{name}",),  # labels made of the polygons
    classes=_classes,
    classes_of="IDD",
    class_set="idd",
    unlabeled_images=True,  # of test
    text="leftImg8bit/SPLIT/DRIVE/*_leftImg8bit.* with gtFine/*_gtFine_polygons.json (IDD)",
)
FORMAT = Format(recognizes, partial(find, _LAYOUT), (_LAYOUT.text,))
