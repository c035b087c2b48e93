"""The order of training samples: by the seed and the epoch alone, evenly or drawn by class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from briskseg.core.errors import RequestError
from briskseg.core.images import write_png
from briskseg.data import open_dataset
from briskseg.data.frequencies import PixelCounts
from briskseg.data.synthetic import draw_dataset
from briskseg.recipe import AugmentPart, load_recipe
from briskseg.training.samples.augment import Augmenter
from briskseg.training.samples.loader import ImageStore, MemoryBudget, TrainingSamples
from briskseg.training.samples.sampler import ClassBalance, EpochBatches


def held(*images: set[int], classes: int) -> PixelCounts:
    """The counts of images that hold these classes, few pixels of one and many of another."""
    table = np.array([[(c in image) * (1 + 999 * c) for c in range(classes)] for image in images])
    names = tuple(f"{index:03}" for index in range(len(images)))
    return PixelCounts(tuple("abcde"[:classes]), names, table, np.zeros(len(images), np.int64))


def epoch_of(batches: EpochBatches) -> list[int]:
    return [index for batch in batches for _, index in batch]


def test_every_epoch_takes_every_sample_once_in_another_order() -> None:
    batches = EpochBatches(12, 4, seed=0)
    first, second = [[i for batch in batches for _, i in batch] for _ in range(2)]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_processes_share_an_epoch_without_overlap() -> None:
    parts = [
        [index for batch in EpochBatches(13, 2, seed=1, rank=r, world=3) for _, index in batch]
        for r in range(3)
    ]
    taken = [index for part in parts for index in part]
    assert len(taken) == len(set(taken)) == 12
    assert {len(part) for part in parts} == {4}


def test_starting_inside_an_epoch_takes_the_rest_of_it_and_then_the_next() -> None:
    whole = EpochBatches(20, 4, seed=5)
    epochs = [list(whole) for _ in range(3)]
    late = EpochBatches(20, 4, seed=5)
    late.start_at(1, 2)
    assert list(late) == epochs[1][2:]
    assert list(late) == epochs[2]


def test_a_set_smaller_than_a_step_is_refused_with_the_cure() -> None:
    with pytest.raises(
        RequestError, match=r"training\.batch=8.*only 3; give at most --set training\.batch=3"
    ):
        EpochBatches(3, 8, seed=0)


def test_without_balance_an_epoch_is_the_permutation_by_its_seed_and_number() -> None:
    batches = EpochBatches(11, 2, seed=7)
    for epoch in range(3):
        expected = np.random.default_rng((7, epoch)).permutation(11)[:10]
        assert list(batches) == [
            [(epoch, int(i)) for i in expected[start : start + 2]] for start in range(0, 10, 2)
        ]


def test_an_image_comes_as_often_as_its_classes_ask_for() -> None:
    """Class 0 in all of 20 images, 1 in two, 2 in one of these, 3 in none; 24 samples, of which the
    last four have no labels."""
    images = [{0}] * 18 + [{0, 1}, {0, 1, 2}]
    balance = ClassBalance(held(*images, classes=4), share=0.75)
    batches = EpochBatches(24, 4, seed=0, balance=balance)
    epochs = 2000
    counts = Counter(index % 24 for _ in range(epochs) for index in epoch_of(batches))
    by_class, others = 18, 6  # of 24 samples
    for image in range(24):
        expected = others / 24
        if image < 20:  # a third of the draws is each class's, shared by the images that hold it
            expected += by_class / 3 * sum(1 / (20, 2, 1)[c] for c in images[image])
        # 5 standard deviations of a count
        assert abs(counts[image] - epochs * expected) < 5 * np.sqrt(epochs * expected), image
    assert sum(counts.values()) == 24 * epochs


def test_images_without_labels_are_never_drawn_by_class() -> None:
    balance = ClassBalance(held({0}, {0, 1}, set(), classes=2), share=1.0)
    batches = EpochBatches(10, 2, seed=0, balance=balance)
    assert {index % 10 for _ in range(50) for index in epoch_of(batches)} == {0, 1}


def test_an_order_by_class_is_the_same_wherever_it_begins_and_on_any_number_of_devices() -> None:
    balance = ClassBalance(held({0}, {0}, {0, 1}, {1}, *[{0}] * 9, classes=2), share=0.5)
    batches = EpochBatches(13, 4, seed=1, balance=balance)
    whole = [list(batches) for _ in range(3)]
    late = EpochBatches(13, 4, seed=1, balance=balance)
    late.start_at(1, 2)
    assert list(late) == whole[1][2:]
    assert list(late) == whole[2]
    assert whole[0] != whole[1]
    ranks = [list(EpochBatches(13, 2, 1, rank, 2, balance)) for rank in range(2)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == whole[0]


def test_an_image_that_comes_again_in_an_epoch_is_augmented_in_another_way(streets: Path) -> None:
    store = ImageStore(open_dataset(streets), "train", MemoryBudget(1))
    samples = TrainingSamples(store, Augmenter(AugmentPart(noise=20)), None, seed=3)
    counts = held({0}, *[set()] * (len(store) - 1), classes=1)
    batches = EpochBatches(len(store), 4, seed=3, balance=ClassBalance(counts, 0.5))
    drawn = [samples[key] for batch in batches for key in batch]
    first = [image.tobytes() for image, _, name in drawn if name == store.pairs[0].name]
    assert len(first) >= len(store) // 2
    assert len(set(first)) == len(first)


def test_labels_without_a_class_cannot_be_drawn_by_class() -> None:
    with pytest.raises(
        RequestError,
        match=r"training\.class_balanced=0\.5 .*are ignored; see .*: briskseg check DIR",
    ):
        ClassBalance(held(set(), set(), classes=2), share=0.5)


def test_a_run_trains_on_a_rare_class_as_often_as_its_recipe_asks(tmp_path: Path) -> None:
    """One of 40 images has a second class: by class alone, it is 1/2 + 1/80 of the samples."""
    from briskseg.training.fit import fit
    from briskseg.training.session import RunSession

    root = draw_dataset(tmp_path / "data", train=40, val=1, size_hw=(32, 32), seed=1)
    masks = sorted((root / "labels").rglob("*.png"))
    rare = next(path for path in masks if "train" in path.parts)
    for path in masks:
        mask = np.zeros((32, 32), np.uint8)
        mask[:4, :4] = path == rare
        write_png(path, mask)
    names = []
    changes = [
        f"data.root={root}", "data.size=null", "training.batch=8", "training.epochs=4",
        "training.validate_every=4", "training.workers=0",
    ]  # fmt: skip
    for share, expected in ((1.0, 41 / 80), (0.0, 1 / 40)):
        names.clear()
        session = RunSession(device="cpu", listener=lambda e: names.extend(e.get("names", [])))
        recipe = load_recipe("demo", [*changes, f"training.class_balanced={share}"])
        fit(recipe, tmp_path / f"run-{share:g}", session)
        assert len(names) == 160
        assert names.count(rare.stem) / 160 == pytest.approx(expected, abs=0.1)
