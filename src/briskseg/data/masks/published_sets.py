"""Published sets, by the tree of their download and the classes of their benchmark."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from briskseg.core.errors import DataError
from briskseg.core.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS, LabelSet
from briskseg.core.labels.class_lines import ClassLine
from briskseg.core.labels.class_list import ClassList, parse_class_list, read_class_list
from briskseg.data.annotations import read_json
from briskseg.data.masks.layout import Classes, Layout
from briskseg.data.masks.published_classes import (
    ADE20K,
    IDD,
    RELLIS,
    RUGD_TEST,
    RUGD_VAL,
    WILDDASH,
)
from briskseg.data.masks.segments import SegmentDataset, panoptic_segments


def _table(text: str, root: Path) -> Classes:
    return Classes(LabelSet.from_class_list(parse_class_list(text, root)))


def _ade20k(root: Path) -> Classes:
    names = [name.strip() for name in ADE20K.split(",")]
    lines = [ClassLine(name, None, value, value) for value, name in enumerate(names, start=1)]
    return Classes(LabelSet.from_class_list(ClassList(lines, ignored=[0])))


def _listed(file: str, ignored: str, root: Path) -> Classes:
    """The list that comes with the download, without the class that means none."""
    listed = read_class_list(root / file)
    listed.ignore(ignored)
    return Classes(LabelSet.from_class_list(listed), (root / file,))


def _mapillary(files: tuple[str, ...], root: Path) -> Classes:
    """The labels of config_v*.json: the value in the masks is the place in the list; those that
    are not evaluated are ignored."""
    path = next(root / file for file in files if (root / file).is_file())
    content = read_json(path).value
    listed = ClassList()
    try:
        for value, label in enumerate(content["labels"]):
            if label["evaluate"]:
                red, green, blue = bytes(label["color"])  # ValueError beyond 0..255
                line = ClassLine(str(label["readable"]), (red, green, blue), value, value)
                listed.lines.append(line)
            else:
                listed.ignored.append(value)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: no labels as expected ({error!r}); take the file from the download again"
        ) from error
    return Classes(LabelSet.from_class_list(listed), (path,))


def _a2d2(root: Path) -> Classes:
    """class_list.json: the name of each color, as "#ff0000": "Car 1"."""
    path = root / "class_list.json"
    content = read_json(path).value
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected names by color; take it from the download again")
    rows = "\n".join(f'"{name}" {color}' for color, name in content.items())
    return Classes(LabelSet.from_class_list(parse_class_list(rows, path)), (path,))


def _wilddash(root: Path) -> Classes:
    path, ids = root / "panoptic.json", sorted(WILDDASH)
    names, colors = zip(*(WILDDASH[number] for number in ids), strict=True)
    index_of = {number: index for index, number in enumerate(ids)}
    segments = panoptic_segments(path, root / "panoptic", index_of)
    return Classes(LabelSet(names, colors), (path,), partial(SegmentDataset, segments=segments))


def _rugd_split(name: str) -> str:
    sequence = name.partition("/")[0]
    return "val" if sequence in RUGD_VAL else "test" if sequence in RUGD_TEST else "train"


def _published(name: str, **about: Any) -> Layout:
    """A published set, whose classes may be asked for by its own name."""
    return Layout(name, classes_of=name, class_set=name, **about)


_MAPILLARY_20 = _published(
    "mapillary-2.0",
    images="{split}/images/{name}",
    labels="{split}/v2.0/labels/{name}",
    beside=(
        "{split}/v2.0/(instances|panoptic)/{name}",
        "{split}/[v1.2/](labels|instances|panoptic)/{name}",
    ),
    needs=("config_v2.0.json", "*/v2.0/labels"),
    classes=partial(_mapillary, ("config_v2.0.json",)),
    unlabeled_images=True,
    text="training/images/NAME.jpg with training/v2.0/labels/NAME.png (Mapillary Vistas 2.0)",
)
_MAPILLARY_12 = _MAPILLARY_20._replace(
    name="mapillary-1.2",
    classes_of="mapillary-1.2",
    class_set="mapillary-1.2",
    labels="{split}/[v1.2/]labels/{name}",
    beside=("{split}/[v1.2/](instances|panoptic)/{name}", "{split}/v2.0/{kind}/{name}"),
    needs=("config.json|config_v1.2.json|config_v1.1.json", "*/labels|*/v1.2/labels"),
    classes=partial(_mapillary, ("config_v1.2.json", "config.json", "config_v1.1.json")),
    text="training/images/NAME.jpg with training/v1.2/labels/NAME.png (Mapillary Vistas 1.2)",
    versions=(_MAPILLARY_20,),
)

# The download of Mapillary Vistas 2.0 holds 1.2 as well: it is read with `--classes mapillary-2.0`,
# or by itself where 1.2 is not there.
PUBLISHED: tuple[Layout, ...] = (
    _MAPILLARY_12,
    _MAPILLARY_20,
    _published(
        "ade20k",
        images="images/{split}/{name}",
        labels="annotations/{split}/{name}",
        needs=("objectInfo150.txt|images/training/ADE_train_*",),
        classes=_ade20k,
        unlabeled_images=True,
        text="images/training/ADE_train_*.jpg with annotations/training (ADE20K, 150 classes)",
    ),
    _published(
        "bdd100k",
        images="images/[10k/]{split}/{name}",
        labels="labels/[sem_seg/masks/]{split}/{name}[_train_id]",
        beside=("labels/(pan_seg|ins_seg|sem_seg)/{kind}/{name}", "color_labels/{name}"),
        needs=("labels/sem_seg/masks|labels/train/*_train_id.png",),
        classes=lambda _: Classes(CITYSCAPES),
        unlabeled_images=True,
        text="images/10k/SPLIT/NAME.jpg with labels/sem_seg/masks/SPLIT/NAME.png (BDD100K)",
    ),
    _published(
        "kitti",
        images="training/image_2/{name}",
        labels="training/semantic/{name}",
        beside=("training/(instance|semantic_rgb)/{name}", "testing/image_2/{name}"),
        classes=lambda _: Classes(CITYSCAPES_LABEL_IDS),
        text="training/image_2/NAME.png with training/semantic/NAME.png (KITTI semantic)",
    ),
    _published(
        "idd",
        images="leftImg8bit/{split}/{name}_(leftImg8bit|image)",
        labels="gtFine/{split}/{name}_gtFine_labellevel3Ids",
        beside=("gtFine/{split}/{name}_gtFine_{kind}",),
        needs=("gtFine/*/*/*_labellevel3Ids.png",),
        classes=partial(_table, IDD),
        unlabeled_images=True,
        text="leftImg8bit/SPLIT/DRIVE/*_leftImg8bit.* with gtFine/*_labellevel3Ids.png (IDD)",
    ),
    _published(
        "a2d2",
        images="{drive}/camera/{view}/{start}_camera_{rest}",
        labels="{drive}/label/{view}/{start}_label_{rest}",
        needs=("class_list.json",),
        classes=_a2d2,
        by_drive=True,
        text="DRIVE/camera/VIEW/*.png with DRIVE/label/VIEW/*.png and class_list.json (A2D2)",
    ),
    _published(
        "rugd",
        images="RUGD_frames-with-annotations/{name}",
        labels="RUGD_annotations/{name}",
        classes=partial(_listed, "RUGD_annotations/RUGD_annotation-colormap.txt", "void"),
        splits=_rugd_split,
        text="RUGD_frames-with-annotations/SEQUENCE with RUGD_annotations/SEQUENCE (RUGD)",
    ),
    _published(
        "rellis-3d",
        images="{drive}/pylon_camera_node/{name}",
        labels="{drive}/pylon_camera_node_label_id/{name}",
        beside=("{drive}/pylon_camera_node_label_color/{name}",),
        lists=("{split}.lst", "split/{split}.lst", "splits/{split}.lst"),
        classes=partial(_table, RELLIS),
        by_drive=True,
        text="00000/pylon_camera_node with 00000/pylon_camera_node_label_id, train.lst (RELLIS-3D)",
    ),
    _published(
        "goose",
        images="images/{split}/{name}_(windshield_vis|front|camera_left|camera_right|realsense)",
        labels="labels/{split}/{name}_labelids",
        beside=(
            "labels/{split}/{name}_(color|instanceids)",
            "images/{split}/{name}_windshield_nir",
        ),
        needs=("goose_label_mapping.csv",),
        classes=partial(_listed, "goose_label_mapping.csv", "undefined"),
        unlabeled_images=True,
        text="images/SPLIT/*_windshield_vis.png with labels/SPLIT/*_labelids.png (GOOSE, GOOSE-Ex)",
    ),
    _published(
        "wilddash2",
        images="images/{name}",
        labels="panoptic/{name}",
        needs=("panoptic.json",),
        classes=_wilddash,
        text="images/NAME.jpg with panoptic/NAME.png and panoptic.json (WildDash 2)",
    ),
)
