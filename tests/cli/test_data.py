"""briskseg data: the kinds that are recognized, and drawing streets."""

from __future__ import annotations

from briskseg import open_dataset
from briskseg.data import FORMATS, synthetic


def test_every_kind_is_listed_within_100_columns(command):
    status, text, _ = command("data")
    assert status == 0
    for kind in FORMATS:
        assert any(line.startswith(kind) for line in text.splitlines())
    assert "LabeledApproved_full/NAME_L.png" in text
    assert max(map(len, text.splitlines())) <= 100


def test_draw(command, tmp_path):
    folder = tmp_path / "my streets"
    numbers = ("--train", 2, "--val", 1, "--size", "40x60", "--seed", 5)
    status, text, _ = command("data", "draw", folder, *numbers)
    assert status == 0
    assert f"{folder}: 2 train and 1 val images of 40x60, seed 5" in text
    assert f"look at it: briskseg check '{folder}'" in text
    dataset = open_dataset(folder)
    assert dataset.kind == "streets"
    assert dataset.read(dataset.pairs("val")[0])[0].shape == (40, 60, 3)
    status, _, error = command("data", "draw", folder)
    assert status == 2
    assert "is not empty; name a new folder, nothing is overwritten" in error


def test_streets_that_are_drawn_first_are_told_of(command, tmp_path, monkeypatch):
    draw = synthetic.draw_dataset

    def draw_few(folder, progress):
        return draw(folder, 2, 1, (40, 60), 0, progress)

    monkeypatch.setenv("BRISKSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(synthetic, "draw_dataset", draw_few)
    monkeypatch.setattr("briskseg.cli.console.LINE_EVERY_S", 0)
    status, _, said = command("data", "convert", "streets", tmp_path / "masks")
    assert status == 0
    assert "opening 3/3" in said
    assert "opening" not in command("data", "convert", "streets", tmp_path / "again")[2]


def test_a_size_that_is_none(command, tmp_path):
    status, _, error = command("data", "draw", tmp_path / "new", "--size", "40")
    assert status == 2
    assert "--size 40 is no size, expected HxW as in 512x1024" in error
    assert not (tmp_path / "new").exists()
