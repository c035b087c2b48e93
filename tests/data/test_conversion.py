"""A data set written in another format holds the same labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.test_every_dataset import WRITE

from briskseg.core.errors import DataError, RequestError
from briskseg.core.images import write_png
from briskseg.data import Dataset, open_dataset
from briskseg.data.conversion import convert_dataset, outlines

Command = Callable[..., tuple[int, str, str]]


def named(dataset: Dataset) -> dict[tuple[str, str], np.ndarray]:
    """The class of every pixel by name, by split and pair."""
    names = np.array([*dataset.names, *[""] * (255 - len(dataset.names)), "(ignored)"])
    return {
        (split, pair.name): names[dataset.read_labels(pair)]
        for split in dataset.splits
        for pair in dataset.pairs(split)
    }


def same(one: Dataset, other: Dataset) -> bool:
    ours, others = named(one), named(other)
    return ours.keys() == others.keys() and all(np.array_equal(ours[k], others[k]) for k in ours)


@pytest.mark.parametrize("to", ["folder", "labelme", "coco"])
@pytest.mark.parametrize("kind", ["folder", "labelme", "coco", "yolo", "supervisely"])
def test_every_pixel_keeps_its_class(tmp_path: Path, kind: str, to: str) -> None:
    WRITE[kind](tmp_path / "set")
    source = open_dataset(tmp_path / "set")
    written = convert_dataset(source, tmp_path / "out", to)
    assert {split: len(some) for split, some in written.items()} == {"train": 1, "val": 1}
    has_background = source.names[0] == "background" or to == "folder"
    again = open_dataset(tmp_path / "out", unlabeled="background" if has_background else "ignored")
    assert again.kind == to
    assert again.names == source.names
    assert same(again, source)
    for split in source.splits:
        for one, other in zip(source.pairs(split), again.pairs(split), strict=True):
            assert one.image.read_bytes() == other.image.read_bytes()


@pytest.mark.parametrize("to", ["folder", "labelme", "coco", "shards"])
def test_names_with_signs_come_back(tmp_path: Path, to: str) -> None:
    """As A2D2's "Car 1" and what people type."""
    WRITE["folder"](tmp_path / "set")
    names = ("Car 1", "zone #1", "person, sitting", "ignore zone")
    listed = "".join(f'"{name}"\n' for name in names)
    (tmp_path / "set" / "classes.txt").write_text(listed)
    source = open_dataset(tmp_path / "set")
    assert source.names == names
    convert_dataset(source, tmp_path / "out", to)
    has_masks = to in ("folder", "shards")
    again = open_dataset(tmp_path / "out", unlabeled="background" if has_masks else "ignored")
    assert again.names == names
    assert same(again, source)


def test_two_images_that_only_their_suffix_tells_apart_keep_their_labels(
    tmp_path: Path, command: Command
) -> None:
    WRITE["coco"](tmp_path / "set")
    (file,) = (tmp_path / "set").rglob("*val*.json")
    content = json.loads(file.read_text())
    image = content["images"][0]
    (path,) = (tmp_path / "set").glob(f"val*/{Path(image['file_name']).name}")
    twin = path.with_suffix(".bmp")
    size = (image["height"], image["width"], 3)
    cv2.imwrite(str(twin), np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8))
    other = image | {"id": 999, "file_name": str(Path(image["file_name"]).with_suffix(".bmp"))}
    content["images"].append(other)
    one = next(each for each in content["annotations"] if each["image_id"] == image["id"])
    content["annotations"].append(one | {"id": 999, "image_id": 999})
    file.write_text(json.dumps(content))
    assert command("check", tmp_path / "set", "--fix", tmp_path / "fixed")[0] == 0
    whole, copy = open_dataset(tmp_path / "set"), open_dataset(tmp_path / "fixed")
    assert len(copy.pairs("val")) == len(whole.pairs("val")) == 2
    ours, others = (
        sorted(d.read_labels(pair).tobytes() for pair in d.pairs("val")) for d in (whole, copy)
    )
    assert ours == others
    assert len(set(ours)) == 2


def test_outlines_filled_one_over_the_other_are_the_labels() -> None:
    from briskseg.data.shapes import paint, polygon

    rng = np.random.default_rng(3)
    for _ in range(200):
        size_hw = tuple(rng.integers(1, 10, 2).tolist())
        labels_hw = rng.choice([0, 1, 2, 255], size_hw).astype(np.uint8)
        shapes = [
            (value, polygon([np.array(outline, float)], size_hw))
            for value, outline in outlines(labels_hw)
        ]
        assert np.array_equal(paint(size_hw, 7, shapes), labels_hw)


def test_the_command(tmp_path: Path, command: Command) -> None:
    WRITE["coco"](tmp_path / "set")
    out = tmp_path / "out"
    done = command("data", "convert", tmp_path / "set", out)
    assert done[0] == 0
    assert "train 1, val 1 pairs (folder)" in done[1]
    assert (out / "classes.txt").read_text().splitlines()[0].startswith("background ")
    assert command("check", out)[0] == 0
    again = command("data", "convert", tmp_path / "set", out)
    assert again[0] == 2
    assert "is not empty" in again[2]
    assert (
        "did you mean 'coco'" in command("data", "convert", out, tmp_path / "x", "--to", "cocoa")[2]
    )


@pytest.mark.parametrize("to", ["folder", "labelme", "coco", "shards"])
def test_names_in_subfolders_are_kept_where_they_are_unique(
    tmp_path: Path, command: Command, to: str
) -> None:
    WRITE["folder"](tmp_path / "set")
    for part in ("images", "labels"):
        (file,) = (tmp_path / "set" / part / "train").iterdir()
        for place in ("sub dir/z", "day1/b", "day2/b", "c/day1_b"):
            copy = (file.parent / place).with_suffix(file.suffix)
            copy.parent.mkdir()
            copy.write_bytes(file.read_bytes())
    source, out = open_dataset(tmp_path / "set"), tmp_path / "out"
    done = command("data", "convert", source.root, out, "--to", to)
    assert done[0] == 0
    again = open_dataset(out, unlabeled="background" if to in ("folder", "shards") else "ignored")
    names = {"z", "a", "day1_b", "day2_b", "c_day1_b"}  # the last, as day1/b has become day1_b
    assert {pair.name for pair in again.pairs("train")} == names
    assert "renamed: 3 images, as images/train/c/day1_b." in done[1]
    assert " to c_day1_b\n" in done[1]
    assert "renamed" not in command("data", "convert", out, tmp_path / "more", "--to", to)[1]


def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    WRITE["folder"](tmp_path / "set")
    source = open_dataset(tmp_path / "set")
    convert_dataset(source, tmp_path / "out", "coco")
    read = coco.COCO(tmp_path / "out" / "annotations" / "instances_val.json")
    labels_hw = source.read_labels(source.pairs("val")[0])
    names = {c["id"]: c["name"] for c in read.loadCats(read.getCatIds())}
    for annotation in read.loadAnns(read.getAnnIds()):
        name = names[annotation["category_id"]]
        value = 255 if name == "ignore" else source.names.index(name)
        assert annotation["area"] == (labels_hw == value).sum()
        assert annotation["iscrowd"] == (name == "ignore")


def test_what_cannot_be_converted_is_named(tmp_path: Path) -> None:
    WRITE["folder"](tmp_path / "set")
    source = open_dataset(tmp_path / "set")
    with pytest.raises(RequestError, match="lie in one another"):
        convert_dataset(source, tmp_path / "set" / "out")
    with pytest.raises(RequestError, match="choices: folder, labelme, coco, shards"):
        convert_dataset(source, tmp_path / "out", "voc")
    (tmp_path / "binary").mkdir()
    for part in ("images", "labels"):
        for split in ("train", "val"):
            mask = np.full((4, 6), 255 * (part == "labels"), np.uint8)
            mask[0] = 0
            (tmp_path / "binary" / part / split).mkdir(parents=True)
            write_png(tmp_path / "binary" / part / split / "a.png", mask)
    (tmp_path / "binary" / "classes.txt").write_text("rest\nroad\n")
    with pytest.raises(DataError, match=r"0/255 masks: .*files' values: `0 rest`, `255 road`"):
        convert_dataset(open_dataset(tmp_path / "binary"), tmp_path / "out")
    write_png(source.pairs("val")[0].label, np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"and its labels .* are 4x4"):
        convert_dataset(source, tmp_path / "out")


def test_labelme_files_are_as_labelme_writes_them(tmp_path: Path) -> None:
    WRITE["coco"](tmp_path / "set")
    convert_dataset(open_dataset(tmp_path / "set"), tmp_path / "out", "labelme")
    content = json.loads((tmp_path / "out" / "train" / "a.json").read_text())
    assert {"version", "flags", "shapes", "imagePath", "imageData"} <= content.keys()
    kinds = {shape["shape_type"] for shape in content["shapes"]}
    assert kinds == {"polygon"}
    assert {shape["label"] for shape in content["shapes"]} == {"car", "sky", "__ignore__"}
    lines = (tmp_path / "out" / "labels.txt").read_text().splitlines()
    assert lines == ["__ignore__", "_background_", "car", "sky"]
