"""Masks are read as tools and publications lay them out: the right pairs, splits and classes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.data import trees
from tests.data.conftest import stripes, write_image, write_mask

from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.pictures import AVIF
from briskseg.core.labels import CAMVID32
from briskseg.data import open_dataset
from briskseg.data.check import check_dataset


@pytest.mark.parametrize("kind", trees.TREES)
def test_a_label_file_becomes_the_classes_that_it_means(kind: str, tmp_path: Path) -> None:
    trees.TREES[kind](tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.kind == kind
    for split in dataset.splits:
        for pair in dataset.pairs(split):
            np.testing.assert_array_equal(
                dataset.read_labels(pair), trees.expected(kind, dataset.names)
            )
    assert check_dataset(tmp_path).fit


def test_previews_and_instances_of_cityscapes_are_no_finding(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        stem = f"{split}/ulm/ulm_000000_000019"
        trees.image(tmp_path / f"leftImg8bit/{stem}_leftImg8bit.png")
        if split != "test":
            trees.mask(tmp_path / f"gtFine/{stem}_gtFine_labelIds.png", [7, 26, 0])
            trees.mask(tmp_path / f"gtFine/{stem}_gtFine_color.png", [(1, 2, 3)])
    report = check_dataset(tmp_path)
    assert "unread-files" not in {finding.kind for finding in report.findings}
    assert report.files.unread == {"of the set and not needed": 3}


def splits(root: Path, **how: object) -> dict[str, list[str]]:
    found = open_dataset(root, **how).splits
    return {split: [pair.name for pair in pairs] for split, pairs in found.items()}


def test_published_splits_and_classes(tmp_path: Path) -> None:
    trees.rugd(tmp_path / "rugd")
    found = splits(tmp_path / "rugd")
    assert found == {
        "train": ["village/village_00003"],
        "val": ["park-8/park-8_00001"],
        "test": ["creek/creek_00001"],
    }
    for kind, number in (("ade20k", 150), ("idd", 26), ("rellis-3d", 18), ("wilddash2", 25)):
        trees.TREES[kind](tmp_path / kind)
        assert len(open_dataset(tmp_path / kind).names) == number
    trees.a2d2(tmp_path / "a2d2")
    drives = [{name[:8] for name in some} for some in splits(tmp_path / "a2d2").values()]
    assert drives[0].isdisjoint(drives[1])
    both = tmp_path / "vistas"
    trees.mapillary_12(both)
    trees.mapillary_20(both)
    assert open_dataset(both).kind == "mapillary-1.2"
    newer = open_dataset(both, classes="mapillary-2.0")
    assert newer.names == ("Bird", "Curb Cut", "Car")
    assert "v2.0" in str(newer.pairs("train")[0].label)
    with pytest.raises(
        RequestError, match=r"'camvid11' was asked for, but the classes are those of mapillary-1\.2"
    ):
        open_dataset(both, classes="camvid11")


def test_classes_that_share_a_color_are_told_apart_by_the_index(tmp_path: Path) -> None:
    trees.mapillary_12(tmp_path)
    config = json.loads((tmp_path / "config_v1.2.json").read_text())
    for label in config["labels"]:
        label["color"] = [0, 0, 0] if label["readable"] == "Bird" else [128, 0, 0]
    (tmp_path / "config_v1.2.json").write_text(json.dumps(config))
    path = open_dataset(tmp_path).pairs("train")[0].label
    trees.mask(path, [0, 1], "P")
    labels_hw = open_dataset(tmp_path).read_labels(open_dataset(tmp_path).pairs("train")[0])
    assert np.unique(labels_hw).tolist() == [0, 1]


def test_vocs_own_classes_and_border(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        name = f"2007_00003{number}"
        trees.image(tmp_path / f"JPEGImages/{name}.jpg")
        trees.mask(tmp_path / f"SegmentationClass/{name}.png", [0, 7, 20, 255], "P")
        trees.text(tmp_path / f"ImageSets/Segmentation/{split}.txt", name)
    for folder in ("Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir()
    dataset = open_dataset(tmp_path)
    assert (len(dataset.names), dataset.names[7], dataset.names[20]) == (21, "car", "tvmonitor")
    labels_hw = dataset.read_labels(dataset.pairs("train")[0])
    assert np.unique(labels_hw).tolist() == [0, 7, 20, 255]


def test_lists_make_the_splits_of_flat_folders(write_folder) -> None:
    root = write_folder((".",), images=4)
    (root / "train.txt").write_text("000\nimages/001.jpg\n")
    (root / "val.txt").write_text("002.jpg\n")
    assert splits(root) == {"train": ["000", "001"], "val": ["002"]}
    assert check_dataset(root).files.unread == {"in no list of a split": 2}
    (root / "train.txt").unlink()
    assert splits(root)["train"] == ["000", "001", "003"]
    (root / "val.txt").write_text("002\n999\n")
    with pytest.raises(DataError, match=r"val.txt, line 2: '999' is no image of the data set"):
        open_dataset(root)


def test_a_line_that_makes_a_pair_is_not_blamed_for_its_namesake(tmp_path: Path) -> None:
    """Frames of two drives have the same numbers, and one of them has no labels."""
    for drive in ("seq1", "seq2"):
        for number in range(2):
            write_image(tmp_path / f"images/{drive}/{number}.png", 2 * number + (drive == "seq1"))
            if (drive, number) != ("seq2", 1):
                write_mask(tmp_path / f"labels/{drive}/{number}.png", stripes(2))
    (tmp_path / "classes.txt").write_text("soil\nweed\n")
    (tmp_path / "train.txt").write_text("seq1/0\nseq1/1\n")
    (tmp_path / "val.txt").write_text("seq2/0\n")
    assert [f for f in check_dataset(tmp_path).findings if f.severity == "error"] == []
    (tmp_path / "val.txt").write_text("seq2/0\nseq2/1\n")
    (found,) = [f for f in check_dataset(tmp_path).findings if f.severity == "error"]
    assert "val.txt, line 2: 'seq2/1': image without label" in found.message


def test_lists_of_pairs_in_other_forms(tmp_path: Path) -> None:
    """PaddleX's names of lists, spaces in files' names, back slashes, PaddleSeg's bar."""
    forms = ("images\\{0}.jpg masks\\{0} b.png", "images/{0}.jpg|masks/{0} b.png")
    for number in range(4):
        name = f"weed ({number})"
        write_image(tmp_path / "images" / f"{name}.jpg", number)
        write_mask(tmp_path / "masks" / f"{name} b.png", stripes(2))
        path = tmp_path / ("val_list.txt" if number > 2 else "train_list.txt")
        with path.open("a") as file:
            file.write(forms[number % 2].format(name) + "\r\n")
    (tmp_path / "labels.txt").write_text("soil\nweed\n")
    found = splits(tmp_path)
    assert {split: len(names) for split, names in found.items()} == {"train": 3, "val": 1}
    assert check_dataset(tmp_path).findings == ()


def test_a_list_that_is_not_read_is_named_while_the_seed_draws(write_folder) -> None:
    root = write_folder((".",), images=5)
    for split, names in (("train", "000\n001\n002\n"), ("val", "003\n004\n")):
        (root / f"{split}_files.txt").write_text(names)
    (found,) = check_dataset(root).findings
    assert (found.kind, found.count) == ("unread-files", 2)
    assert "2 a list of a split, though the seed draws the splits" in found.message
    assert "name them train.txt and val.txt, in the folder itself" in found.fix_hint
    for split in ("train", "val"):
        (root / f"{split}_files.txt").rename(root / f"{split}.txt")
    assert splits(root) == {"train": ["000", "001", "002"], "val": ["003", "004"]}
    assert check_dataset(root).findings == ()


def test_ones_own_classes_in_segnets_layout_are_not_camvids(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        write_image(tmp_path / split / "a.png", number)
        write_mask(tmp_path / f"{split}annot" / "a.png", stripes(3))
    assert open_dataset(tmp_path).names[:2] == ("Sky", "Building")
    (tmp_path / "classes.txt").write_text("water\nship\nquay\n")
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.names) == ("split-folders", ("water", "ship", "quay"))
    (tmp_path / "classes.txt").unlink()
    rows = ["0 0 0 Void", "64 128 64 Animal"]  # as CVAT exports its "CamVid"
    (tmp_path / "label_colors.txt").write_text("\n".join(rows))
    for split in ("train", "val"):
        colors = np.array([(0, 0, 0), (64, 128, 64)], np.uint8)[stripes(2)]
        write_mask(tmp_path / f"{split}annot" / "a.png", colors)
    assert open_dataset(tmp_path).names == ("Void", "Animal")
    listed = zip(CAMVID32.names, CAMVID32.colors, strict=True)
    rows = [f"{r} {g} {b}\t{name}" for name, (r, g, b) in listed]
    (tmp_path / "label_colors.txt").write_text("\n".join(rows))  # the published list
    assert open_dataset(tmp_path).kind == "camvid"


def test_a_list_never_takes_a_file_of_the_same_name_elsewhere(write_folder) -> None:
    root = write_folder((".",), images=4)
    for part, suffix in (("images", "jpg"), ("labels", "png")):
        for number, drive in enumerate(("day", "day", "night", "night")):
            (root / part / drive).mkdir(exist_ok=True)
            name = f"{number % 2}.{suffix}"
            (root / part / f"{number:03d}.{suffix}").rename(root / part / drive / name)
    (root / "train.txt").write_text("/elsewhere/images/day/0.jpg\nnight/1\n")
    assert splits(root)["train"] == ["day/0", "night/1"]
    (root / "train.txt").write_text("dawn/0.jpg\n")
    with pytest.raises(DataError, match=r"train.txt, line 1: 'dawn/0.jpg' is no image of the"):
        open_dataset(root)
    (root / "train.txt").write_text("0\n")
    with pytest.raises(
        DataError, match=r"'0' is 2 images in subfolders, as day/0 and night/0; write"
    ):
        open_dataset(root)


def test_a_name_within_a_listed_name_is_not_listed(tmp_path: Path) -> None:
    trees.voc(tmp_path)
    trees.image(tmp_path / "JPEGImages/street.jpg")  # never labeled; street_0 is in a list
    assert {*splits(tmp_path)} == {"train", "val"}


def test_an_image_that_a_list_names_twice_is_named(tmp_path: Path) -> None:
    trees.lists(tmp_path)
    with (tmp_path / "train.txt").open("a") as file:
        file.write((tmp_path / "train.txt").read_text())
    with pytest.raises(DataError, match=r"train.txt, line 2: 'JPEGImages/train0.jpg' stands"):
        open_dataset(tmp_path)


def test_a_version_that_is_not_there_is_said(tmp_path: Path) -> None:
    trees.mapillary_12(tmp_path)
    with pytest.raises(
        RequestError, match=r"'mapillary-2.0' was asked for, but the classes are those of mapillary"
    ):
        open_dataset(tmp_path, classes="mapillary-2.0")


@pytest.mark.parametrize("change", ["JPEG", "alpha"])
def test_numbers_of_segments_that_cannot_be_right_are_refused(change: str, tmp_path: Path) -> None:
    trees.segments_ai(tmp_path)
    pair = open_dataset(tmp_path).pairs("train")[0]
    gray = Image.fromarray(np.full(trees.SIZE, 1, np.uint8))
    if change == "JPEG":
        gray.save(pair.label, "JPEG")
    else:
        Image.merge("LA", [gray, gray]).save(pair.label)
    with pytest.raises(DataError, match="lossy compression" if change == "JPEG" else "transparent"):
        open_dataset(tmp_path).read_labels(pair)


def test_a_folder_named_as_a_table_is_none(write_folder) -> None:
    root = write_folder((".",), images=4)
    (root / "labels.csv").mkdir()
    assert sum(map(len, splits(root).values())) == 4


def test_a_csv_of_images_labels_and_splits(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / f"photos/{number}.jpg", number)
        write_mask(tmp_path / f"drawn/{number}_seg.png", stripes())
    rows = ["image,label,split", "photos/0.jpg,drawn/0_seg.png,train"]
    rows += ["photos/1.jpg,drawn/1_seg.png,valid", "photos/2.jpg,drawn/2_seg.png,train"]
    (tmp_path / "data.csv").write_text("\n".join(rows))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert splits(tmp_path) == {"train": ["photos/0", "photos/2"], "val": ["photos/1"]}
    (tmp_path / "data.csv").write_text("\n".join([*rows, "photos/3.jpg,drawn/3.png,train"]))
    with pytest.raises(DataError, match=r"data.csv, line 5: neither 'photos/3.jpg' nor its label"):
        open_dataset(tmp_path)
    (tmp_path / "data.csv").write_text("\n".join([*rows, "photos/0.jpg,drawn/0_seg.png,trian"]))
    with pytest.raises(DataError, match=r"line 5: the split 'trian', expected train, val, test"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("names", [("train", "val"), ("Train", "Valid"), ("train2017", "val2017")])
@pytest.mark.parametrize("parts", [("images", "labels"), ("Images", "Masks"), ("img", "gt")])
def test_names_of_folders(names: tuple[str, str], parts: tuple[str, str], write_folder) -> None:
    root = write_folder()
    for old, new in zip(("images", "labels"), parts, strict=True):
        for split, name in zip(("train", "val"), names, strict=True):
            (root / old / split).rename(root / old / name)
        (root / old).rename(root / new)
    assert splits(root) == {split: ["000", "001", "002"] for split in ("train", "val")}


@pytest.mark.parametrize("name", ["train_new", "trian", "val-2"])
def test_a_folder_that_is_nearly_a_split_is_not_drawn_from(name: str, write_folder) -> None:
    root = write_folder(("train",))
    for part in ("images", "labels"):
        (root / part / "train").rename(root / part / name)
    with pytest.raises(RequestError, match=f"'{name}' is no split"):
        open_dataset(root)


def test_a_list_line_without_its_label_is_named(tmp_path: Path) -> None:
    trees.lists(tmp_path)
    with (tmp_path / "train.txt").open("a") as file:
        file.write("JPEGImages/more.jpg\n")
    with pytest.raises(DataError, match=r"train.txt, line 2: names no label beside the image"):
        open_dataset(tmp_path)


def test_subfolders_are_part_of_the_name(write_folder) -> None:
    root = write_folder()
    for part in ("images", "labels"):
        (root / part / "train" / "day2").mkdir()
        for path in sorted((root / part / "train").glob("00[12].*")):
            path.rename(path.parent / "day2" / path.name)
    assert splits(root)["train"] == ["000", "day2/001", "day2/002"]
    assert check_dataset(root).findings == ()


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 1, 2, 255], [3, 7, 26], [(1, 2, 3), (9, 8, 7)]])
def test_without_a_class_list_the_printed_line_makes_one(values: list, tmp_path: Path) -> None:
    root = tmp_path / "my driver's data"
    for split in ("train", "val"):
        trees.image(root / f"{split}/images/a.jpg")
        trees.mask(root / f"{split}/masks/a.png", values)
    with pytest.raises(RequestError, match=r"but no classes\.txt; write one") as caught:
        open_dataset(root)
    line = str(caught.value).partition("put in the names: ")[2]
    assert line.startswith("printf ")
    subprocess.run(["bash", "-c", line], check=True)
    dataset = open_dataset(root)
    labels_hw = dataset.read_labels(dataset.pairs("train")[0])
    classes = [value for value in values if value != 255]
    assert len(dataset.names) == len(classes)
    assert {*np.unique(labels_hw).tolist()} - {255} == {*range(len(classes))}


@pytest.mark.parametrize("form", ["JPEG", "soft", "PNG", "beside one of indices"])
def test_without_a_class_list_the_colors_of_areas_are_named(
    form: str, tmp_path: Path, command
) -> None:
    root, colors = tmp_path / "set", np.uint8([(200, 0, 0), (0, 180, 60), (30, 30, 220)])
    for split in ("train", "val"):
        for name in "abc":
            write_image(root / f"images/{split}/{name}.png", ord(name) * len(split), (320, 384))
            path = root / f"labels/{split}/{name}.png"
            mask = np.roll(trees.columns([0, 1, 2]), ord(name), 1)
            mask = cv2.resize(mask.astype(np.uint8), None, fx=8, fy=8, interpolation=0)
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = colors[mask]
            if form == "soft":  # borders of two blends, each of many pixels; and 48 of few
                drawn = cv2.blur(drawn[::2, ::2], (3, 3)).repeat(2, 0).repeat(2, 1)
                drawn[0, :48] = np.linspace(*colors[:2], 48).astype(np.uint8)
            Image.fromarray(drawn).save(path, "JPEG" if form == "JPEG" else "PNG")
    if form == "beside one of indices":
        write_mask(path, mask)
    done = command("check", root)
    assert done.status == 2
    assert len(re.findall(r"#[0-9a-f]{6} \(\d+ pixels\)", done.err)) == 3, done.err
    assert ("others on few pixels, near these or between two" in done.err) == (
        form in ("JPEG", "soft")
    )
    subprocess.run(["bash", "-c", done.err[done.err.index("printf ") :]], check=True)
    command("check", root, "--fix", tmp_path / "copy")
    assert command("check", tmp_path / "copy").status == 0


def test_without_a_class_list_a_color_between_two_is_told(tmp_path: Path, command) -> None:
    for split in ("train", "val"):
        trees.image(tmp_path / f"images/{split}/a.jpg")
        trees.mask(tmp_path / f"labels/{split}/a.png", [(0, 0, 0), (0, 0, 0), (0, 240, 0)])
        path = tmp_path / f"labels/{split}/a.png"
        mask = np.array(Image.open(path))
        mask[:1, :1] = (0, 120, 0)
        Image.fromarray(mask).save(path)
    done = command("check", tmp_path)
    assert "; where #007800 are only soft borders, leave out their lines" in done.err


def test_without_a_class_list_what_255_is_stands_in_the_line(tmp_path: Path, command) -> None:
    for split in ("train", "val"):
        trees.image(tmp_path / f"images/{split}/a.jpg")
        trees.mask(tmp_path / f"labels/{split}/a.png", [0, 128, 255])
    done = command("check", tmp_path)
    assert "where 255 is a class, write `255 NAME` in place of the last line" in done.err
    line = done.err[done.err.index("printf ") :]
    subprocess.run(["bash", "-c", line.replace("ignore 255", "255 box")], check=True)
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("class0", "class128", "box")
    assert {*np.unique(dataset.read_labels(dataset.pairs("val")[0])).tolist()} == {0, 1, 2}


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_without_a_class_list_what_is_transparent_is_background(
    mode: str, tmp_path: Path, command
) -> None:
    root, columns = tmp_path / "set", trees.columns([0, 1, 2])
    for split in ("train", "val"):
        trees.image(root / f"images/{split}/a.jpg")
        (root / f"labels/{split}").mkdir(parents=True)
        gray, alpha = np.uint8([0, 60, 90])[columns], np.uint8([0, 255, 255])[columns]
        color = [gray] * (1 if mode == "LA" else 3)
        Image.fromarray(np.dstack([*color, alpha]), mode).save(root / f"labels/{split}/a.png")
    done = command("check", root)
    assert "transparent pixels, as which `background` stands first" in done.err
    subprocess.run(["bash", "-c", done.err[done.err.index("printf ") :]], check=True)
    command("check", root, "--fix", tmp_path / "copy")
    copy = open_dataset(tmp_path / "copy")
    assert copy.names[0] == "background"
    np.testing.assert_array_equal(copy.read_labels(copy.pairs("val")[0]), columns)


def test_the_check_that_is_named_for_what_has_no_partner_runs(tmp_path: Path, command) -> None:
    root = tmp_path / "my driver's data"
    for split in ("train", "val"):
        trees.image(root / f"images/{split}/a.jpg")
        trees.mask(root / f"labels/{split}/a.png", [0, 1])
    trees.image(root / "images/train/b.jpg")
    (root / "classes.txt").write_text("sky\nroad\n")
    with pytest.raises(DataError, match="restore or remove the others") as caught:
        open_dataset(root)
    printed = shlex.split(str(caught.value).split("`")[1])
    done = command(*printed[1:])
    assert (done.status, "image-without-label (1)" in done.out) == (1, True), done.out + done.err


def test_without_a_class_list_0_and_255_have_two_readings(tmp_path: Path) -> None:
    for split in ("train", "val"):
        trees.image(tmp_path / f"{split}/images/a.jpg")
        trees.mask(tmp_path / f"{split}/masks/a.png", [0, 255])
    with pytest.raises(
        RequestError, match=r"`0 background` and `255 NAME`; where it means ignored"
    ):
        open_dataset(tmp_path)


def test_kaggles_camvid_says_that_its_split_leaks(tmp_path: Path) -> None:
    trees.camvid_kaggle(tmp_path)
    kinds = {finding.kind: finding for finding in check_dataset(tmp_path).findings}
    assert "neighboring frames of one video" in kinds["known-flaw"].message


def test_an_unknown_layout_names_the_nearest_and_what_to_move(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        trees.image(tmp_path / f"photos/{name}.jpg")
        trees.mask(tmp_path / f"painted/{name}.png", [0, 1, 2])
    trees.text(tmp_path / "classes.txt", "x", "y", "z")
    with pytest.raises(RequestError, match="no data set of a known layout") as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert "photos holds 3 images and painted their masks" in message
    moves = re.findall(r"^\s+(mv .+)$", message, re.MULTILINE)
    assert len(moves) == 2
    for move in moves:
        _, source, target = shlex.split(move)
        shutil.move(source, target)
    assert sum(map(len, open_dataset(tmp_path).splits.values())) == 3


@pytest.mark.parametrize(("suffix", "form"), [(".jfif", "JPEG"), (".avif", "AVIF")])
def test_jfif_and_avif_are_read(suffix: str, form: str, write_folder) -> None:
    if form == "AVIF" and "AVIF" not in AVIF:
        pytest.skip("this Pillow was built without AVIF")
    root = write_folder()
    before = open_dataset(root)
    true = [before.read_image(pair) for pair in before.pairs("train")]
    for path in [*root.glob("images/*/*.jpg")]:
        Image.open(path).save(path.with_suffix(suffix), form, quality=100)
        path.unlink()
    dataset = open_dataset(root)
    for pair, image_hwc in zip(dataset.pairs("train"), true, strict=True):
        assert pair.image.suffix == suffix
        read = dataset.read_image(pair)
        assert read.shape == image_hwc.shape
        assert np.abs(read.astype(int) - image_hwc).mean() < 12  # red and blue are not swapped
    assert check_dataset(root).findings == ()


@pytest.mark.parametrize("suffix", [".heic", ".npy", ".gif", ".jp2", ".mat"])
@pytest.mark.parametrize("part", ["images", "labels"])
def test_types_that_are_not_read_are_named_as_the_cause(part: str, suffix: str, write_folder):
    root = write_folder()
    for path in [*root.glob(f"{part}/*/*")]:
        path.rename(path.with_suffix(suffix))
    report = check_dataset(root)
    (finding,) = (f for f in report.findings if f.severity == "error")
    assert (finding.kind, finding.count) == ("unread-data", 6)
    assert f"6 of type {suffix}" in finding.message
    assert f"convert {suffix} to PNG" in finding.fix_hint
    assert report.files.unread[f"of type {suffix}"] == 6


def test_segments_without_a_class_are_named(tmp_path: Path) -> None:
    trees.wilddash2(tmp_path)
    path = open_dataset(tmp_path).pairs("train")[0].label
    trees.mask(path, [(5, 0, 0), (0, 7, 0)])
    with pytest.raises(DataError, match=r"value 5 \(.* pixels\) of no class"):
        open_dataset(tmp_path).read_labels(open_dataset(tmp_path).pairs("train")[0])
    (tmp_path / "panoptic.json").write_text("{}")
    with pytest.raises(DataError, match=r"panoptic\.json: annotations is missing"):
        open_dataset(tmp_path)


def test_a_changed_json_is_read_again(tmp_path: Path) -> None:
    trees.wilddash2(tmp_path)
    before = check_dataset(tmp_path).splits["train"]
    content = json.loads((tmp_path / "panoptic.json").read_text())
    for annotation in content["annotations"]:
        annotation["segments_info"][0]["category_id"] = 8
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    after = check_dataset(tmp_path).splits["train"]
    assert before.pixels[1] == after.pixels[2] > 0
    assert before.pixels[2] == after.pixels[1] == 0


def test_the_readings_of_one_class_with_0_and_255(write_folder) -> None:
    root = write_folder(classes="polyp\n")
    for path in root.glob("labels/*/*.png"):
        write_mask(path, stripes(2) * 255)
    (finding,) = (f for f in check_dataset(root).findings if f.severity == "error")
    assert finding.kind == "single-class"
    assert "one of them is the background and the other 'polyp'" in finding.message
    assert "or 0 is 'polyp' and 255 ignored" in finding.message
    lines = re.findall(r"`(\d+ \w+)`", finding.fix_hint)
    assert "with the two numbers swapped where 255 is the background" in finding.fix_hint
    numbers, names = zip(*(line.split() for line in lines), strict=True)
    for those in (numbers, numbers[::-1]):
        said = (f"{number} {name}\n" for number, name in zip(those, names, strict=True))
        (root / "classes.txt").write_text("".join(said))
        report = check_dataset(root)
        assert report.fit
        assert report.held == dict(enumerate(those))
        assert report.splits["train"].pixels[0] == report.splits["train"].pixels[1] > 0


def test_an_export_without_its_images_is_named(tmp_path: Path) -> None:
    trees.mask(tmp_path / "SegmentationClass/a.png", [(0, 0, 0), (0, 128, 0)])
    trees.text(tmp_path / "labelmap.txt", "background:0,0,0::", "car:0,128,0::")
    with pytest.raises(RequestError, match="its images are not there: put them into") as caught:
        open_dataset(tmp_path)
    assert str(tmp_path / "JPEGImages") in str(caught.value)
    trees.image(tmp_path / "JPEGImages/a.jpg")
    assert open_dataset(tmp_path).kind == "voc"
