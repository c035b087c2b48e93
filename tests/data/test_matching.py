"""Images and label files are paired by the name that people read."""

import unicodedata

import numpy as np
import pytest
from tests.data.conftest import stripes, write_image, write_mask

from briskseg.data import open_dataset


@pytest.mark.parametrize("renamed", ["images", "labels"])
def test_names_that_differ_in_unicode_form_alone_are_paired(write_folder, renamed):
    root = write_folder()
    for part, suffix in (("images", "jpg"), ("labels", "png")):
        form = "NFD" if part == renamed else "NFC"  # as macOS writes names, and as others do
        for split in ("train", "val"):
            file = root / part / split / f"001.{suffix}"
            file.rename(file.with_name(f"{unicodedata.normalize(form, 'Zürich café')}.{suffix}"))
    pairs = open_dataset(root).splits
    assert [pair.name for pair in pairs["val"]] == ["000", "002", "Zürich café"]
    assert all(pair.image.is_file() and pair.label.is_file() for pair in pairs["val"])


def test_a_name_in_both_forms_is_used_twice(write_folder, command):
    root = write_folder()
    image = root / "images" / "val" / "001.jpg"
    for form in ("NFC", "NFD"):
        copy = image.with_name(unicodedata.normalize(form, "é.jpg"))
        copy.write_bytes(image.read_bytes())
    (root / "labels" / "val" / "001.png").rename(root / "labels" / "val" / "é.png")
    image.unlink()
    done = command("check", root)
    assert done.status == 1
    assert "name-used-twice" in done.out


def write_named(root, images, masks):
    """A flat set of files of these names; every mask's second row is its number."""
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        write_image(root / "images" / f"{image}.png", number)
        write_mask(root / "labels" / f"{mask}.png", np.roll(stripes(), number, 0))
    (root / "classes.txt").write_text("road\ncar\nsky\n")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("img_{:03d}", "mask_{:03d}"),
        ("IMG{}", "seg-{}"),
        ("{:04d}_rgb", "{:04d}_label"),
        ("street {} left", "gt_{}_left"),
    ],
)
def test_one_affix_on_each_side_is_told_and_repaired(tmp_path, command, image, mask):
    numbers = range(1, 13)
    write_named(tmp_path / "set", map(image.format, numbers), map(mask.format, numbers))
    done = command("check", tmp_path / "set", "--fix", tmp_path / "copy")
    assert done.status == 0
    said = [f"as {mask.format(n)}.png for {image.format(n)}.png" for n in numbers]
    assert any(one in " ".join(done.out.split()) for one in said)
    dataset = open_dataset(tmp_path / "copy")
    for pair in (pair for some in dataset.splits.values() for pair in some):
        number = next(n for n in numbers if pair.name == image.format(n))
        assert dataset.read_labels(pair)[0, 0] == -(number - 1) % 3


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["cam1_01", "cam1_02", "cam1_03"], ["cam2_01", "cam2_02", "cam2_03"]),
        (["img_01", "img_02", "img_03", "img_04"], ["mask_01", "inst_01", "mask_02", "inst_02"]),
        (["a", "b", "c_01", "c_02"], ["a", "b", "d_01", "d_02"]),
    ],
    ids=["other numbers", "two masks of one image", "others have one name"],
)
def test_names_that_may_be_of_other_images_are_not_paired(tmp_path, command, images, masks):
    write_named(tmp_path, images, masks)
    done = command("check", tmp_path)
    assert "names-differ" not in done.out
    assert "image-without-label" in done.out
