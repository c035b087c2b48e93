"""A whole data set read once, by threads; what `check` judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.labels import IGNORED
from briskseg.core.parallel import thread_map
from briskseg.core.process_settings import opencv_in_one_thread, opencv_silenced, quick_switches
from briskseg.core.types import RGB, Progress
from briskseg.data.dataset import Dataset, Found, Pair, Unmatched
from briskseg.data.file_stats import FileProblem, ImageStats, LabelStats
from briskseg.data.frequencies import ClassCounts, count_classes, summed
from briskseg.data.matching import match_renamed, split_by_seed
from briskseg.data.stats_cache import StatsCache


@dataclass(frozen=True)
class PairStats:
    """What one pair showed; what could not be read is None and among the problems.

    counts: the pixels of each class index, 255 ignored, where training reads the label file.
    unknown: the pixels of each value or RGB color that is no class.
    by_color: whether the label file is read by its colors.
    """

    split: str
    pair: Pair
    image: ImageStats | None
    label: LabelStats | None
    problems: tuple[FileProblem, ...]
    counts: Mapping[int, int]
    unknown: Mapping[Any, int]
    by_color: bool

    @property
    def histogram(self) -> Mapping[int, int]:
        """The pixels of each value that the label file holds; none where it cannot be read."""
        return {} if self.label is None else self.label.histogram

    @cached_property
    def colors(self) -> Mapping[RGB, int]:
        """The pixels of each color of a label file that is read by its colors."""
        return {} if self.label is None else summed(self.label.color, self.label.histogram)


@dataclass(frozen=True)
class Scan:
    """A whole data set, read; `named` gives paths as findings show them.

    renamed: those of the pairs whose label file has the image's name and something more.
    """

    dataset: Dataset
    unmatched: tuple[Unmatched, ...]
    renamed: tuple[PairStats, ...]
    pairs: tuple[PairStats, ...]

    def counts(self, split: str | None = None) -> npt.NDArray[np.int64]:
        """(256,) int64: the pixels of each class index, 255 ignored, in a split or in all."""
        total = np.zeros(IGNORED + 1, np.int64)
        for item in self.pairs:
            if split in (None, item.split):
                for index, pixels in item.counts.items():
                    total[index] += pixels
        return total

    def images_with(self, split: str) -> npt.NDArray[np.int64]:
        """(256,) int64: the label files of a split in which each class index occurs."""
        images = np.zeros(IGNORED + 1, np.int64)
        for item in self.pairs:
            if item.split == split:
                for index in item.counts:
                    images[index] += 1
        return images

    def named(self, path: Path) -> Path:
        """A file as findings name it: relative to the data's folder."""
        return path.relative_to(self.dataset.root)


def scan_files(found: Found, progress: Progress | None = None, seed: int = 0) -> Scan:
    """Read every pair that has changed since an earlier scan; a file that cannot be read is a
    problem of its pair, no error. seed: of the split, where there is none yet."""
    dataset, unmatched = found
    renamed, unmatched = match_renamed(unmatched, any(dataset.splits.values()))
    pairs = [(split, pair) for split, some in dataset.splits.items() for pair in some] + renamed
    if any(split not in dataset.splits for split, _ in pairs):  # renamed ones of a flat folder
        splits = split_by_seed(tuple(pair for _, pair in pairs), seed)
        pairs = [(split, pair) for split, some in splits.items() for pair in some]
    cache = StatsCache(dataset)

    def read(split_pair: tuple[str, Pair]) -> PairStats:
        split, pair = split_pair
        found = cache.image(pair), cache.labels(pair)
        problems = tuple(each for each in found if isinstance(each, FileProblem))
        image = found[0] if isinstance(found[0], ImageStats) else None
        label = found[1] if isinstance(found[1], LabelStats) else None
        classes = ClassCounts() if label is None else count_classes(label, dataset.labels)
        return PairStats(split, pair, image, label, problems, *classes)

    # damage becomes a finding
    with opencv_silenced(), opencv_in_one_thread(), quick_switches():
        try:
            items = tuple(thread_map(read, pairs, progress=progress))
            cache.forget_the_rest()
        finally:  # what an interrupted check has read is remembered
            cache.save()
    late = {pair.label for _, pair in renamed}
    return Scan(dataset, unmatched, tuple(i for i in items if i.pair.label in late), items)
