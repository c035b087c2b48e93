"""`briskseg data show`: cells to the pixel, the augmentation of training, the violins' order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from briskseg.cli.options import usual_recipe
from briskseg.core.images import read_image, write_png
from briskseg.core.overlay import overlay
from briskseg.data import FORMATS, open_dataset
from briskseg.data.frequencies import count_pixels
from briskseg.data.synthetic import draw_dataset
from briskseg.data.violins import rarest_first, save_violins
from briskseg.recipe import list_recipes, load_recipe

matplotlib = pytest.importorskip("matplotlib")
GAP, STRIP = 6, 24


@pytest.fixture
def shown(command, tmp_path: Path):
    """`shown(data, ...)` runs the command -> the pictures by name, as arrays."""

    def run(data: Path, *words: object) -> dict[str, np.ndarray]:
        done = command("data", "show", data, "--out", tmp_path / "new" / "pictures", *words)
        assert (done.status, done.err) == (0, "")
        files = [Path(line) for line in done.out.splitlines()[:4]]
        return {file.name: read_image(file) for file in files}

    return run


def cell(sheet: np.ndarray, row: int, column: int, size_hw: tuple[int, int]) -> np.ndarray:
    height, width = size_hw
    top = 2 * STRIP + row * (height + STRIP + GAP)
    left = GAP + column * (width + GAP)
    return sheet[top : top + height, left : left + width]


def test_samples_are_the_pairs_and_their_overlay(streets: Path, shown) -> None:
    sheet = shown(streets, "--samples", 3)["samples.png"]
    dataset = open_dataset(streets)
    pairs = dataset.pairs("train")
    for row, index in enumerate((0, 6, 11)):  # evenly through the twelve
        image, labels = dataset.read(pairs[index])
        assert (cell(sheet, row, 0, (48, 64)) == image).all()
        assert (cell(sheet, row, 1, (48, 64)) == dataset.labels.colorize(labels)).all()
        assert (cell(sheet, row, 2, (48, 64)) == overlay(image, labels, dataset.labels)).all()
    below = sheet[2 * STRIP + 3 * (48 + STRIP + GAP) :].reshape(-1, 3)
    assert (below == dataset.labels.colors[3]).all(axis=1).sum() > 100  # the legend's road


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ([], [(40, 56)] * 5),
        # two of five epochs at half the size, of 12 images in steps of 4
        (
            ["augment.progressive_resize={factors: [0.5], until: [0.4]}"],
            [(16, 32)] * 2 + [(40, 56)] * 3,
        ),
    ],
)
def test_augmented_samples_are_those_that_training_takes(
    changes: list[str], sizes: list[tuple[int, int]], streets: Path, shown, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from briskseg.training.samples.augment import Augmenter
    from briskseg.training.samples.loader import ImageStore, TrainingSamples

    fixed = ["training.steps=15", "training.epochs=null", "training.batch=4"]
    varied = ["data.size=[40,56]", "training.seed=3", "augment.rotate=10", *changes]
    recipe = load_recipe("demo", [*fixed, *varied])
    own = tmp_path / "own.yaml"
    own.write_text(recipe.to_yaml())
    pictures = shown(streets, "--recipe", own, "--samples", 2)
    dataset = open_dataset(streets)
    store = ImageStore(dataset, "train", 1.0)
    fill = tuple(round(255 * mean) for mean in recipe.data.mean)
    samples = TrainingSamples(store, Augmenter(recipe.augment, fill), recipe.data.size, 3, 5)
    for row, index in enumerate((0, 11)):
        for epoch in range(5):
            image, labels, _ = samples[epoch, index]
            both = overlay(image, labels, dataset.labels)
            assert image.shape[:2] == sizes[epoch]
            for name, expected in (("augmented", image), ("augmented-overlay", both)):
                shown_hwc = cell(pictures[f"{name}.png"], row, epoch, (40, 56))
                height, width = sizes[epoch]
                assert (shown_hwc[:height, :width] == expected).all()
    assert pictures["augmented.png"].shape[1] == GAP + 5 * (56 + GAP)


def test_shares_are_per_image_and_the_rarest_class_is_first(streets: Path) -> None:
    dataset = open_dataset(streets)
    found = rarest_first(count_pixels(dataset, "train"))
    masks = [dataset.read(pair)[1] for pair in dataset.pairs("train")]
    every = np.concatenate([mask.ravel() for mask in masks])
    totals = [(every == index).sum() for index in range(11)]
    assert [totals[index] for index, _ in found] == sorted(totals)
    for index, shares in found:
        expected = [
            (mask == index).sum() / (mask != 255).sum() for mask in masks if (mask == index).any()
        ]
        assert shares.tolist() == pytest.approx(expected)


def test_a_long_class_name_leaves_room_for_the_violins(streets: Path, tmp_path: Path) -> None:
    dataset = open_dataset(streets)
    labels = replace(dataset.labels, names=("n" * 100, *dataset.names[1:]))
    counts = replace(count_pixels(dataset, "val"), classes=labels.names)
    save_violins(counts, labels, tmp_path / "shares.svg")  # matplotlib would warn of no room
    drawn = (tmp_path / "shares.svg").read_text("utf-8")
    assert f"{'n' * 39}…" in drawn
    assert "n" * 40 not in drawn


def test_violins_stand_in_that_order(streets: Path, shown) -> None:
    picture = shown(streets)["class-shares.png"]
    dataset = open_dataset(streets)
    heights = []
    for index, shares in rarest_first(count_pixels(dataset, "train")):
        rows = np.flatnonzero((picture == dataset.labels.colors[index]).all(axis=2).sum(axis=1) > 3)
        assert len(rows), dataset.labels.names[index]
        assert len(shares)
        heights.append(rows.mean())
    assert heights == sorted(heights)
    assert min(np.diff(heights)) > 20


def test_absent_classes_single_images_and_empty_labels_are_shown(small_data: Path, shown) -> None:
    for number, path in enumerate(sorted((small_data / "labels/val").iterdir())):
        labels = np.full(read_image(path).shape[:2], 255, np.uint8)
        if number:
            labels[:5] = 0
        write_png(path, labels)
    pictures = shown(small_data, "--split", "val", "--samples", 50)
    assert len(pictures) == 4


def test_large_images_are_shrunk_into_their_cells(small_data: Path, shown) -> None:
    write_png(small_data / "images/train/street0.png", np.zeros((800, 1200, 3), np.uint8))
    write_png(small_data / "labels/train/street0.png", np.ones((800, 1200), np.uint8))
    sheet = shown(small_data)["samples.png"]
    assert sheet.shape[1] == GAP + 3 * (360 + GAP)


def test_every_kind_has_a_recipe_to_show() -> None:
    assert {usual_recipe(kind) for kind in FORMATS} <= set(list_recipes())


def test_wrong_requests(streets: Path, command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for words, message in (
        ((streets, "--out", file), f"{file} cannot be written: Not a directory"),
        ((streets, "--out", tmp_path, "--split", "tst"), "no split 'tst'; choices: train, val"),
        ((streets, "--out", tmp_path, "--recipe", "demmo"), "no recipe 'demmo'; did you mean 'dem"),
        ((tmp_path / "no", "--out", tmp_path), "the data folder does not exist"),
    ):
        done = command("data", "show", *words)
        assert (done.status, done.out) == (2, "")
        assert message in done.err


def test_a_name_with_dollars_is_no_mathematics(tmp_path: Path, command) -> None:
    data = draw_dataset(tmp_path / "data", train=2, val=1, size_hw=(32, 48), seed=7)
    names = data / "classes.txt"
    first = names.read_text().split()[0]
    names.write_text(names.read_text().replace(first, r"道路$\q$", 1))
    for words in (
        ("data", "show", data, "--out", tmp_path / "shown"),
        ("check", data, "--picture", tmp_path / "p.png"),
    ):
        done = command(*words)
        assert done.status == 0, done.err


def test_a_split_without_images_is_a_sentence(tmp_path: Path, command) -> None:
    data = draw_dataset(tmp_path / "data", train=2, val=1, size_hw=(32, 48), seed=7)
    for part in ("images", "labels"):
        for file in (data / part).rglob("*.png"):
            file.rename(data / part / file.name)
        for split in ("train", "val"):
            (data / part / split).rmdir()
    stems = sorted(file.stem for file in (data / "images").iterdir())
    for split, named in (("train", stems[:2]), ("val", stems[2:]), ("test", [])):
        (data / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in named))
    done = command("data", "show", data, "--split", "test", "--out", tmp_path / "shown")
    assert (done.status, "the split 'test' of" in done.err) == (2, True), done.err
