"""Findings on images that occur more than once: the same, nearly the same, or the next frame."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from briskseg.core.wording import counted
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.scan import PairStats, Scan
from briskseg.data.file_stats import looks_array

# Cosines of two looks. Re-encoded, resized and brightened street images stay above 0.992; CamVid's
# frames at 15 Hz have 0.93 to 0.99 with the next, those of other scenes 0.7 at most.
SAME, NEXT = 0.99, 0.8
# From this share of val's images on, those that were trained on decide the score.
MEANINGLESS = 0.05
_ROWS = 512  # of a product at once, to keep memory flat
_KEPT_FIRST = ("test", "val", "train")  # of the copies of an image, where one is dropped


def duplicates(scan: Scan) -> Iterator[Finding]:
    """Images that are the same pixel for pixel, across splits or within one."""
    across, within, conflicting = [], [], []
    for items in _same_images(scan):
        splits = {item.split for item in items}
        if len(splits) > 1:
            across.append(items)
        elif len(items) > 1:
            within.append(items)
        if len({item.label.digest for item in items if item.label is not None}) > 1:
            conflicting.append(items)
    trained, images = _val_in_train(across), sum(item.split == "val" for item in scan.pairs)
    if trained and len(trained) >= MEANINGLESS * images:
        message = (
            f"{counted(len(trained), 'image')} of val's {images} "
            f"{'lies' if len(trained) == 1 else 'lie'} in train too, pixel for pixel"
        )
        groups = [items for items in across if _val_in_train([items])]
        yield finding("val-in-train", _files(groups), message, count=len(trained))
        across = [items for items in across if not _val_in_train([items])]
    if across:
        splits_named = " and ".join(dict.fromkeys(item.split for item in across[0]))
        many = counted(len(across), "image lies", "images lie")
        message = f"{many} in more than one split, pixel for pixel"
        hint = "keep each in one split: a score on images that were trained on is too high"
        yield finding("duplicates", _files(across), f"{message} ({splits_named})", hint)
    if within:
        many = counted(len(within), "image occurs", "images occur")
        message = f"{many} several times in one split"
        yield finding("repeated-images", _files(within), message)
    if conflicting:
        many = counted(len(conflicting), "image occurs", "images occur")
        message = f"{many} several times, with differing labels"
        yield finding("conflicting-labels", _files(conflicting), message)


def _val_in_train(groups: list[list[PairStats]]) -> list[PairStats]:
    """The pairs of val, of the groups of one image that has a pair in train as well."""
    both = [items for items in groups if {"train", "val"} <= {item.split for item in items}]
    return [item for items in both for item in items if item.split == "val"]


def surplus_copies(scan: Scan) -> set[tuple[str, Path]]:
    """Of images that lie in several splits, the split and file of those to drop so that each lies
    in one: what is tested on stays, so that scores can still be compared. A list may name one file
    in two splits."""
    surplus = set()
    for items in _same_images(scan):
        kept = min((item.split for item in items), key=_rank)
        surplus |= {(item.split, item.pair.image) for item in items if item.split != kept}
    return surplus


def look_alikes(scan: Scan) -> Iterator[Finding]:
    """Images that are nearly the same across splits, apart from neighboring video frames."""
    items = [item for item in scan.pairs if item.image is not None and item.image.look]
    found = [alike for alike in _neighbors(items) if alike.differ]
    if found:
        frames = "of neighboring video frames"
        many = counted(len(found), f"pair {frames} lies", f"pairs {frames} lie")
        yield _alike_finding("video-neighbors", found, f"{many} in different splits")
    videos = {alike.videos for alike in found}
    near = [alike for alike in _near(items) if alike.differ and alike.videos not in videos]
    if near:
        many = counted(len(near), "image lies", "images lie")
        yield _alike_finding(
            "near-duplicates", near, f"{many} in more than one split in another form"
        )


def _alike_finding(kind: str, found: list[_Alike], what: str) -> Finding:
    """A finding that names the two that are closest."""
    one, other, _ = max(found, key=lambda alike: alike.cosine)
    message = (
        f"{what}, such as {one.pair.image.name} in {one.split} and "
        f"{other.pair.image.name} in {other.split}"
    )
    files = [item.pair.image for alike in found for item in (alike.one, alike.other)]
    return finding(kind, files, message)


class _Alike(NamedTuple):
    one: PairStats
    other: PairStats
    cosine: float

    @property
    def differ(self) -> bool:
        """Whether they are not the same pixel for pixel, which is another finding."""
        digests = {item.image.digest for item in (self.one, self.other) if item.image is not None}
        return len(digests) > 1

    @property
    def videos(self) -> frozenset[str]:
        return frozenset((_sequence(self.one)[0], _sequence(self.other)[0]))


def _same_images(scan: Scan) -> list[list[PairStats]]:
    """Groups of pairs whose images have the same size and pixels; a blank image is no evidence."""
    same: dict[str, list[PairStats]] = defaultdict(list)
    for item in scan.pairs:
        if item.image is not None and item.image.lowest < item.image.highest:
            same[item.image.digest].append(item)
    return [items for items in same.values() if len(items) > 1]


def _neighbors(items: list[PairStats]) -> list[_Alike]:
    """Frames that follow each other by number, lie in different splits, and look alike."""
    videos: dict[str, list[tuple[int, PairStats]]] = defaultdict(list)
    for item in items:
        prefix, number = _sequence(item)
        if number is not None:
            videos[prefix].append((number, item))
    found = []
    for frames in videos.values():
        frames.sort(key=lambda frame: frame[0])
        for (_, one), (_, other) in pairwise(frames):
            if one.split != other.split:
                looks = looks_array([item.image.look for item in (one, other) if item.image])
                cosine = float(looks[0] @ looks[1])
                if cosine >= NEXT:
                    found.append(_Alike(one, other, cosine))
    return found


def _near(items: list[PairStats]) -> list[_Alike]:
    """For each image of a smaller split, the one of another split that it is nearly equal to."""
    by_split: dict[str, list[PairStats]] = defaultdict(list)
    for item in items:
        by_split[item.split].append(item)
    looks = {
        split: looks_array([item.image.look for item in some if item.image])
        for split, some in by_split.items()
    }
    splits, found = sorted(by_split, key=_rank), []
    for index, first in enumerate(splits):
        for second in splits[index + 1 :]:
            for start in range(0, len(looks[first]), _ROWS):
                cosines = looks[first][start : start + _ROWS] @ looks[second].T
                nearest = cosines.argmax(1)
                for row in np.flatnonzero(cosines.max(1) >= SAME):
                    one, other = by_split[first][start + row], by_split[second][nearest[row]]
                    found.append(_Alike(one, other, float(cosines[row, nearest[row]])))
    return found


def _sequence(item: PairStats) -> tuple[str, int | None]:
    """What a name has before its last number, and the number: the video and the frame."""
    parts = re.fullmatch(r"(.*?)(\d+)(\D*)", item.pair.name)
    return (parts[1] + parts[3], int(parts[2])) if parts else (item.pair.name, None)


def _rank(split: str) -> int:
    return _KEPT_FIRST.index(split) if split in _KEPT_FIRST else len(_KEPT_FIRST)


def _files(groups: list[list[PairStats]]) -> list[Path]:
    return [item.pair.image for items in groups for item in items]
