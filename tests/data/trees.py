"""Small trees of published sets and of tools' layouts, as their makers lay them out.

Every label file holds `VALUES[kind]`, or those colors, in columns; `expected` says which class each
is. The paths and numbers are literal: they come from the sets' own documentation.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tests.data.conftest import write_image

SIZE = (40, 48)
IGNORED = 255
Color = tuple[int, int, int]


def image(path: Path) -> None:
    """Write a picture unlike those of all other paths."""
    write_image(path, zlib.crc32(str(path).encode()), SIZE)


def columns(values: list[int]) -> np.ndarray:
    """(H, W): the values side by side, each as wide as another."""
    return np.tile(np.repeat(values, SIZE[1] // len(values) + 1)[: SIZE[1]], (SIZE[0], 1))


def mask(path: Path, values: list[int] | list[Color], mode: str = "") -> None:
    """Write values in columns: 8-bit gray, "P" with VOC's palette, "I;16"; colors as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(values[0], tuple):
        pixels = np.array(values, np.uint8)[columns([*range(len(values))])]
        Image.fromarray(pixels).save(path)
        return
    pixels = columns(values)
    if mode == "I;16":
        Image.fromarray(pixels.astype(np.uint16)).save(path)
        return
    picture = Image.fromarray(pixels.astype(np.uint8))
    if mode == "P":
        picture.putpalette(voc_palette())
    picture.save(path)


def voc_palette() -> bytes:
    colors = np.zeros((256, 3), int)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                colors[index, channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return colors.astype(np.uint8).tobytes()


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


# kind: what label files hold, and the class of each by name; None: ignored.
HELD: dict[str, dict[int | Color, str | None]] = {
    "ade20k": {0: None, 1: "wall", 2: "building", 150: "flag"},
    "bdd100k": {0: "road", 13: "car", 18: "bicycle", 255: None},
    "mapillary-1.2": {0: "Bird", 1: "Road", 2: "Car", 3: None},
    "mapillary-2.0": {0: "Bird", 1: "Curb Cut", 2: "Car", 3: None},
    "kitti": {0: None, 7: "road", 26: "car", 33: "bicycle"},
    "idd": {0: "road", 8: "autorickshaw", 25: "sky", 255: None},
    "a2d2": {(255, 0, 0): "Car 1", (182, 89, 6): "Bicycle 1", (255, 0, 255): "RD normal street"},
    "rugd": {(0, 0, 0): None, (108, 64, 20): "dirt", (0, 102, 0): "grass", (0, 0, 255): "sky"},
    "rellis-3d": {0: None, 1: None, 3: "grass", 33: "mud", 34: "rubble"},
    "goose": {0: None, 12: "car", 23: "asphalt", 53: "sky"},
    "wilddash2": {0: None, 7 * 256: "road", 26001: "car", 70000: None, 38: "road marking"},
    "lists": {0: "sky", 1: "road", 2: "car", 255: None},
    "segments-ai": {0: None, 1: "road", 2: "car", 3: "car", 4: "sky"},
    "roboflow": {0: "background", 1: "road", 2: "car"},
    "voc": {0: "background", 1: "road", 2: "car", 255: None},
    "mmsegmentation": {0: "sky", 1: "road", 2: "car", 255: None},
    "fastai": {0: "Animal", 1: "Road", 2: "Sky"},
    "camvid-kaggle": {(128, 128, 128): "Sky", (128, 64, 128): "Road", (64, 0, 128): "Car"},
    "split-first": {0: "sky", 1: "road", 2: "car", 255: None},
    "split-folders": {0: "sky", 1: "road", 2: "car", 255: None},
}
NAMES = ("sky", "road", "car")


def _pairs(kind: str, root: Path, *paths: tuple[str, str], mode: str = "") -> None:
    for image_path, label_path in paths:
        image(root / image_path)
        mask(root / label_path, [*HELD[kind]], mode)


def ade20k(root: Path) -> None:
    for split, short in (("training", "train"), ("validation", "val")):
        name = f"{split}/ADE_{short}_00000001"
        _pairs("ade20k", root, (f"images/{name}.jpg", f"annotations/{name}.png"))
    text(root / "objectInfo150.txt", "Idx\tRatio\tTrain\tVal\tStuff\tName")


def bdd100k(root: Path) -> None:
    for split in ("train", "val"):
        label = f"labels/sem_seg/masks/{split}/0004a4c0-d4dff0ad.png"
        _pairs("bdd100k", root, (f"images/10k/{split}/0004a4c0-d4dff0ad.jpg", label))
        mask(root / f"labels/sem_seg/colormaps/{split}/0004a4c0-d4dff0ad.png", [(1, 2, 3)])
    image(root / "images/10k/test/ac6d4f42-00000000.jpg")


def _vistas(kind: str, root: Path, labels: str, config: str) -> None:
    for split in ("training", "validation"):
        _pairs(kind, root, (f"{split}/images/a-_B.jpg", f"{split}/{labels}/a-_B.png"))
        mask(root / split / Path(labels).parent / "instances" / "a-_B.png", [256], "I;16")
    image(root / "testing/images/c.jpg")
    entries = [
        {"readable": name or "Unlabeled", "name": "x", "evaluate": name is not None}
        | {"color": [value, 0, 0], "instances": False}
        for value, name in HELD[kind].items()
    ]
    text(root / config, json.dumps({"labels": entries}))


def mapillary_12(root: Path) -> None:
    _vistas("mapillary-1.2", root, "v1.2/labels", "config_v1.2.json")


def mapillary_20(root: Path) -> None:
    _vistas("mapillary-2.0", root, "v2.0/labels", "config_v2.0.json")


def kitti(root: Path) -> None:
    for number in range(5):
        name = f"{number:06d}_10.png"
        _pairs("kitti", root, (f"training/image_2/{name}", f"training/semantic/{name}"))
        mask(root / "training/semantic_rgb" / name, [(128, 64, 128)])
    image(root / "testing/image_2/000000_10.png")


def idd(root: Path) -> None:
    for split in ("train", "val"):
        label = f"gtFine/{split}/201/frame0029_gtFine_labellevel3Ids.png"
        _pairs("idd", root, (f"leftImg8bit/{split}/201/frame0029_leftImg8bit.jpg", label))
        text(root / f"gtFine/{split}/201/frame0029_gtFine_polygons.json", "{}")


def a2d2(root: Path) -> None:
    for drive, stamp in (("20180807_145028", "20180807145028"), ("20180925_101535", "2018092510")):
        for number in (91, 97):
            _pairs(
                "a2d2",
                root,
                (
                    f"{drive}/camera/cam_front_center/{stamp}_camera_frontcenter_{number:09d}.png",
                    f"{drive}/label/cam_front_center/{stamp}_label_frontcenter_{number:09d}.png",
                ),
            )
    names = {f"#{r:02x}{g:02x}{b:02x}": name for (r, g, b), name in HELD["a2d2"].items()}
    text(root / "class_list.json", json.dumps(names | {"#b97a57": "Obstacles / trash"}))


def rugd(root: Path) -> None:
    for name in ("village/village_00003.png", "park-8/park-8_00001.png", "creek/creek_00001.png"):
        _pairs("rugd", root, (f"RUGD_frames-with-annotations/{name}", f"RUGD_annotations/{name}"))
    text(
        root / "RUGD_annotations/RUGD_annotation-colormap.txt",
        "0 void 0 0 0",
        "1 dirt 108 64 20",
        "2 sand 255 229 204",
        "3 grass 0 102 0",
        "7 sky 0 0 255",
        "9 container/generic-object 255 0 127",
    )


def rellis_3d(root: Path) -> None:
    for split, drive in (("train", "00000"), ("val", "00001")):
        lines = []
        for number in (104, 204):
            frame = f"frame{number:06d}-1581624663_149"
            paths = (
                f"{drive}/pylon_camera_node/{frame}.jpg",
                f"{drive}/pylon_camera_node_label_id/{frame}.png",
            )
            lines.append(" ".join(paths))
            _pairs("rellis-3d", root, paths)
        text(root / f"{split}.lst", *lines)


def goose(root: Path) -> None:
    for split in ("train", "val"):
        name = f"{split}/2022-10-12_waldwege/2022-10-12_waldwege__0095_1665579514737884132"
        _pairs("goose", root, (f"images/{name}_windshield_vis.png", f"labels/{name}_labelids.png"))
        image(root / f"images/{name}_windshield_nir.png")
        mask(root / f"labels/{name}_color.png", [(1, 2, 3)])
        mask(root / f"labels/{name}_instanceids.png", [1])
    image(root / "images/test/x/x__0001_1_windshield_vis.png")
    text(
        root / "goose_label_mapping.csv",
        "class_name,label_key,has_instance,hex",
        "undefined,0,0,#000000",
        "traffic_cone,1,1,#ffff00",
        "car,12,1,#b79762",
        "asphalt,23,0,#5b4534",
        "sky,53,0,#b77b68",
    )


def wilddash2(root: Path) -> None:
    annotations = []
    categories = {7 * 256: 7, 26001: 26, 70000: 9, 38: 38}
    for number in range(5):
        name = f"ar{number:04d}_100000"
        image(root / f"images/{name}.jpg")
        colors = [(n % 256, n // 256 % 256, n // 65536) for n in HELD["wilddash2"]]
        mask(root / f"panoptic/{name}.png", colors)
        segments = [{"id": n, "category_id": c, "iscrowd": 0} for n, c in categories.items()]
        annotations.append({"file_name": f"{name}.png", "segments_info": segments})
    listed = [{"id": number, "name": f"category {number}"} for number in range(39)]
    text(root / "panoptic.json", json.dumps({"annotations": annotations, "categories": listed}))


def lists(root: Path) -> None:
    for split in ("train", "val"):
        paths = (f"JPEGImages/{split}0.jpg", f"Annotations/{split}0.png")
        _pairs("lists", root, paths)
        text(root / f"{split}.txt", " ".join(paths))
    text(root / "labels.txt", *NAMES)


def segments_ai(root: Path) -> None:
    samples = []
    for number in range(5):
        image(root / f"{number}.jpg")
        mask(root / f"{number}_label_ground-truth.png", [*HELD["segments-ai"]], "I;16")
        mask(root / f"{number}_label_ground-truth_colored.png", [(1, 2, 3)])
        segments = [{"id": n, "category_id": c} for n, c in ((1, 1), (2, 4), (3, 4), (4, 7))]
        label = {"label_status": "LABELED", "attributes": {"annotations": segments}}
        samples.append({"name": f"{number}.jpg", "labels": {"ground-truth": label}})
    categories = [{"name": name, "id": c} for name, c in (("road", 1), ("car", 4), ("sky", 7))]
    release = {"name": "v1", "dataset": {"task_attributes": {"categories": categories}}}
    release["dataset"]["samples"] = samples
    text(root / "me_streets-v1.json", json.dumps(release))


def roboflow(root: Path) -> None:
    for split in ("train", "valid"):
        name = f"{split}/{split}_jpg.rf.0a1b2c"
        _pairs("roboflow", root, (f"{name}.jpg", f"{name}_mask.png"))
        text(
            root / split / "_classes.csv",
            "Pixel Value, Class",
            "0, background",
            "1, road",
            "2, car",
        )


def voc(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        name = f"street_{number}"
        _pairs("voc", root, (f"JPEGImages/{name}.jpg", f"SegmentationClass/{name}.png"), mode="P")
        text(root / f"ImageSets/Segmentation/{split}.txt", name)
    image(root / "JPEGImages/never_labeled.jpg")
    text(
        root / "labelmap.txt",
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "road:128,0,0::",
        "car:0,128,0::",
    )


def mmsegmentation(root: Path) -> None:
    for split in ("train", "val"):
        paths = (f"img_dir/{split}/day1/a.jpg", f"ann_dir/{split}/day1/a.png")
        _pairs("mmsegmentation", root, paths)
    text(root / "classes.txt", *NAMES)


def fastai(root: Path) -> None:
    for number in range(3):
        name = f"0006R0_f{number:05d}"
        _pairs("fastai", root, (f"images/{name}.png", f"labels/{name}_P.png"))
    text(root / "codes.txt", "Animal", "Road", "Sky")
    text(root / "valid.txt", "0006R0_f00002.png")


def camvid_kaggle(root: Path) -> None:
    for split in ("train", "val"):
        name = f"0001TP_{split}"
        _pairs("camvid-kaggle", root, (f"{split}/{name}.png", f"{split}_labels/{name}_L.png"))
    text(
        root / "class_dict.csv",
        "name,r,g,b",
        "Sky,128,128,128",
        "Road,128,64,128",
        "Car,64,0,128",
    )


def split_first(root: Path) -> None:
    for split in ("train", "val"):
        _pairs("split-first", root, (f"{split}/images/a.jpg", f"{split}/masks/a.png"))
    text(root / "classes.txt", *NAMES)


def split_folders(root: Path) -> None:
    for split in ("train", "val"):
        _pairs("split-folders", root, (f"{split}_images/a.jpg", f"{split}_masks/a.png"))
    text(root / "classes.txt", *NAMES)


TREES: dict[str, Callable[[Path], None]] = {
    "ade20k": ade20k,
    "bdd100k": bdd100k,
    "mapillary-1.2": mapillary_12,
    "mapillary-2.0": mapillary_20,
    "kitti": kitti,
    "idd": idd,
    "a2d2": a2d2,
    "rugd": rugd,
    "rellis-3d": rellis_3d,
    "goose": goose,
    "wilddash2": wilddash2,
    "lists": lists,
    "segments-ai": segments_ai,
    "roboflow": roboflow,
    "voc": voc,
    "mmsegmentation": mmsegmentation,
    "fastai": fastai,
    "camvid-kaggle": camvid_kaggle,
    "split-first": split_first,
    "split-folders": split_folders,
}


def expected(kind: str, names: tuple[str, ...]) -> np.ndarray:
    """The class indices that a tree's label files mean, (H, W) uint8."""
    held = HELD[kind].values()
    indices = [IGNORED if name is None else names.index(name) for name in held]
    return columns(indices).astype(np.uint8)
