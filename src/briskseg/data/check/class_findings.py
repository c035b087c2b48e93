"""Findings on classes: what is labeled at all, and which splits a class occurs in; and what stands
for each class in the label files."""

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
        yield finding("all-ignored", [item.pair.labels_at for item in empty], message)
    for split in ("train", "val"):
        read = [item for item in scan.pairs if item.split == split and item.counts]
        if read and all(item.counts.keys() == {IGNORED} for item in read):
            message = f"nothing in {split} is labeled: every pixel is ignored"
            yield finding("nothing-labeled", (), message, count=1)


def single_class(scan: Scan) -> Iterator[Finding]:
    """A class list of one class, with what the label files say of the background."""
    names = scan.dataset.labels.names
    if len(names) != 1:
        return
    held = {value for item in scan.pairs if item.label for value in item.label.histogram}
    message = f"the class list has '{names[0]}' alone, and one class cannot be learned"
    hint = ""
    if held == {0, IGNORED} and not any(item.by_color for item in scan.pairs):
        message += (
            ". The label files hold 0 and 255, with two readings: 0 is the background and 255 "
            f"'{names[0]}', or 0 is '{names[0]}' and 255 ignored"
        )
        hint = (
            f"for the first make the list `0 background` and `255 {names[0]}`; for the second "
            "label what is not of the class too"
        )
    elif held == {0, 1}:
        hint = f"make the list `background` and `{names[0]}`: the label files hold 0 and 1"
    yield finding("single-class", (), message, hint, 1)


def class_splits(scan: Scan) -> Iterator[Finding]:
    """Classes that never occur, or in one split and not in another."""
    names = np.array(scan.dataset.labels.names)
    splits = [split for split, pairs in scan.dataset.splits.items() if pairs]
    occurs = {split: scan.counts(split)[: len(names)] > 0 for split in splits}
    anywhere = scan.counts()[: len(names)] > 0
    if not anywhere.any():
        return  # nothing was labeled or readable, which other findings say
    if len(names) == 1 or is_binary_mask_set(scan.dataset, scan.counts()):
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


def label_meaning(scan: Scan) -> dict[int, str]:
    """For each class index, and 255 for what is ignored, the values or colors that mean it.

    Colors stand there where a file is read by color, values where one is read by value; of what is
    ignored only what the files hold.
    """
    labels = scan.dataset.labels
    items = [item for item in scan.pairs if item.label is not None]
    if any(item.label.is_decoded for item in items if item.label is not None):
        return {}
    by_color = any(item.by_color for item in items)
    by_value = not all(item.by_color for item in items)
    said: dict[int, list[str]] = {}
    if by_value:
        held = {value for i in items if i.label and not i.by_color for value in i.label.histogram}
        for value, index in labels.class_of_value.items():
            if index != IGNORED or value in held:
                said.setdefault(index, []).append(str(value))
        if IGNORED in held and IGNORED not in labels.class_of_value:
            said.setdefault(IGNORED, []).append(str(IGNORED))
    if by_color:
        for color, index in labels.class_of_color.items():
            said.setdefault(index, []).append(",".join(map(str, color)))
    return {index: " or ".join(_short(what)) for index, what in said.items()}


def _short(what: list[str]) -> list[str]:
    return what if len(what) <= 4 else [*what[:3], f"{len(what) - 3} more"]
