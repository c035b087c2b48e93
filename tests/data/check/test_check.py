"""`check` names every fault that was put into a data set, and none in a sound one."""

import re

import numpy as np
import pytest
from PIL import Image
from tests.data.conftest import stripes, write_image, write_mask

from briskseg.data import open_dataset
from briskseg.data.check import check_dataset


def found(report):
    return {finding.kind: finding for finding in report.findings}


def files(finding):
    return [path.as_posix() for path in finding.files]


def test_a_sound_set_has_no_finding(write_folder):
    report = check_dataset(write_folder())
    assert report.findings == ()
    assert report.fit
    assert (report.kind, report.classes) == ("folder", ("road", "car", "sky"))
    assert report.sizes == {(12, 16): 6}
    assert report.splits["train"].pairs == 3
    assert report.splits["train"].pixels == (192, 192, 192)
    assert report.splits["train"].images == (3, 3, 3)


def test_files_without_counterpart(write_folder):
    root = write_folder(images=8)
    for number in range(5):
        (root / "labels" / "train" / f"{number:03d}.png").unlink()
    (root / "images" / "val" / "000.jpg").unlink()
    report = check_dataset(root)
    missing = found(report)["image-without-label"]
    assert (missing.severity, missing.count) == ("error", 5)
    assert files(missing) == [f"images/train/{number:03d}.jpg" for number in range(5)]
    assert files(found(report)["label-without-image"]) == ["labels/val/000.png"]
    assert not report.fit


@pytest.mark.parametrize("share", [0, 0.6])
@pytest.mark.parametrize("which", ["images/train/001.jpg", "labels/train/001.png"])
def test_damaged_files(write_folder, which, share):
    root = write_folder()
    whole = (root / which).read_bytes()
    (root / which).write_bytes(whole[: int(len(whole) * share)])
    damaged = found(check_dataset(root))["damaged-file" if share else "empty-file"]
    assert (damaged.severity, damaged.count, files(damaged)) == ("error", 1, [which])
    assert which in damaged.message


def test_sizes_that_differ(write_folder):
    root = write_folder()
    write_mask(root / "labels" / "val" / "002.png", stripes(3, (12, 18)))
    finding = found(check_dataset(root))["sizes-differ"]
    assert (finding.severity, files(finding)) == ("error", ["labels/val/002.png"])
    assert "image 16x12, labels 18x12 (width x height)" in finding.message


def test_values_and_colors_of_no_class(write_folder):
    root = write_folder(classes="road 10 20 30\ncar\nsky\n")
    write_mask(root / "labels" / "train" / "000.png", stripes(4))
    write_mask(root / "labels" / "val" / "000.png", stripes(4))
    write_mask(root / "labels" / "val" / "001.png", np.full((12, 16, 3), 2, np.uint8))
    purple = np.zeros((12, 16, 3), np.uint8) + np.uint8([90, 0, 90])
    write_mask(root / "labels" / "val" / "002.png", purple)
    report = check_dataset(root)
    values = found(report)["unknown-values"]
    assert (values.severity, values.count) == ("error", 2)
    assert files(values) == ["labels/train/000.png", "labels/val/000.png"]
    assert "3 (96 pixels)" in values.message
    assert "values 0 to 3 are 4 classes, and the list has 3: add the missing" in values.fix_hint
    assert "`ignore" not in values.fix_hint  # which would shift every class past a background
    assert files(found(report)["index-as-rgb"]) == ["labels/val/001.png"]
    assert "an index mask saved as RGB" in found(report)["index-as-rgb"].fix_hint
    assert files(found(report)["unknown-colors"]) == ["labels/val/002.png"]
    assert "(90, 0, 90) (192 pixels)" in found(report)["unknown-colors"].message


@pytest.mark.parametrize("ignored", ["", "ignore 2\n"])
def test_masks_of_0_and_255(write_folder, ignored):
    root = write_folder(classes=f"background\nroad\n{ignored}")
    for path in root.glob("labels/*/*.png"):
        write_mask(path, stripes(2) * 255)
    finding = found(check_dataset(root))["binary-masks"]
    assert (finding.severity, finding.count) == ("error", 6)
    assert "write 1 instead of 255" in finding.fix_hint


@pytest.mark.parametrize(
    ("classes", "exchanged", "values"),
    [
        ("road car sky", {}, {0: 0, 128: 1, 255: 2}),
        ("road car sky", {"255 sky": "ignore 255"}, {0: 0, 128: 1, 255: 255}),
        ("road car", {}, {0: 0, 128: 1, 255: 255}),
        ("road car", {"128 car": "255 car", "ignore 255": "ignore 128"}, {0: 0, 128: 255, 255: 1}),
    ],
)
def test_masks_of_0_128_and_255_end_as_the_user_says(
    write_folder, command, classes, exchanged, values
):
    root = write_folder(classes="\n".join(classes.split()) + "\n")
    for path in root.glob("labels/*/*.png"):
        write_mask(path, np.uint8([0, 128, 255])[stripes()])
    done = command("check", root)
    assert done.status == 1
    (cure,) = re.findall(r"in order: (.*?);", " ".join(done.out.split()))
    lines = [exchanged.get(line, line) for line in re.findall("`([^`]+)`", cure)]
    (root / "classes.txt").write_text("\n".join(lines) + "\n")
    assert command("check", root).status == 0
    dataset = open_dataset(root)
    labels = dataset.read_labels(dataset.pairs("val")[0])
    assert labels[:3, 0].tolist() == [*values.values()]


def test_0_and_255_of_two_classes_beside_a_third_value_that_is_ignored(
    write_folder, command, tmp_path
):
    root = write_folder(classes="road\ncar\nignore 128 255\n")
    for path in root.glob("labels/*/*.png"):
        write_mask(path, np.uint8([0, 128, 255])[stripes()])
    done = command("check", root, "--fix", tmp_path / "copy")
    copy = open_dataset(tmp_path / "copy")
    assert copy.read_labels(copy.pairs("val")[0])[:3, 0].tolist() == [0, 255, 1]
    assert "`0 road`, `255 car`, `ignore 128`" in " ".join(done.out.split())


@pytest.mark.parametrize("listed", ["background", "background 0 0 0", "else 0 0 0"])
@pytest.mark.parametrize("under", [(0, 0, 0), (255, 255, 255), None])
def test_a_transparent_background_is_the_background_of_the_copy(
    write_folder, command, tmp_path, listed, under
):
    root = write_folder(classes=f"{listed}\ncar 9 80 7\nsky 1 2 200\n")
    for path in root.glob("labels/*/*.png"):
        labels = stripes()
        alpha = np.where(labels == 0, 0, 255).astype(np.uint8)
        colors = np.uint8([under, (9, 80, 7), (1, 2, 200)])[labels] if under else labels
        Image.fromarray(np.dstack([colors, alpha])).save(path)
    done = command("check", root, "--fix", tmp_path / "copy")
    name = listed.partition(" ")[0]
    is_told = name == "background" or under != (255, 255, 255)
    meant = f"'{name}'" if is_told else "ignored"
    assert (
        f"384 transparent pixels, which --fix takes as {meant} where they are wholly so"
        in " ".join(done.out.split())
    )
    copy = open_dataset(tmp_path / "copy")
    labels = copy.read_labels(copy.pairs("val")[0])
    assert labels[:3, 0].tolist() == [0 if is_told else 255, 1, 2]


def test_transparent_pixels_beside_background_are_ignored(write_folder, command, tmp_path):
    root = write_folder(classes="background\ncar\nsky\n")
    for path in root.glob("labels/*/*.png"):
        labels, alpha = stripes(), np.full((12, 16), 255, np.uint8)
        labels[:3], alpha[:3], alpha[3] = 0, 0, 128
        Image.fromarray(np.dstack([labels, alpha])).save(path)
    command("check", root, "--fix", tmp_path / "copy")
    copy = open_dataset(tmp_path / "copy")
    labels = copy.read_labels(copy.pairs("val")[0])
    assert labels[:7, 0].tolist() == [255, 255, 255, 255, 1, 2, 0]


def test_files_in_which_all_is_ignored(write_folder):
    root = write_folder()
    write_mask(root / "labels" / "train" / "001.png", np.full((12, 16), 255, np.uint8))
    report = check_dataset(root)
    finding = found(report)["all-ignored"]
    assert (finding.severity, files(finding)) == ("warning", ["labels/train/001.png"])
    assert report.fit


def test_classes_that_occur_nowhere_or_in_one_split(write_folder):
    root = write_folder(classes="road\ncar\nsky\nroof\ntree\nlake\n")
    write_mask(root / "labels" / "train" / "000.png", np.full((12, 16), 3, np.uint8))
    write_mask(root / "labels" / "val" / "000.png", np.full((12, 16), 4, np.uint8))
    kinds = found(check_dataset(root))
    assert kinds["class-absent"].message == "classes that occur in no file: lake"
    assert kinds["class-untrained"].message == "classes in val but not in train: tree"
    assert kinds["class-untrained"].severity == "warning"
    assert kinds["class-unmeasured"].message == "classes in train but not in val: roof"
    assert kinds["class-unmeasured"].severity == "note"


def test_images_in_two_splits(write_folder):
    root = write_folder()
    same = ["images/train/001.png", "images/val/002.png"]
    for path in same:  # lossless: the same pixels
        (root / path).with_suffix(".jpg").unlink()
        write_image(root / path, 5)
    val = len([*root.glob("images/val/*")])
    finding = found(check_dataset(root))["val-in-train"]
    assert (finding.severity, finding.count, files(finding)) == ("error", 1, same)
    assert f"1 image of val's {val} lies in train too" in finding.message
    assert "remove these images from train, or split anew" in finding.fix_hint
    for number in range(val, 21):
        if number == 20:  # a twentieth is an error, less is none
            assert not check_dataset(root).fit
        write_image(root / f"images/val/{number:03d}.png", 100 + number)
        write_mask(root / f"labels/val/{number:03d}.png", stripes(3))
    report = check_dataset(root)
    finding = found(report)["duplicates"]
    assert (finding.severity, files(finding)) == ("warning", same)
    assert "val-in-train" not in found(report)


def test_several_sizes_are_only_a_note(write_folder):
    root = write_folder()
    write_image(root / "images" / "val" / "000.jpg", 9, (20, 30))
    write_mask(root / "labels" / "val" / "000.png", stripes(3, (20, 30)))
    report = check_dataset(root)
    assert found(report)["sizes-vary"].severity == "note"
    assert report.sizes == {(12, 16): 5, (20, 30): 1}


def test_a_split_that_is_missing(write_folder):
    finding = found(check_dataset(write_folder(("val",))))["split-empty"]
    assert finding.severity == "error"
    assert "the split 'train' has no pair" in finding.message


def test_errors_come_first(write_folder):
    root = write_folder(classes="road\ncar\nsky\nlake\n")
    write_mask(root / "labels" / "val" / "000.png", stripes(3, (20, 30)))
    severities = [finding.severity for finding in check_dataset(root).findings]
    assert severities == ["error", "warning"]
