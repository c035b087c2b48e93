"""Batches made on the device are those that the workers make, but for rounding."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from briskseg.core.errors import RequestError
from briskseg.core.images import write_png
from briskseg.data import open_dataset
from briskseg.data.frequencies import count_pixels
from briskseg.data.synthetic import draw_dataset
from briskseg.recipe import AugmentPart
from briskseg.training.samples.augment import Augmenter
from briskseg.training.samples.gpu_cache import (
    GpuCachedTraining,
    gpu_cached_validation,
    use_gpu_cache,
)
from briskseg.training.samples.loader import (
    Batch,
    ImageStore,
    MemoryBudget,
    TrainingSamples,
    ValidationSamples,
    training_loader,
    validation_loader,
)
from briskseg.training.samples.sampler import ClassBalance, EpochBatches

CPU = torch.device("cpu")
PARTS = {
    "nothing": {},
    "warp": {"scale": (0.6, 2.0), "rotate": 20, "flip": 0.5, "translate": 4, "crop": (0.6, 1.0)},
    "small": {"scale": (0.2, 0.45), "size": (32, 40)},  # halved before it is resampled
    "growing": {"progressive_resize": {"factors": [0.5], "until": [0.5]}, "scale": (0.6, 2.0)},
    "light": {"brightness": (0.5, 1.6), "contrast": (0.5, 1.6)},
    "color": {"brightness": (0.5, 1.6), "contrast": (0.5, 1.6), "saturation": (0, 2), "hue": 40},
    "blur": {"blur": 2},
    "noise": {"noise": 15},
    "shadow": {"shadow": 0.7},
    "photometric": {"photometric": 0.7},
    "cat_max_ratio": {"scale": (0.6, 2.0), "cat_max_ratio": 0.5, "size": (24, 32)},
}
PARTS["all"] = {key: value for part in PARTS.values() for key, value in part.items()}


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 train and 2 val images of 90x121: odd sizes, as halving them must be right too."""
    root = tmp_path_factory.mktemp("data") / "streets"
    return draw_dataset(root, train=8, val=2, size_hw=(90, 121), seed=3)


def samples_of(data: Path, part: AugmentPart, cache_gb: float = 1) -> TrainingSamples:
    store = ImageStore(open_dataset(data), "train", MemoryBudget(cache_gb))
    store.fill()
    return TrainingSamples(store, Augmenter(part, (90, 100, 110)), (72, 96), seed=3, epochs=2)


def both(
    data: Path, part: AugmentPart, balance: ClassBalance | None = None
) -> tuple[list[Batch], list[Batch]]:
    """Two epochs from the workers' loader and from the device's."""
    samples = samples_of(data, part)
    sampler, another = (EpochBatches(8, 4, seed=3, balance=balance) for _ in range(2))
    loader = training_loader(samples, sampler, workers=0)
    resident = GpuCachedTraining(samples, another, CPU)
    made = [[batch for _ in range(2) for batch in each] for each in (loader, resident)]
    return made[0], made[1]


@pytest.mark.parametrize("name", PARTS)
def test_each_operation_gives_the_same_samples(name: str, streets: Path) -> None:
    ones, others = both(streets, AugmentPart(**PARTS[name]))
    assert len(ones) == len(others) == 4
    for one, other in zip(ones, others, strict=True):
        assert one.names == other.names
        assert one.images.shape == other.images.shape
        assert other.images.dtype == other.labels.dtype == torch.uint8
        assert other.images.is_contiguous(memory_format=torch.channels_last)
        off = (one.images.int() - other.images.int()).abs()
        # a gray level off before a steep change of color may be several after it
        assert (off > 2).float().mean() < (0.01 if name == "all" else 0.001)
        assert off.float().mean() < 0.5
        assert (one.labels != other.labels).float().mean() < 0.001


def test_samples_drawn_by_class_are_the_same_too(streets: Path) -> None:
    balance = ClassBalance(count_pixels(open_dataset(streets), "train"), 0.75)
    ones, others = both(streets, AugmentPart(scale=(0.6, 2.0), flip=0.5), balance)
    assert [one.names for one in ones] == [other.names for other in others]
    assert max(Counter(name for one in ones[:2] for name in one.names).values()) > 1
    for one, other in zip(ones, others, strict=True):
        off = (one.images.int() - other.images.int()).abs()
        assert off.float().mean() < 0.5


def test_operations_change_the_samples_that_are_compared(streets: Path) -> None:
    plain = both(streets, AugmentPart())[1][0].images.int()
    for name, part in PARTS.items():
        varied = both(streets, AugmentPart(**part))[1][0].images
        assert name == "nothing" or varied.shape != plain.shape or not plain.equal(varied.int())


def test_validation_is_the_same_bytes_in_each_processes_share(streets: Path) -> None:
    store = ImageStore(open_dataset(streets), "val", MemoryBudget(1))
    store.fill()
    for rank in range(2):
        samples = ValidationSamples(store, (72, 96), rank, 2)
        resident = gpu_cached_validation(samples, CPU)
        assert len(resident) == 1
        for one, other in zip(validation_loader(samples, 0), resident, strict=True):
            assert one.images.equal(other.images)
            assert one.labels.equal(other.labels)
            assert one.names == other.names


def test_a_set_that_cannot_lie_on_the_device_says_why(streets: Path, tmp_path: Path) -> None:
    part = AugmentPart(size=(32, 32))
    val = ValidationSamples(ImageStore(open_dataset(streets), "val", MemoryBudget(1)), None)
    val.store.fill()
    train = samples_of(streets, part)
    assert use_gpu_cache(True, train, val, CPU)
    assert not use_gpu_cache(None, train, val, CPU)  # unasked on CUDA alone
    assert not use_gpu_cache(False, train, val, torch.device("cuda"))
    with pytest.raises(RequestError, match=r"not all of its images fit in data\.cache_gb; raise"):
        use_gpu_cache(True, samples_of(streets, part, cache_gb=0), val, CPU)
    mixed = draw_dataset(tmp_path / "mixed", train=2, val=1, size_hw=(32, 40), seed=0)
    for kind, shape in (("images", (24, 24, 3)), ("labels", (24, 24))):
        path = sorted((mixed / kind / "train").iterdir())[0]
        write_png(path, np.zeros(shape, np.uint8))
    with pytest.raises(RequestError, match=r"the sizes of \S+ and \S+ differ; bring them to one"):
        use_gpu_cache(True, samples_of(mixed, part), val, CPU)
