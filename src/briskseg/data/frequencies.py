"""How often each class occurs, counted once and kept, and the class weights that follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.atomic import write_whole
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size, parse_json
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.types import Progress
from briskseg.data.dataset import Dataset, Pair

WEIGHTINGS = ("none", "enet", "median_frequency")
THREADS = 4


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
    def shares(self) -> npt.NDArray[np.float64]:
        """(classes,): each class's share of all labeled pixels; 0 where nothing is labeled."""
        return np.asarray(self.totals / max(1, int(self.totals.sum())))


def count_pixels(
    dataset: Dataset,
    split: str,
    cache: Path | None = None,
    progress: Progress | None = None,
    *,
    keep: bool = True,
) -> PixelCounts:
    """Count every class's pixels in every label file of a split; the images are not read.

    cache: a JSON file that keeps the counts. What it holds of a file is used while that file's
    size and time of change, and the label set, are the same; then it is written anew, unless `keep`
    is False.

    Raises DataError naming a damaged label file, or the first file of a 0/255 mask that was meant
    to have two classes; RequestError for an unknown split.
    """
    pairs = dataset.pairs(split)
    meaning = dataset.labels.to_dict()
    kept = {} if cache is None else _kept(cache, meaning)
    stamps = {pair.name: _stamp(pair) for pair in pairs}
    rows = {name: kept[name][1] for name in stamps if kept.get(name, (None,))[0] == stamps[name]}
    missing = [pair for pair in pairs if pair.name not in rows]
    with ThreadPoolExecutor(THREADS) as pool:  # OpenCV and zlib let other threads run
        fresh = pool.map(lambda pair: count_labels(dataset.labels.read(pair.label)), missing)
        for done, (pair, counted) in enumerate(zip(missing, fresh, strict=True), start=1):
            rows[pair.name] = counted[[*range(len(dataset.labels.names)), IGNORED]].tolist()
            if progress is not None:
                progress(done, len(missing))
    if cache is not None and keep and (missing or rows.keys() != kept.keys()):
        _keep(cache, split, meaning, {name: (stamps[name], rows[name]) for name in stamps})
    table = np.array([rows[pair.name] for pair in pairs], np.int64)
    table = table.reshape(len(pairs), len(dataset.labels.names) + 1)
    names = tuple(pair.name for pair in pairs)
    counts = PixelCounts(dataset.labels.names, names, table[:, :-1], table[:, -1])
    if is_binary_mask_set(dataset.labels, np.append(counts.totals, counts.ignored.sum())):
        first = pairs[int(np.flatnonzero(counts.ignored)[0])].label
        raise DataError(
            f"{first}: 0/255 masks: of the two classes only '{counts.classes[0]}' occurs, and 255 "
            f"({int(counts.ignored.sum())} pixels in all) is ignored; write 1 instead of 255"
        )
    return counts


def count_labels(labels_hw: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(256,) int64: the pixels of each value in labels_hw, so of each class and of `IGNORED`."""
    return np.bincount(labels_hw.ravel(), minlength=IGNORED + 1)


def is_binary_mask_set(labels: LabelSet, pixels: npt.NDArray[np.int64]) -> bool:
    """Whether files of two classes hold 0 and 255 alone, 255 read as ignored: 0/255 masks.

    pixels: those of each class first, those that are ignored last.
    """
    two = len(labels.names) == 2 and labels.ignored == IGNORED
    return two and bool(pixels[0] > 0 and pixels[1] == 0 and pixels[-1] > 0)


def class_weights(spec: str | Sequence[float], counts: PixelCounts) -> npt.NDArray[np.float32]:
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


def _computed_weights(name: str, counts: PixelCounts) -> npt.NDArray[np.float64]:
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


Stamp = tuple[int, int]  # a label file's size in bytes and time of change in ns


def _stamp(pair: Pair) -> Stamp:
    try:
        status = pair.label.stat()
    except OSError as error:
        raise DataError(f"{pair.label}: no such file; restore it, or remove its pair") from error
    return status.st_size, status.st_mtime_ns


def _kept(path: Path, meaning: Mapping[str, Any]) -> dict[str, tuple[Stamp, list[int]]]:
    """What an earlier count left; nothing if there is none, or it is not of this label set."""
    try:
        check_size(path, MAX_TEXT_BYTES)
        form = parse_json(path.read_text(encoding="utf-8"))
        if form["labels"] != meaning:
            return {}
        return {
            name: ((entry["bytes"], entry["changed_ns"]), [*entry["counts"], entry["ignored"]])
            for name, entry in form["images"].items()
            if len(entry["counts"]) == len(meaning["names"])
            and all(_is_count(number) for number in (*entry["counts"], entry["ignored"]))
        }
    except (DataError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # a cache that cannot be read is no loss: it is counted and written again


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 1 << 53


def _keep(
    path: Path,
    split: str,
    meaning: Mapping[str, Any],
    rows: Mapping[str, tuple[Stamp, list[int]]],
) -> None:
    images = {
        name: {"bytes": size, "changed_ns": changed, "counts": row[:-1], "ignored": row[-1]}
        for name, ((size, changed), row) in rows.items()
    }
    form = {"split": split, "labels": meaning, "images": images}
    write_whole(path, json.dumps(form) + "\n")
