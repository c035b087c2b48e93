"""Batches for training and validation.

A sample is a function of (seed, epoch, index) alone, and a batch of (seed, epoch, batch number), so
workers, devices and interruptions change nothing. Images are decoded once and kept in memory while
they fit.

    batch    images (N,3,H,W) uint8 RGB in channels_last memory, labels (N,H,W) uint8, names
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from briskseg.core.errors import RequestError
from briskseg.core.images import IMAGE_SUFFIXES, read_image, resize_image
from briskseg.core.labels import IGNORED
from briskseg.core.parallel import thread_map
from briskseg.core.types import Array, Image, Progress
from briskseg.core.wording import counted
from briskseg.data import Dataset, Pair
from briskseg.data.frequencies import ClassPixels, count_labels
from briskseg.training.samples.augment import Augmenter, AugmentParams
from briskseg.training.samples.sampler import EpochBatches

Sample = tuple[Image, Array, str]  # image_hwc, its labels, its name


class Batch(NamedTuple):
    """Images (N,3,H,W) uint8 and their names, with labels (N,h,w) uint8 of which 255 is ignored;
    where whole images are classified, (N,) int64."""

    images: Tensor
    labels: Tensor
    names: list[str]

    def to(self, device: torch.device) -> Batch:
        if self.images.device == device:
            return self
        images = self.images.to(device, non_blocking=True)
        return Batch(images, self.labels.to(device, non_blocking=True), self.names)


class Samples(Protocol):
    """What a loader reads: samples by their key, for training (epoch, index), else an index."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> Sample: ...


class MemoryBudget:
    """So many bytes for decoded images, shared by the stores of a run."""

    def __init__(self, gigabytes: float) -> None:
        self._left = gigabytes * 1e9
        self._lock = threading.Lock()

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def take(self, size: int) -> bool:
        """Whether so many bytes are left, which are taken then."""
        with self._lock:
            fits = size <= self._left
            self._left = self._left - size if fits else 0.0
            return fits


class ImageStore:
    """The decoded pairs of one split, kept in memory while they fit in the budget.

    unlabeled: further images, whose labels are ignored everywhere.
    """

    def __init__(
        self, dataset: Dataset, split: str, budget: MemoryBudget, unlabeled: Sequence[Pair] = ()
    ) -> None:
        self.dataset = dataset
        self.pairs: Sequence[Pair] = (*dataset.pairs(split), *unlabeled)
        self._unlabeled = frozenset(unlabeled)
        self._budget = budget
        self._kept: dict[int, tuple[Image, Image]] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def fill(self, progress: Progress | None = None) -> dict[str, ClassPixels]:
        """Decode as many as fit, in threads, and count their classes; return the counts by name.

        Called before worker processes start, so that they share the memory. A damaged pair raises
        its DataError here, before the first step.
        """
        counts: dict[str, ClassPixels] = {}

        def read(index: int) -> None:
            if self._budget.is_spent or index in self._kept:
                return
            image, labels = self._read(self.pairs[index])
            counts[self.pairs[index].name] = count_labels(labels)
            if self._budget.take(image.nbytes + labels.nbytes):
                self._kept[index] = image, labels

        for _ in thread_map(read, range(len(self)), progress=progress):
            pass
        return counts

    @property
    def is_full(self) -> bool:
        """Whether every pair is kept."""
        return len(self._kept) == len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Image, Image]:
        """image_hwc and labels_hw as the data set reads them."""
        kept = self._kept.get(index)
        return kept if kept is not None else self._read(self.pairs[index])

    def _read(self, pair: Pair) -> tuple[Image, Image]:
        if pair not in self._unlabeled:
            return self.dataset.read(pair)
        image = read_image(pair.image)
        return image, np.full(image.shape[:2], IGNORED, np.uint8)


def find_unlabeled(folder: Path, dataset: Dataset) -> tuple[list[Pair], str]:
    """The images in a folder and below it, each as a pair named unlabeled/NAME, without those that
    are in pairs of the data set, their labels, and what lies beside these; and a sentence on the
    data set's own that are left out, "" where there are none.

    An image of val would make the score too good, one of train would be learned from twice.
    Raises RequestError where the folder is not there or holds no other image.
    """
    own = [pair for pairs in dataset.splits.values() for pair in pairs]
    known = {pair.image.resolve() for pair in own}
    labels = {file.resolve() for pair in own for file in dataset.label_files(pair)}
    # other forms of the same labels, as Cityscapes has them
    masks = {file for file in labels if file.suffix.lower() in IMAGE_SUFFIXES}
    beside = {file.parent for file in masks} - {image.parent for image in known}
    # names that begin with a dot are of what programs leave beside images, as ._photo.jpg
    images = (p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    found = sorted(p for p in images if not p.name.startswith("."))
    files = [p for p in found if p.resolve() not in labels and p.resolve().parent not in beside]
    new = [p for p in files if p.resolve() not in known]
    if not new:
        what = "is no folder" if not folder.is_dir() else "holds no image"
        what = "holds images of the data set alone" if files else what
        raise RequestError(f"data.unlabeled_images: {folder} {what}; name a folder of images")
    pairs = [Pair(f"unlabeled/{p.relative_to(folder).as_posix()}", p, p) for p in new]
    left_out = len(files) - len(new)
    if not left_out:
        return pairs, ""
    of, is_are = f"{left_out} of {counted(len(files), 'image')}", "is" if left_out == 1 else "are"
    return pairs, f"data.unlabeled_images: {of} {is_are} left out, as the data set's own"


class TrainingSamples:
    """Augmented samples, asked for by (epoch, index). Indices from the number of pairs on are
    further samples of the same pairs, with random numbers of their own.

    epochs: of the whole run, of which `augment.progressive_resize` names shares.
    """

    def __init__(
        self,
        store: ImageStore,
        augmenter: Augmenter,
        base_hw: tuple[int, int] | None,
        seed: int,
        epochs: int = 1,
    ) -> None:
        self.store, self.augmenter, self.base_hw, self.seed = store, augmenter, base_hw, seed
        self.epochs = epochs

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        pair = self.pair(key[1])
        image, labels = self.store[pair]
        image, labels = self.augmenter.apply(image, labels, self.params(key, image.shape[:2]))
        return image, labels, self.store.pairs[pair].name

    def pair(self, index: int) -> int:
        """Which of the store's pairs the sample with this index is made of."""
        return index % len(self.store)

    def params(self, key: tuple[int, int], image_hw: tuple[int, int]) -> AugmentParams:
        """The parameters drawn for a sample, of an image of this size."""
        return self.augmenter.params(image_hw, self.base_hw, self.seed, *key, epochs=self.epochs)


class ValidationSamples:
    """Images at the size the network sees, with their labels at full size; one process's share."""

    def __init__(
        self, store: ImageStore, base_hw: tuple[int, int] | None, rank: int = 0, world: int = 1
    ) -> None:
        self.store, self.base_hw = store, base_hw
        self.indices = range(rank, len(store), world)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample:
        index = self.indices[position]
        image, labels = self.store[index]
        if self.base_hw is not None and image.shape[:2] != self.base_hw:
            image = resize_image(image, self.base_hw)
        return image, labels, self.store.pairs[index].name


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples; images (H,W,3) become (N,3,H,W) without moving a byte."""
    images, labels, names = zip(*samples, strict=True)
    sizes = {f"{image.shape[1]}x{image.shape[0]}": name for image, _, name in samples}
    if len(sizes) > 1:
        found = ", ".join(f"{name} is {size}" for size, name in sizes.items())
        raise RequestError(
            f"images of one batch must have one size, but {found} (width x height); set "
            "data.size=[H, W] to resize them, or augment.size=[H, W] to cut samples of this size"
        )
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return Batch(stacked, torch.from_numpy(np.stack(labels)), list(names))


Loader = DataLoader[Sample]


def training_loader(samples: Samples, batches: EpochBatches, workers: int) -> Loader:
    """Batches of augmented samples, an epoch a pass."""
    return _loader(samples, workers, batch_sampler=batches)


def validation_loader(samples: Samples, workers: int, batch: int = 1) -> Loader:
    """All samples in order; with several in a batch their sizes must be the same."""
    return _loader(samples, workers, batch_size=batch, shuffle=False)


def _loader(samples: Any, workers: int, **how: Any) -> Loader:
    return DataLoader(
        samples,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker if workers else None,
        pin_memory=torch.cuda.is_available(),
        **how,
    )


def _start_worker(_: int) -> None:
    """Workers are the parallelism; OpenCV's own threads would only get in each other's way.

    Schedulers and terminals signal every process of a job. What that means is the training
    process's to say, which saves first: here only its own SIGTERM counts.
    """
    cv2.setNumThreads(0)
    for name in ("SIGINT", "SIGUSR1", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # neither Windows nor macOS tells who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_hear_the_parent, daemon=True).start()


def _hear_the_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
