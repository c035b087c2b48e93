"""Batches: the same whatever the workers, the processes and the place one starts at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from briskseg.core.errors import DataError
from briskseg.data import open_dataset
from briskseg.data.frequencies import count_pixels
from briskseg.recipe import AugmentPart, ProgressiveResizePart
from briskseg.training.machine import Machine
from briskseg.training.processes import Processes
from briskseg.training.samples.augment import Augmenter
from briskseg.training.samples.loader import (
    ImageStore,
    MemoryBudget,
    TrainingSamples,
    ValidationSamples,
    training_loader,
    validation_loader,
)
from briskseg.training.samples.sampler import EpochBatches

VARIED = AugmentPart(scale=(0.6, 2.0), flip=0.5, brightness=(0.5, 1.5), noise=10, size=(32, 40))


def batches_of(streets: Path, workers: int, epochs: int = 2) -> list:
    store = ImageStore(open_dataset(streets), "train", MemoryBudget(1))
    store.fill()
    samples = TrainingSamples(store, Augmenter(VARIED), (48, 64), seed=3)
    loader = training_loader(samples, EpochBatches(len(store), 4, seed=3), workers)
    return [batch for _ in range(epochs) for batch in loader]


def test_the_number_of_workers_changes_nothing(streets: Path) -> None:
    alone, helped = batches_of(streets, 0), batches_of(streets, 2)
    assert len(alone) == len(helped) == 6
    for a, b in zip(alone, helped, strict=True):
        assert a.names == b.names
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)


def test_loading_processes_are_as_many_as_the_run_has_cores_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scheduler's, and not all of the machine's."""
    machine = Machine(torch.device("cpu"), "float32", Processes())
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    for cores, expected in ((2, 0), (8, 7), (64, 12)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert machine.workers(None) == expected
    assert machine.workers(3) == 3


def test_a_pair_that_is_not_kept_is_read_once_a_sample(
    streets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    dataset = open_dataset(streets)
    whole = type(dataset).read
    monkeypatch.setattr(type(dataset), "read", lambda *given: read.append(1) or whole(*given))
    store = ImageStore(dataset, "train", MemoryBudget(0))
    samples = TrainingSamples(store, Augmenter(VARIED), (48, 64), seed=3)
    assert [samples[0, index][2] for index in range(3)] == [p.name for p in store.pairs[:3]]
    assert len(read) == 3


def test_a_batch_is_bytes_in_channels_last_memory(streets: Path) -> None:
    batch = batches_of(streets, 0)[0]
    assert batch.images.shape == (4, 3, 32, 40)
    assert batch.images.dtype == batch.labels.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.shape == (4, 32, 40)


def test_samples_grow_with_the_epochs(streets: Path) -> None:
    store = ImageStore(open_dataset(streets), "train", MemoryBudget(1))
    growth = ProgressiveResizePart(factors=(0.5, 0.75), until=(0.4, 0.7))
    part = AugmentPart(size=(32, 48), progressive_resize=growth)
    samples = TrainingSamples(store, Augmenter(part), (48, 64), seed=3, epochs=10)
    sizes = [samples[epoch, 0][0].shape[:2] for epoch in range(10)]
    assert sizes == [(16, 24)] * 4 + [(24, 32)] * 3 + [(32, 48)] * 3  # whole multiples of 8


def test_images_beyond_the_cache_are_read_again_and_are_the_same(streets: Path) -> None:
    dataset = open_dataset(streets)
    large, small = (ImageStore(dataset, "val", MemoryBudget(gb)) for gb in (1.0, 1e-5))
    for store in (large, small):
        store.fill()
        for index, pair in enumerate(dataset.pairs("val")):
            image, labels = store[index]
            assert np.array_equal(image, dataset.read(pair)[0])
            assert np.array_equal(labels, dataset.read(pair)[1])


def test_a_damaged_file_is_named_before_the_first_step(tmp_path: Path) -> None:
    from briskseg.data.synthetic import draw_dataset

    root = draw_dataset(tmp_path / "data", train=3, val=1, size_hw=(32, 32), seed=1)
    broken = sorted((root / "images" / "train").iterdir())[1]
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataError, match=broken.name):
        ImageStore(open_dataset(root), "train", MemoryBudget(1)).fill()


def test_validation_shares_images_and_keeps_labels_at_full_size(streets: Path) -> None:
    store = ImageStore(open_dataset(streets), "val", MemoryBudget(1))
    names = []
    for rank in range(3):
        for batch in validation_loader(ValidationSamples(store, (24, 32), rank, 3), workers=0):
            assert batch.images.shape == (1, 3, 24, 32)
            assert batch.labels.shape == (1, 48, 64)
            names += batch.names
    assert sorted(names) == sorted(pair.name for pair in store.pairs)


def test_classes_are_counted_as_images_are_decoded(
    streets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, read = open_dataset(streets), []
    whole = type(dataset).read_labels
    monkeypatch.setattr(
        type(dataset), "read_labels", lambda *given: read.append(1) or whole(*given)
    )
    store = ImageStore(dataset, "train", MemoryBudget(1))
    counts = count_pixels(dataset, "train", known=store.fill())
    assert len(read) == len(store)
    labels = np.stack([store[index][1] for index in range(len(store))])
    expected = [int((labels == index).sum()) for index in range(len(dataset.names))]
    assert counts.totals.tolist() == expected


def test_the_stores_of_a_run_share_one_budget(streets: Path) -> None:
    dataset = open_dataset(streets)
    size = 48 * 64 * 4  # bytes of an image and its labels
    train_bytes = len(dataset.pairs("train")) * size
    budget = MemoryBudget((train_bytes + size / 2) / 1e9)
    train, val = (ImageStore(dataset, split, budget) for split in ("train", "val"))
    train.fill()
    val.fill()
    assert train.is_full
    assert not val.is_full
