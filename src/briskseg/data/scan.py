"""What the data doctor looks at: every pair of a data set read once, reduced to a few facts."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import DataError, UnknownLabelError
from briskseg.core.images import image_size, read_image
from briskseg.data.dataset import Dataset, Pair, Progress, Unmatched
from briskseg.data.frequencies import count_labels


@dataclass
class PairFacts:
    """What reading one pair showed; what could not be read stays None.

    image_hw, label_hw: sizes in pixels. digest: of the image's pixels and size. counts: (256,)
    int64, pixels of each class index, 255 ignored. unknown: pixels of each file value or color that
    is no class, with the likely cure.
    """

    split: str
    pair: Pair
    image_hw: tuple[int, int] | None = None
    label_hw: tuple[int, int] | None = None
    digest: bytes | None = None
    counts: npt.NDArray[np.int64] | None = None
    unknown: dict[Any, int] = field(default_factory=dict)
    cure: str = ""
    damage: list[DataError] = field(default_factory=list)


@dataclass(frozen=True)
class Survey:
    """A whole data set's facts, which the checks judge."""

    dataset: Dataset
    unmatched: tuple[Unmatched, ...]
    facts: tuple[PairFacts, ...]

    def counts(self, split: str | None = None) -> npt.NDArray[np.int64]:
        """(256,) int64: the pixels of each class index, 255 ignored, in a split or in all."""
        total = np.zeros(256, np.int64)
        for fact in self.facts:
            if fact.counts is not None and split in (None, fact.split):
                total += fact.counts
        return total

    def images_with(self, split: str) -> npt.NDArray[np.int64]:
        """(256,) int64: the label files of a split in which each class index occurs."""
        images = np.zeros(256, np.int64)
        for fact in self.facts:
            if fact.counts is not None and fact.split == split:
                images += fact.counts > 0
        return images


def survey(
    dataset: Dataset, unmatched: tuple[Unmatched, ...], progress: Progress | None = None
) -> Survey:
    """Read every pair; a file that cannot be read becomes a fact and not an error."""
    jobs = [(split, pair) for split, pairs in dataset.splits.items() for pair in pairs]
    facts = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, fact in enumerate(pool.map(lambda job: _read(dataset, *job), jobs), start=1):
            facts.append(fact)
            if progress is not None:
                progress(done, len(jobs))
    return Survey(dataset, unmatched, tuple(facts))


def _read(dataset: Dataset, split: str, pair: Pair) -> PairFacts:
    facts = PairFacts(split, pair)
    try:
        image_hwc = read_image(pair.image)
        facts.image_hw = (image_hwc.shape[0], image_hwc.shape[1])
        size = repr(facts.image_hw).encode()
        facts.digest = hashlib.blake2b(image_hwc.data, digest_size=16, key=size).digest()
    except DataError as error:
        facts.damage.append(error)
    try:
        labels_hw = dataset.labels.read(pair.label)
        facts.label_hw = (labels_hw.shape[0], labels_hw.shape[1])
        facts.counts = count_labels(labels_hw)
    except UnknownLabelError as error:
        facts.label_hw = image_size(pair.label)
        facts.unknown, facts.cure = error.unknown, error.cure
    except DataError as error:
        facts.damage.append(error)
    return facts
