"""Findings on classes: what is labeled at all, and which splits a class occurs in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from briskseg.core.labels import IGNORED
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.scan import Scan
from briskseg.data.frequencies import is_binary_mask_set


def ignored_files(scan: Scan) -> Iterator[Finding]:
    """Label files, or a split's all, in which every pixel is ignored."""
    empty = [item for item in scan.pairs if item.counts.keys() == {IGNORED}]
    if empty:
        message = "label files in which every pixel is ignored: they teach and score nothing"
        yield finding("all-ignored", [scan.named(item.pair.labels_at) for item in empty], message)
    for split in ("train", "val"):
        read = [item for item in scan.pairs if item.split == split and item.counts]
        if read and all(item.counts.keys() == {IGNORED} for item in read):
            message = f"nothing in {split} is labeled: every pixel is ignored"
            yield finding("nothing-labeled", (), message, count=1)


def class_splits(scan: Scan) -> Iterator[Finding]:
    """Classes that never occur, or in one split and not in another."""
    names = np.array(scan.dataset.labels.names)
    splits = [split for split, pairs in scan.dataset.splits.items() if pairs]
    occurs = {split: scan.counts(split)[: len(names)] > 0 for split in splits}
    anywhere = scan.counts()[: len(names)] > 0
    if not anywhere.any():
        return  # nothing was labeled or readable, which other findings say
    if is_binary_mask_set(scan.dataset, scan.counts()):
        return  # nor is this what is wrong
    if anywhere.sum() == 1 < len(names):
        message = f"every labeled pixel is '{names[anywhere][0]}', of {len(names)} classes"
        yield finding("one-class", (), message, count=1)
    elif not anywhere.all():
        message = f"classes that occur in no file: {', '.join(names[~anywhere])}"
        yield finding("class-absent", (), message, count=int((~anywhere).sum()))
    train = occurs.get("train", anywhere)
    for split, present in occurs.items():
        untrained, unseen = present & ~train, train & ~present
        if untrained.any():
            message = f"classes in {split} but not in train: {', '.join(names[untrained])}"
            yield finding("class-untrained", (), message, count=int(untrained.sum()))
        if unseen.any() and present.any():
            message = f"classes in train but not in {split}: {', '.join(names[unseen])}"
            hint = f"{split} says nothing about them: move some of their images there"
            yield finding("class-unmeasured", (), message, hint, int(unseen.sum()))
