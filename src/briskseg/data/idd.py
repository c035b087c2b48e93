"""IDD as downloaded: `leftImg8bit/SPLIT/DRIVE/*_leftImg8bit.*` with polygons in
`gtFine/SPLIT/DRIVE/*_gtFine_polygons.json`, drawn as the 26 classes of level 3.

A later polygon lies over an earlier one, deleted ones are left out, and what is in none is ignored.
They are filled as IDD's own script does it with Pillow, so that the labels are those of its
`createLabels.py --id-type level3Id`; where its files lie beside the polygons, these are read.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from briskseg.core.images import IMAGE_SUFFIXES, image_size
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.class_list import parse_class_list
from briskseg.data.annotations import ASKED, Entry, files_below, peek, read_json
from briskseg.data.dataset import Format, Found, Pair, Unmatched, refuse_class_set
from briskseg.data.masks.layout import SPLITS, split_of
from briskseg.data.masks.published_classes import IDD, IDD_IGNORED, IDD_MERGED
from briskseg.data.matching import composed, match
from briskseg.data.shape_dataset import Drawing, ShapeClasses, ShapeDataset
from briskseg.data.shapes import NOTHING, Patch, Size

IMAGES, TRUTH = "leftImg8bit", "gtFine"
_ENDINGS = ("_leftImg8bit", "_image")
_POLYGONS = "_gtFine_polygons"
# Names that Cityscapes, whose tree is the same, does not have; few frames of IDD are without.
_ITS_OWN = ('"drivable fallback"', '"obs-str-bar-fallback"', '"autorickshaw"', '"billboard"')
_LISTED = parse_class_list(IDD, Path("IDD"))


def recognizes(root: Path) -> bool:
    """Whether the folder has IDD's polygons."""
    if not (root / IMAGES).is_dir():
        return False
    some = islice(_polygons(root / TRUTH), ASKED)
    return any(any(name in seen for name in _ITS_OWN) for seen in map(peek, some))


def find(root: Path, classes: str | None, seed: int) -> Found:
    """Find the pairs of every split that has polygons; the splits are the data's."""
    refuse_class_set(root, classes, "IDD", "idd")
    images, labels = dict[str, dict[str, list[Path]]](), dict[str, dict[str, list[Path]]]()
    for path in files_below(root / IMAGES, IMAGE_SUFFIXES):
        ending = next((ending for ending in _ENDINGS if path.stem.endswith(ending)), "")
        _sort(images, path.relative_to(root / IMAGES), path, ending)
    for path in _polygons(root / TRUTH):
        _sort(labels, path.relative_to(root / TRUTH), path, _POLYGONS)
    splits, unmatched, beside = dict[str, tuple[Pair, ...]](), list[Unmatched](), list[Path]()
    for split in SPLITS:
        if split in labels:
            splits[split], left_over = match(split, images.get(split, {}), labels[split])
            unmatched += left_over
        else:  # of test the images alone are published
            beside += [path for paths in images.get(split, {}).values() for path in paths]
    beside += files_below(root / TRUTH, IMAGE_SUFFIXES)
    order = LabelSet.from_class_list(_LISTED)
    index = {name: i for i, name in enumerate(order.names)}
    index |= {name: index[level_3] for name, level_3 in IDD_MERGED.items()}
    index |= dict.fromkeys(IDD_IGNORED, IGNORED)
    content = dict.fromkeys(pair.image for some in splits.values() for pair in some)
    how = ShapeClasses(order, index, IGNORED), _drawing, content
    found = ShapeDataset("idd-polygons", root, order, splits, *how, beside=tuple(beside))
    return found, tuple(unmatched)


def _polygons(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [p for p in files_below(folder, {".json"}) if p.stem.endswith(_POLYGONS)]


def _sort(found: dict[str, dict[str, list[Path]]], place: Path, path: Path, ending: str) -> None:
    """Put a file to those of its split, by its drive and its name without the ending."""
    if (split := split_of(place.parts[0])) is not None:
        name = place.relative_to(place.parts[0]).with_suffix("").as_posix().removesuffix(ending)
        found.setdefault(split, {}).setdefault(composed(name), []).append(path)


def _drawing(pair: Pair, _: None) -> Drawing:
    """The polygons of the pair's JSON file."""
    content = read_json(pair.label)
    drawing = Drawing(content.size("imgHeight", "imgWidth") or image_size(pair.image))
    for shape in content["objects"].entries():
        if not shape["deleted"].value:
            name = shape["label"].text()
            known = name in _LEVEL_3 or not name.endswith("group")
            drawing.add(name if known else name.removesuffix("group"), shape, _polygon)
    return drawing


_LEVEL_3 = {*(line.name for line in _LISTED.lines), *IDD_MERGED, *IDD_IGNORED}


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


FORMAT = Format(
    recognizes,
    find,
    ("leftImg8bit/SPLIT/DRIVE/*_leftImg8bit.* with gtFine/*_gtFine_polygons.json (IDD)",),
)
