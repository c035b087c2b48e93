"""The contract of a data set, held by every format: what checking, training and scoring rely on."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.conftest import write_image, write_json, write_mask
from tests.data.trees import SIZE, TREES

from briskseg.core.errors import DataError, RequestError
from briskseg.core.labels import IGNORED
from briskseg.core.labels.cityscapes_table import LABELS
from briskseg.data import FORMATS, Dataset, open_dataset
from briskseg.data.check import check_dataset
from briskseg.data.frequencies import count_labels, count_pixels
from briskseg.data.synthetic import draw_dataset


def indices(classes: int, ignored: int) -> np.ndarray:
    mask = (np.arange(SIZE[0] * SIZE[1]) % classes).astype(np.uint8).reshape(SIZE)
    mask[0] = ignored
    return mask


def folder(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        write_image(root / "images" / split / "a.jpg", number, SIZE)
        write_mask(root / "labels" / split / "a.png", indices(3, 255))
    (root / "classes.txt").write_text("road\ncar\nsky\n")


def camvid(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        write_image(root / split / "a.png", number, SIZE)
        write_mask(root / f"{split}annot" / "a.png", indices(11, 11))


def cityscapes(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        stem = f"{split}/ulm/ulm_00000{number}_000019"
        write_image(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", number, SIZE)
        write_mask(root / "gtFine" / f"{stem}_gtFine_labelIds.png", indices(len(LABELS), 0))


def streets(root: Path) -> None:
    draw_dataset(root, train=1, val=1, size_hw=SIZE, seed=0)


def shards(root: Path) -> None:
    """As any program that writes tar archives does."""
    from PIL import Image

    root.mkdir()
    (root / "classes.txt").write_text("road\ncar\nsky\n")
    for number, split in enumerate(("train", "val")):
        image, mask = root / "a.jpg", root / "a.png"
        write_image(image, number, SIZE)
        Image.fromarray(indices(3, 255)).save(mask)
        with tarfile.open(root / f"{split}-000000.tar", "w") as tar:
            for file in (image, mask):
                tar.add(file, file.name)
                file.unlink()


BOX, TRIANGLE = ((4, 6), (20, 30)), ((22, 3), (46, 3), (46, 36))  # x, y
NAMES = ("car", "sky", "void")
SPLITS = ("train", "val")


def both_images(root: Path, place: str) -> None:
    for number, split in enumerate(SPLITS):
        write_image(root / place.format(split), number, SIZE)


def labelme(root: Path) -> None:
    both_images(root, "{}/a.png")
    shapes = [
        {"label": "car", "points": BOX, "shape_type": "rectangle"},
        {"label": "sky", "points": TRIANGLE, "shape_type": "polygon"},
        {"label": "void", "points": ((0, 0), (4, 4)), "shape_type": "rectangle"},
    ]
    for split in SPLITS:
        size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        write_json(root / split / "a.json", {"shapes": shapes, "imagePath": "a.png", **size})


def coco(root: Path) -> None:
    both_images(root, "{}2017/a.png")
    categories = [{"id": 10 * n, "name": name} for n, name in enumerate(NAMES, start=1)]
    outlines = [
        [4, 6, 20, 6, 20, 30, 4, 30],
        [c for xy in TRIANGLE for c in xy],
        [0, 0, 4, 0, 4, 4],
    ]
    annotations = [
        {"id": n, "image_id": 7, "category_id": 10 * n, "iscrowd": 0, "segmentation": [outline]}
        for n, outline in enumerate(outlines, start=1)
    ]
    listed = [{"id": 7, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    for split in SPLITS:
        write_json(root / "annotations" / f"instances_{split}2017.json", content)


def yolo(root: Path) -> None:
    both_images(root, "images/{}/a.png")
    outline = " ".join(f"{x / SIZE[1]} {y / SIZE[0]}" for x, y in TRIANGLE)
    for split in SPLITS:
        path = root / "labels" / split / "a.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"0 {outline}\n2 0 0 0.1 0 0.1 0.1\n")
    names = "".join(f"  {n}: {name}\n" for n, name in enumerate(NAMES))
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}")


def cvat(root: Path) -> None:
    both_images(root, "images/{}/a.png")
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    shapes = (
        '<box label="car" xtl="4" ytl="6" xbr="20" ybr="30" z_order="0"/>'
        '<polygon label="sky" points="22,3;46,3;46,36" z_order="0"/>'
        '<box label="void" xtl="0" ytl="0" xbr="4" ybr="4" z_order="0"/>'
    )
    images = "".join(
        f'<image id="{n}" name="a.png" subset="{split}" width="{SIZE[1]}" height="{SIZE[0]}">'
        f"{shapes}</image>"
        for n, split in enumerate(SPLITS)
    )
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    (root / "annotations.xml").write_text(f"<annotations>{meta}{images}</annotations>")


def label_studio(root: Path) -> None:
    regions = [
        {"type": "rectanglelabels", "id": "1", "value": {"x": 10, "y": 10, "width": 30}}
        | {"original_width": SIZE[1], "original_height": SIZE[0]},
        {"type": "polygonlabels", "id": "2", "value": {"points": [[50, 5], [95, 5], [95, 90]]}},
        {"type": "rectanglelabels", "id": "3", "value": {"x": 0, "y": 0, "width": 8}},
    ]
    for region, name in zip(regions, NAMES, strict=True):
        region["value"] |= {region["type"]: [name]}
        region["value"] |= {"height": 30} if "width" in region["value"] else {}
    both_images(root, "{}/a.png")
    for split in SPLITS:
        image_at = {"image": f"/data/local-files/?d={split}/a.png"}
        tasks = [{"data": image_at, "annotations": [{"result": regions}]}]
        write_json(root / f"{split}.json", tasks)


def supervisely(root: Path) -> None:
    both_images(root, "{}/img/a.png")
    classes = [
        {"title": name, "shape": "any", "color": f"#10{n}0f0"} for n, name in enumerate(NAMES)
    ]
    write_json(root / "meta.json", {"classes": classes, "tags": []})
    objects = [
        {"classTitle": name, "geometryType": kind, "points": {"exterior": points, "interior": []}}
        for name, kind, points in (
            ("car", "rectangle", BOX),
            ("sky", "polygon", TRIANGLE),
            ("void", "rectangle", ((0, 0), (4, 4))),
        )
    ]
    size = {"height": SIZE[0], "width": SIZE[1]}
    for split in SPLITS:
        write_json(root / split / "ann" / "a.png.json", {"size": size, "objects": objects})


def datumaro(root: Path) -> None:
    both_images(root, "images/{}/a.png")
    shapes = [
        {"type": "bbox", "label_id": 0, "bbox": [4, 6, 16, 24], "z_order": 0},
        {"type": "polygon", "label_id": 1, "points": [22, 3, 46, 3, 46, 36], "z_order": 0},
        {"type": "bbox", "label_id": 2, "bbox": [0, 0, 4, 4], "z_order": 0},
    ]
    item = {"id": "a", "annotations": shapes, "image": {"path": "a.png", "size": SIZE}}
    labels = {"label": {"labels": [{"name": name} for name in NAMES]}}
    for split in SPLITS:
        content = {"categories": labels, "items": [item]}
        write_json(root / "annotations" / f"{split}.json", content)


def idd_polygons(root: Path) -> None:
    both_images(root, "leftImg8bit/{}/201/frame0029_leftImg8bit.png")
    outlines = {
        "drivable fallback": ((4, 6), (20, 6), (20, 30), (4, 30)),
        "sky": TRIANGLE,
        "license plate": ((0, 0), (4, 0), (4, 4)),
    }
    objects = [{"label": name, "polygon": o, "deleted": 0} for name, o in outlines.items()]
    content = {"imgHeight": SIZE[0], "imgWidth": SIZE[1], "objects": objects}
    for split in SPLITS:
        write_json(root / f"gtFine/{split}/201/frame0029_gtFine_polygons.json", content)


WRITE: dict[str, Callable[[Path], None]] = {
    "streets": streets,
    "cityscapes": cityscapes,
    "camvid": camvid,
    "folder": folder,
    "shards": shards,
    "labelme": labelme,
    "coco": coco,
    "yolo": yolo,
    "cvat": cvat,
    "label-studio": label_studio,
    "supervisely": supervisely,
    "datumaro": datumaro,
    "idd-polygons": idd_polygons,
    **TREES,
}
SHAPES = {"labelme", "coco", "yolo", "cvat", "label-studio", "supervisely", "datumaro"}
LISTS = {"data.yaml", "meta.json"}  # files that are read, of these, and hold no labels
DAMAGED = {"yolo": b"0 0.5"}  # an empty file is one without shapes


@pytest.fixture(params=FORMATS)
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    WRITE[request.param](tmp_path / "set")
    found = open_dataset(tmp_path / "set")
    assert found.kind == request.param
    return found


def test_a_pair_becomes_arrays(dataset: Dataset) -> None:
    assert dataset.names == dataset.labels.names
    assert [*dataset.splits][:2] == ["train", "val"]
    pair = dataset.pairs("val")[0]
    image_hwc, labels_hw = dataset.read_image(pair), dataset.read_labels(pair)
    assert image_hwc.shape == (*SIZE, 3)
    assert labels_hw.shape == SIZE == dataset.size(pair)
    assert image_hwc.dtype == labels_hw.dtype == np.uint8
    known = {*range(len(dataset.names)), IGNORED}
    assert 3 <= len(known & {*np.unique(labels_hw).tolist()}) == len(np.unique(labels_hw))
    both = dataset.read(pair)
    assert np.array_equal(both[0], image_hwc)
    assert np.array_equal(both[1], labels_hw)
    with pytest.raises(RequestError, match="no split 'vali'"):
        dataset.pairs("vali")


def test_check_counts_what_training_reads(dataset: Dataset) -> None:
    report = check_dataset(dataset.root)
    assert report.fit
    by_check = count_pixels(dataset, "train")  # from the check's numbers
    counts = sum(count_labels(dataset.read_labels(pair)) for pair in dataset.pairs("train"))
    assert report.splits["train"].pixels == tuple(counts[: len(dataset.names)].tolist())
    assert by_check.totals.tolist() == counts[: len(dataset.names)].tolist()
    assert by_check.ignored.sum() == report.splits["train"].ignored == counts[IGNORED]


def test_true_labels_score_1(dataset: Dataset) -> None:
    scorer = dataset.scorer("val")
    for pair in dataset.pairs("val"):
        sample = scorer.read(pair)
        predicted = np.where(sample.labels_hw == IGNORED, 0, sample.labels_hw).astype(np.uint8)
        one = scorer.count(sample, predicted)
    assert one.miou == scorer.confusion.miou == 1
    assert scorer.benchmark().keys() == ({"cityscapes"} & {dataset.kind})


def test_a_damaged_label_file_is_named(dataset: Dataset) -> None:
    pair = dataset.pairs("train")[0]
    if dataset.kind == "shards":
        damage_member(dataset.root / "train-000000.tar", "a.png")
    else:
        pair.label.write_bytes(DAMAGED.get(dataset.kind, b""))
    with pytest.raises(DataError, match=pair.label.name):
        open_dataset(dataset.root).read_labels(pair)
    if pair.is_shared:  # nothing is left to be checked
        return
    report = check_dataset(dataset.root)
    assert pair.label.relative_to(dataset.root) in report.findings[0].files


def damage_member(archive: Path, name: str) -> None:
    with tarfile.open(archive) as tar:
        found = tar.getmember(name)
    with archive.open("r+b") as file:
        file.seek(found.offset_data)
        file.write(bytes(found.size))


def test_check_accounts_for_every_file(dataset: Dataset) -> None:
    (dataset.root / "notes.md").write_text("mine")
    files = check_dataset(dataset.root).files
    there = sum(path.is_file() for path in dataset.root.rglob("*"))
    assert files.total == there
    assert files.read + sum(files.unread.values()) == there
    assert files.unread["no picture"] >= 1
    if dataset.kind in SHAPES:
        assert files.lists == sum(path.name in LISTS for path in dataset.root.rglob("*"))
    else:
        assert files.images == files.labels
    assert files.archives == (2 if dataset.kind == "shards" else 0)


def test_a_class_that_a_list_ignores_is_ignored_in_shapes(tmp_path: Path) -> None:
    labelme(tmp_path)
    (tmp_path / "classes.txt").write_text("car\nsky\nvoid\nignore sky\n")
    found = open_dataset(tmp_path)
    assert found.names == ("background", "car")
    labels_hw = found.read_labels(found.pairs("val")[0])
    assert labels_hw[5, 44] == IGNORED
    assert labels_hw[20, 10] == 1
