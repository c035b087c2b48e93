"""Which samples each step of training takes: a function of (seed, epoch, step) alone, so that
devices and interruptions change nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from briskseg.core.errors import RequestError
from briskseg.core.wording import counted
from briskseg.data.frequencies import PixelCounts

Indices = NDArray[np.int64]


class ClassBalance:
    """Class-balanced sampling: a class is drawn evenly among those that occur, then evenly one of
    the images that hold it, however few of their pixels are of that class.

    counts: of the data set's images, which samples 0, 1, ... are. Samples after them, images
    without labels, are never drawn.
    share: of an epoch's samples, above 0 and up to 1, that are drawn so.

    Raises RequestError where no image holds a class.
    """

    def __init__(self, counts: PixelCounts, share: float) -> None:
        holders = [np.flatnonzero(pixels) for pixels in counts.counts.T]
        self._holders = [images for images in holders if images.size]
        self._share = share
        if not self._holders:
            raise RequestError(
                f"training.class_balanced={share:g} draws images by their classes, but all pixels "
                "of train are ignored; see what the labels hold: briskseg check DIR"
            )

    def draw(self, rng: np.random.Generator, number: int) -> Indices:
        """(number,): the images drawn."""
        classes = rng.integers(len(self._holders), size=number)
        sizes = np.array([len(images) for images in self._holders])
        nth = rng.integers(sizes[classes])
        images = [self._holders[c][n] for c, n in zip(classes, nth, strict=True)]
        return np.array(images, np.int64)

    def mixed(self, order: Indices, rng: np.random.Generator) -> Indices:
        """An epoch's order of which the share is drawn by class, and the rest the order's own.

        An image may come several times. The n-th one drawn, from 1 on, has the index of its image
        and n times the number of samples, so that each time it is augmented in another way.
        """
        number = math.ceil(self._share * len(order))
        drawn = self.draw(rng, number) + len(order) * np.arange(1, number + 1)
        return rng.permutation(np.concatenate([order[number:], drawn]))


class EpochBatches:
    """A batch sampler that knows which epoch it is in and can start in the middle of one.

    Each epoch is a permutation of all samples by (seed, epoch), cut into steps of `batch` samples a
    process; the last, incomplete step is left out. balance: draws a share of them by class instead.
    """

    def __init__(
        self,
        samples: int,
        batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        balance: ClassBalance | None = None,
    ) -> None:
        if samples < batch * world:
            cure = f"give at most --set training.batch={samples // world}"
            if samples < world:
                cure = "add images" + (", or train on fewer devices" if samples else "")
            raise RequestError(
                f"a step takes training.batch={batch} images on each of "
                f"{counted(world, 'device')}, but the train split has only {samples}; {cure}"
            )
        self.samples, self.batch, self.seed = samples, batch, seed
        self.rank, self.world, self.balance = rank, world, balance
        self._epoch, self._start = 0, (0, 0)

    def start_at(self, epoch: int, first: int) -> None:
        """Begin with this epoch, from its batch number `first` on."""
        self._epoch, self._start = epoch, (epoch, first)

    def __len__(self) -> int:
        return self.samples // (self.batch * self.world)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self._epoch
        self._epoch = epoch + 1
        first = self._start[1] if epoch == self._start[0] else 0
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.samples)
        if self.balance is not None:
            order = self.balance.mixed(order, rng)
        for step in range(first, len(self)):
            start = (step * self.world + self.rank) * self.batch
            yield [(epoch, int(index)) for index in order[start : start + self.batch]]
