"""How often each class occurs, and the class weights that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.fix_hints import binary_cure
from briskseg.core.parallel import thread_map
from briskseg.core.types import Floats, Floats32, Labels, Progress
from briskseg.core.wording import counted
from briskseg.data.dataset import Dataset, MaskDataset, Pair
from briskseg.data.file_stats import LabelStats
from briskseg.data.stats_cache import StatsCache

WEIGHTINGS = ("none", "enet", "median_frequency")

ClassPixels = npt.NDArray[np.int64]  # (256,): the pixels of each class index, 255 ignored


@dataclass(frozen=True)
class PixelCounts:
    """The pixels of each class in each image of a split.

    classes: the classes' names. images: the pairs' names. counts: (images, classes) int64.
    ignored: (images,) int64, the pixels that are of no class.
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.int64]

    @property
    def totals(self) -> npt.NDArray[np.int64]:
        """(classes,) int64: the pixels of each class in the whole split."""
        return np.asarray(self.counts.sum(axis=0))

    @property
    def shares(self) -> Floats:
        """(classes,): each class's share of all labeled pixels; 0 where nothing is labeled."""
        return np.asarray(self.totals / max(1, int(self.totals.sum())))

    def to_json(self) -> dict[str, Any]:
        """The counts of each image, by its name, as `class_counts.json` holds them."""
        rows = zip(self.images, self.counts.tolist(), self.ignored.tolist(), strict=True)
        images = {name: {"counts": counts, "ignored": ignored} for name, counts, ignored in rows}
        return {"classes": list(self.classes), "images": images}


def count_pixels(
    dataset: Dataset,
    split: str,
    progress: Progress | None = None,
    known: Mapping[str, ClassPixels] | None = None,
) -> PixelCounts:
    """Count every class's pixels in the labels of a split.

    known: counts that were taken while labels were decoded for another purpose, by pair name. Of
    the others, label files that an earlier check has read and that are unchanged are not read
    again.

    Raises DataError naming a damaged label file, or the first file of a 0/255 mask that was meant
    to have two classes; RequestError for an unknown split.
    """
    pairs, cache = dataset.pairs(split), StatsCache(dataset)
    rows = dict(known or {})

    def count(pair: Pair) -> ClassPixels:
        stats = cache.remembered_labels(pair)
        counts = {} if stats is None else count_classes(stats, dataset.labels).counts
        if not counts:
            return count_labels(dataset.read_labels(pair))
        row = np.zeros(IGNORED + 1, np.int64)
        row[[*counts]] = [*counts.values()]
        return row

    missing = [pair for pair in pairs if pair.name not in rows]
    counted = thread_map(count, missing, progress=progress)
    rows |= {pair.name: row for pair, row in zip(missing, counted, strict=True)}
    names = tuple(pair.name for pair in pairs)
    table = np.array([rows[name] for name in names], np.int64).reshape(len(pairs), IGNORED + 1)
    counts = PixelCounts(dataset.names, names, table[:, : len(dataset.names)], table[:, IGNORED])
    if is_binary_mask_set(dataset, np.append(counts.totals, counts.ignored.sum())):
        first = pairs[int(np.flatnonzero(counts.ignored)[0])].label
        raise _binary_masks(first, dataset.labels, int(counts.ignored.sum()))
    return counts


def refuse_binary_masks(dataset: Dataset) -> None:
    """Raise DataError where the masks of two classes hold 0 and 255 alone, 255 read as ignored.

    Reading ends at the first file with the second class. What cannot be read is passed over: who
    needs it says so.
    """
    if not may_be_binary_masks(dataset):
        return
    total, first = np.zeros(IGNORED + 1, np.int64), None
    for pair in (pair for some in dataset.splits.values() for pair in some):
        with suppress(DataError):
            pixels = count_labels(dataset.read_labels(pair))
            if pixels[1]:
                return
            first = pair.label if first is None and pixels[IGNORED] else first
            total += pixels
    if first is not None and is_binary_mask_set(dataset, total):
        raise _binary_masks(first, dataset.labels, int(total[IGNORED]))


def _binary_masks(first: Path, labels: LabelSet, ignored: int) -> DataError:
    return DataError(
        f"{first}: 0/255 masks: of the two classes only '{labels.names[0]}' occurs, and 255 "
        f"({counted(ignored, 'pixel')} in all) is ignored; "
        f"{binary_cure(labels.names, labels.ignored)}"
    )


def count_labels(labels_hw: Labels) -> ClassPixels:
    """(256,) int64: the pixels of each value in labels_hw, so of each class and of `IGNORED`."""
    if labels_hw.size < 1 << 24:  # OpenCV's histogram is float32, exact up to here, and faster
        counts = cv2.calcHist([labels_hw], [0], None, [IGNORED + 1], [0, IGNORED + 1])
        return counts.ravel().astype(np.int64)
    return np.bincount(labels_hw.ravel(), minlength=IGNORED + 1)


class ClassCounts(NamedTuple):
    """What a label set makes of a label file.

    counts: the pixels of each class index, 255 ignored; empty where training refuses the file.
    unknown: the pixels of each value or RGB color that is no class.
    by_color: whether the file is read by its colors.
    """

    counts: Mapping[int, int] = {}
    unknown: Mapping[Any, int] = {}
    by_color: bool = False


def count_classes(stats: LabelStats, labels: LabelSet) -> ClassCounts:
    """The pixels of each class in a label file, as `LabelSet.read` would decode it."""
    if stats.is_decoded:
        return ClassCounts(stats.histogram)
    held: dict[Any, int] = dict(stats.histogram)
    by_color, border = stats.is_color, 0
    if stats.palette is not None:
        palette = {index: stats.color(index) for index in stats.palette}
        if IGNORED in palette and labels.is_border(palette[IGNORED]):
            border = held.pop(IGNORED)
        by_color = labels.reads_by_color(palette)
    if by_color:
        held = summed(stats.color, held)
    known: dict[Any, int] = dict(labels.class_of_color if by_color else labels.class_of_value)
    unknown = {value: n for value, n in held.items() if value not in known}
    is_refused = unknown or stats.clear or stats.is_lossy
    counts = {} if is_refused else summed(known.__getitem__, held)
    if border and not is_refused:
        counts[IGNORED] = counts.get(IGNORED, 0) + border
    return ClassCounts(counts, unknown, by_color)


def summed(key: Callable[[Any], Any], pixels: Mapping[Any, int]) -> dict[Any, int]:
    """The pixels of each value, added up by what `key` makes of the value."""
    sums: Counter[Any] = Counter()
    for value, n in pixels.items():
        sums[key(value)] += n
    return dict(sums)


def is_binary_mask_set(dataset: Dataset, pixels: ClassPixels) -> bool:
    """Whether files of two classes hold 0 and 255 alone, 255 read as ignored: 0/255 masks.

    pixels: those of each class first, those that are ignored last.
    """
    return may_be_binary_masks(dataset) and bool(
        pixels[0] > 0 and pixels[1] == 0 and pixels[-1] > 0
    )


def may_be_binary_masks(dataset: Dataset) -> bool:
    """Whether a mask's 255 may mean the second of two classes, though it is read as ignored."""
    is_picture = isinstance(dataset, MaskDataset)
    return is_picture and len(dataset.names) == 2 and IGNORED in dataset.labels.ignored


def class_weights(spec: str | Sequence[float], counts: PixelCounts) -> Floats32:
    """The loss's weights, (classes,) float32.

    "none": 1 for every class. "enet": 1 / ln(1.10 + p), p the class's share of the labeled pixels
    (Paszke et al., "ENet", 2016, which has 1.02; ERFNet and the write-up on CamVid have
    1.10). "median_frequency": the median of the frequencies divided by the class's, where a class's
    frequency is its share of the pixels, ignored ones included, of the images in which it occurs
    (Eigen, Fergus, "Predicting depth, surface normals and semantic labels", ICCV 2015);
    a class that does not occur gets 0. A list: taken as it is.

    Raises RequestError for an unknown name, or for a list of another length or with a weight that
    is negative, not finite, or zero throughout.
    """
    if isinstance(spec, str):
        return _computed_weights(spec, counts).astype(np.float32)
    weights = np.asarray(spec, np.float32)
    if weights.shape != (len(counts.classes),):
        raise RequestError(
            f"{weights.size} class weights for {len(counts.classes)} classes "
            f"({', '.join(counts.classes)}); give one a class"
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise RequestError(
            f"class weights {weights.tolist()}: expected finite numbers, none below 0 and one above"
        )
    return weights


def _computed_weights(name: str, counts: PixelCounts) -> Floats:
    if name == "none":
        return np.ones(len(counts.classes))
    if name == "enet":
        return np.asarray(1.0 / np.log(1.10 + counts.shares))
    if name == "median_frequency":
        pixels = counts.counts.sum(axis=1) + counts.ignored
        where = (counts.counts > 0).astype(np.int64)
        occurs = counts.totals > 0
        frequency = counts.totals[occurs] / (pixels @ where)[occurs]
        weights = np.zeros(len(counts.classes))
        weights[occurs] = np.median(frequency) / frequency
        return weights
    raise RequestError(f"no class weights '{name}'; {nearest(name, WEIGHTINGS)}, or a list")
