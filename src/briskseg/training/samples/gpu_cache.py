"""A data set that lies in a GPU's memory whole and is augmented there: no workers, no copies.

The order of the samples and what is drawn for each are those of `loader.py`, so the same batches
come out but for rounding, and a run goes on where it stopped in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from briskseg.core.errors import RequestError
from briskseg.core.parallel import thread_map
from briskseg.training.samples.augment import AugmentParams
from briskseg.training.samples.gpu_augment import GpuAugmenter
from briskseg.training.samples.loader import (
    Batch,
    TrainingSamples,
    ValidationSamples,
    collate,
)
from briskseg.training.samples.sampler import EpochBatches

SHARE = 0.5  # of the device's free memory, at most; the rest is the network's
AHEAD = 3  # batches whose parameters are drawn before they are needed

Keys = list[tuple[int, int]]


def use_gpu_cache(
    asked: bool | None, train: TrainingSamples, val: ValidationSamples, device: torch.device
) -> bool:
    """Whether the set shall lie on the device: as the recipe says, else on CUDA where it fits.

    Raises RequestError where the recipe wants it and it cannot be.
    """
    if asked is False or (asked is None and device.type != "cuda"):
        return False
    obstacle = _obstacle(train, val, device)
    if asked and obstacle is not None:
        raise RequestError(
            f"data.gpu_cache=true keeps the whole set on the {device}, but {obstacle}"
        )
    return obstacle is None


def _obstacle(train: TrainingSamples, val: ValidationSamples, device: torch.device) -> str | None:
    """What keeps the set from the device, and what to do about it."""
    if not (train.store.is_full and val.store.is_full):
        return "not all of its images fit in data.cache_gb; raise that, or leave data.gpu_cache out"
    pairs = [train.store[index] for index in range(len(train))]
    sizes = {(image.shape, labels.shape): index for index, (image, labels) in enumerate(pairs)}
    if len(sizes) > 1:
        names = " and ".join(train.store.pairs[index].name for index in [*sizes.values()][:2])
        return f"the sizes of {names} differ; bring them to one, or leave data.gpu_cache out"
    if device.type == "cuda":
        needed = sum(image.nbytes + labels.nbytes for image, labels in pairs)
        needed += sum(
            image.nbytes + labels.nbytes
            for image, labels, _ in map(val.__getitem__, range(len(val)))
        )
        free, _ = torch.cuda.mem_get_info(device)
        if needed > SHARE * free:
            return (
                f"it takes {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free, of which it may "
                f"have {SHARE:.0%}; leave data.gpu_cache out"
            )
    return None


class GpuCachedTraining:
    """Batches of augmented samples, an epoch a pass, as `loader.training_loader`."""

    def __init__(
        self, samples: TrainingSamples, batches: EpochBatches, device: torch.device
    ) -> None:
        self.samples, self.batches = samples, batches
        augmenter, store = samples.augmenter, samples.store
        self._augmenter = GpuAugmenter(augmenter.part, augmenter.fill, device)
        image, labels = store[0]
        self.images = torch.empty((len(store), *image.shape), dtype=torch.uint8, device=device)
        self.labels = torch.empty((len(store), *labels.shape), dtype=torch.uint8, device=device)
        for index in range(len(store)):
            image, labels = store[index]
            self.images[index] = torch.from_numpy(image)
            self.labels[index] = torch.from_numpy(labels)

    def __iter__(self) -> Iterator[Batch]:
        store = self.samples.store

        def draw(keys: Keys) -> tuple[list[int], list[AugmentParams]]:
            pairs = [self.samples.pair(index) for _, index in keys]
            sizes = [store[pair][0].shape[:2] for pair in pairs]
            return pairs, [*map(self.samples.params, keys, sizes)]

        for pairs, params in thread_map(draw, self.batches, threads=1, ahead=AHEAD):
            rows = torch.tensor(pairs).to(self.images.device, non_blocking=True)
            images, labels = self._augmenter(self.images[rows], self.labels[rows], params)
            yield Batch(images, labels, [store.pairs[pair].name for pair in pairs])


def gpu_cached_validation(samples: ValidationSamples, device: torch.device) -> list[Batch]:
    """All samples in order, one a batch, as `loader.validation_loader`."""
    return [collate([samples[position]]).to(device) for position in range(len(samples))]
