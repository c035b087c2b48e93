"""Images and label files are paired by the name that people read."""

import unicodedata

import pytest

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
