"""A data set: its splits of image and label pairs, and how a pair becomes arrays.

Every kind of data on disk is found by its own file beside this one; what they share is here:
listing files, matching images with labels, and splitting by a seed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import IMAGE_SUFFIXES, read_image
from briskseg.core.labels import LabelSet


@dataclass(frozen=True)
class Pair:
    """An image file and its label file; the name is unique within a split."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Unmatched:
    """A file that is half of no pair; problem says why, as in "image without label"."""

    problem: str
    split: str
    path: Path


@dataclass(frozen=True)
class Dataset:
    """The pairs of a data set by split, and the label set that all of its files follow."""

    kind: str
    root: Path
    labels: LabelSet
    splits: Mapping[str, tuple[Pair, ...]]

    def pairs(self, split: str) -> tuple[Pair, ...]:
        """The pairs of a split, sorted by name. Raises RequestError for one that is not there."""
        if split not in self.splits:
            raise RequestError(f"{self.root}: no split '{split}'; {nearest(split, self.splits)}")
        return self.splits[split]

    def training_on(self, splits: Sequence[str]) -> Dataset:
        """The same data, with the pairs of all these splits as "train"; where there are several a
        pair's name begins with its split's. Raises RequestError for a split that is not there."""
        if len(splits) == 1:
            pairs = self.pairs(splits[0])
        else:
            pairs = tuple(
                replace(pair, name=f"{split}/{pair.name}")
                for split in dict.fromkeys(splits)
                for pair in self.pairs(split)
            )
        return replace(self, splits={**self.splits, "train": pairs})

    def read(self, pair: Pair) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Read a pair: image_hwc, (H, W, 3) uint8 RGB, and labels_hw, (H, W) uint8, 255 ignored.

        Raises DataError naming the file when one is damaged, holds values or colors that are no
        class, or when the two sizes differ.
        """
        image_hwc = read_image(pair.image)
        labels_hw = self.labels.read(pair.label)
        if image_hwc.shape[:2] != labels_hw.shape:
            (image_h, image_w), (label_h, label_w) = image_hwc.shape[:2], labels_hw.shape
            raise DataError(
                f"{pair.image} is {image_w}x{image_h} and its labels {pair.label} are "
                f"{label_w}x{label_h} (width x height); make them the same size, the labels with "
                "nearest-neighbor resizing"
            )
        return image_hwc, labels_hw


# What a kind's finder gives: the data set, and the files that are half of no pair.
Found = tuple[Dataset, tuple[Unmatched, ...]]


def image_files(folder: Path, ending: str = "") -> list[Path]:
    """The image files in a folder whose stem has this ending, sorted; none if it is not there.

    Raises DataError for a name with characters that no terminal shows.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    paths = [folder / name for name in sorted(names)]
    found = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and p.stem.endswith(ending)]
    return [check_file_name(path) for path in found]


def match(
    split: str, images: Mapping[str, list[Path]], labels: Mapping[str, list[Path]]
) -> tuple[tuple[Pair, ...], tuple[Unmatched, ...]]:
    """Pair the files of one split by name, and list those that are left over or named twice."""
    pairs, unmatched = [], []
    for name in sorted({*images, *labels}):
        image, label = images.get(name, []), labels.get(name, [])
        if image and label:
            pairs.append(Pair(name, image[0], label[0]))
            twice = [*image[1:], *label[1:]]
            unmatched += [Unmatched("name used twice", split, path) for path in twice]
        else:
            unmatched += [Unmatched("image without label", split, path) for path in image]
            unmatched += [Unmatched("label without image", split, path) for path in label]
    return tuple(pairs), tuple(unmatched)


def by_name(paths: Iterable[Path], ending: str = "") -> dict[str, list[Path]]:
    """The files by their stem without its ending; usually one file a name."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(path.stem.removesuffix(ending), []).append(path)
    return named


def split_by_seed(pairs: tuple[Pair, ...], val: int, seed: int) -> dict[str, tuple[Pair, ...]]:
    """Split into train and `val` pairs of val, at random but by the seed and the names alone.

    Each name is hashed with the seed and the lowest hashes are val, so neither the order of the
    files nor the version of a library has a say, and a new file moves at most one other.
    """

    def draw(pair: Pair) -> bytes:
        return hashlib.sha256(f"{seed}/{pair.name}".encode()).digest()

    chosen = {pair.name for pair in sorted(pairs, key=draw)[:val]}
    return {
        "train": tuple(pair for pair in pairs if pair.name not in chosen),
        "val": tuple(pair for pair in pairs if pair.name in chosen),
    }
