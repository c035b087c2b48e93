"""Findings on classes: what is labeled at all, and which splits a class occurs in; and what stands
for each class in the label files."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from briskseg.core.errors import DataError
from briskseg.core.files.safe_names import printable
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.class_list import parse_class_list, read_class_list
from briskseg.core.wording import counted
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.kinds import KINDS
from briskseg.data.check.scan import PairStats, Scan
from briskseg.data.file_stats import FileProblem, LabelStats
from briskseg.data.frequencies import is_binary_mask_set, may_be_binary_masks
from briskseg.data.masks.class_files import CLASS_FILES
from briskseg.data.shape_dataset import BACKGROUND, plain_name

_MUCH_BLACK = 0.05  # of the pixels; borders between areas are fewer
_MUCH_IGNORED = 0.5  # likewise
_LISTED = 12  # classes, at most, of a list that is written out
_NEW = ("background", "other", "rest", *(f"class{number}" for number in range(256)))
_ON_PURPOSE = "if it is left unlabeled on purpose, say so there with `ignore 255`"


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


def ignored_black(scan: Scan) -> Iterator[Finding]:
    """Black that the class list does not name, and that takes a part of the masks."""
    labels = scan.dataset.labels
    listed = {*labels.colors, *(color for color, _ in labels.merged_colors)}
    if (0, 0, 0) in listed or labels.class_of_color.get((0, 0, 0)) != IGNORED:
        return
    painted = [i for i in scan.pairs if i.label and i.label.is_color and not i.unknown]
    share, files = _held(0, painted)
    if share >= _MUCH_BLACK:
        message = (
            f"{100 * share:.0f} % of the pixels of color masks are black, which the class list "
            "does not name: they are ignored"
        )
        yield finding("black-ignored", files, message)


def _held(value: int, items: list[PairStats]) -> tuple[float, list[Path]]:
    """The share of the pixels in label files that have a value, and which files hold it."""
    held = [item for item in items if value in item.histogram]
    pixels = sum(i.label.height * i.label.width for i in items if i.label)
    share = sum(item.histogram[value] for item in held) / max(1, pixels)
    return share, [item.pair.labels_at for item in held]


def mostly_ignored(scan: Scan) -> Iterator[Finding]:
    """255 in most pixels of index masks, where no class list of the user's says that it is ignored.

    In masks of 0 and 255 alone it may be the object, which other findings say.
    """
    dataset = scan.dataset
    is_ignored = dataset.labels.class_of_value.get(IGNORED) == IGNORED and _ignores_unsaid(scan)
    if not is_ignored or len(dataset.labels.names) == 1:
        return
    by_value = [item for item in scan.pairs if not item.by_color]
    is_binary = any(item.histogram.keys() == {0, IGNORED} for item in by_value)
    if is_binary and may_be_binary_masks(dataset):
        return
    share, files = _held(IGNORED, by_value)
    if _MUCH_IGNORED < share < 1:
        message = (
            f"{100 * share:.0f} % of the pixels of the label files are 255, which is ignored: they "
            "teach and score nothing"
        )
        names = dict(enumerate(dataset.labels.names))
        taken = {plain_name(name) for name in names.values()}
        new = next(name for name in _NEW if name not in taken)
        listed = _listed(scan, names | {IGNORED: new}) if all(scan.counts()[: len(names)]) else ""
        hint = listed and f"if 255 is a class, make the class list {listed}; {_ON_PURPOSE}"
        yield finding("mostly-ignored", files, message, hint)


def _ignores_unsaid(scan: Scan) -> bool:
    """Whether there is a class list and it has no `ignore`."""
    lists = [read_class_list(p) for p in scan.dataset.lists if p.name in CLASS_FILES]
    return bool(lists) and not any(listed.says_ignored for listed in lists)


def single_class(scan: Scan) -> Iterator[Finding]:
    """A class list of one class, with what the label files say of the background."""
    names = scan.dataset.labels.names
    if len(names) != 1:
        return
    held = {value for item in scan.pairs for value in item.histogram}
    message = f"the class list has '{names[0]}' alone, and one class cannot be learned"
    hint = ""
    if held == {0, IGNORED} and not any(item.by_color for item in scan.pairs):
        message += (
            ". The label files hold 0 and 255: one of them is the background and the other "
            f"'{names[0]}', or 0 is '{names[0]}' and 255 ignored"
        )
        hint = (
            f"make the list `0 background` and `255 {names[0]}`, with the two numbers swapped "
            "where 255 is the background; where it is ignored, label what is not of the class too"
        )
    elif held == {0, 1}:
        hint = f"make the list `background` and `{names[0]}`: the label files hold 0 and 1"
    yield finding("single-class", (), message, hint, 1)


def names_alike(scan: Scan) -> Iterator[Finding]:
    """Classes whose names differ in case or in surrounding space only."""
    alike: dict[str, list[str]] = {}
    for name in scan.dataset.names:
        alike.setdefault(name.strip().casefold(), []).append(f"'{printable(name)}'")
    said = [" and ".join(names) for names in alike.values() if len(names) > 1]
    if said:
        message = f"classes whose names differ in case or space only: {'; '.join(said[:_LISTED])}"
        yield finding("names-alike", (), message, count=len(said))


def unlisted(scan: Scan) -> Iterator[Finding]:
    """Classes of shapes that the class list lacks, with the listed name that was meant."""
    lacking: dict[str, list[Path]] = {}
    used = {name for name, n in zip(scan.dataset.labels.names, scan.counts(), strict=False) if n}
    for problem in _with_unlisted(scan):
        used.update(problem.is_listed)
        for name in (name for name, is_listed in problem.is_listed.items() if not is_listed):
            lacking.setdefault(name, []).append(problem.path)
    if not lacking:
        return
    unused = [n for n in scan.dataset.labels.names if n not in used and n != BACKGROUND]
    said, hints = [], []
    for name, paths in lacking.items():
        shown = f"'{printable(name[:100])}'"
        meant = difflib.get_close_matches(name, unused, n=1)
        near = difflib.get_close_matches(name, used - lacking.keys(), n=1)
        said.append(f"the class {shown} ({counted(len(paths), 'file')})")
        if meant:
            unused.remove(meant[0])  # it stands for one
            said[-1] += f" and has '{meant[0]}', which is no shape's"
            hints.append(f"write {shown} in the list instead of '{meant[0]}'")
        elif near:
            hints.append(f"correct {shown} to '{near[0]}' in the shapes, or add it to the list")
        else:
            hints.append(f"add {shown} to the list, a class a line")
    lists = scan.dataset.lists[0].name
    files = (path for paths in lacking.values() for path in paths)
    message = f"{lists} lacks {'; '.join(said[:_LISTED])}"
    yield finding("class-not-listed", files, message, "; ".join(hints[:_LISTED]))


def _with_unlisted(scan: Scan) -> list[FileProblem]:
    problems = (problem for item in scan.pairs for problem in item.problems)
    return [problem for problem in problems if problem.kind == "class-not-listed"]


def class_splits(scan: Scan) -> Iterator[Finding]:
    """Classes that never occur, or in one split and not in another."""
    names = np.array(scan.dataset.labels.names)
    splits = [split for split, pairs in scan.dataset.splits.items() if pairs]
    occurs = {split: scan.counts(split)[: len(names)] > 0 for split in splits}
    anywhere = scan.counts()[: len(names)] > 0
    if not anywhere.any() or _with_unlisted(scan):
        return  # nothing was labeled, or was left aside by its class, which other findings say
    if len(names) == 1 or is_binary_mask_set(scan.dataset, scan.counts()):
        return  # nor is this what is wrong
    if anywhere.sum() == 1 < len(names):
        message = f"every labeled pixel is '{names[anywhere][0]}', of {len(names)} classes"
        hint = KINDS["crowds-only"].fix_hint if _crowds_only(scan) else ""
        yield finding("one-class", (), message, hint, 1)
    elif absent := [n for n in names[~anywhere].tolist() if n not in _crowds_only(scan)]:
        message = f"classes that occur in no file: {', '.join(absent)}"
        yield finding("class-absent", (), message, _without(scan, absent), len(absent))
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


def crowds_only(scan: Scan) -> Iterator[Finding]:
    """Classes all of whose objects are marked as crowds."""
    found = _crowds_only(scan)
    if found:
        listed = ", ".join(f"{name} ({counted(n, 'object')})" for name, n in found.items())
        files = [
            item.pair.labels_at
            for item in scan.pairs
            if item.label is not None and not found.keys().isdisjoint(item.label.crowds)
        ]
        message = f"every object is marked as a crowd, and so ignored: {printable(listed)}"
        yield finding("crowds-only", files, message)


def _crowds_only(scan: Scan) -> Counter[str]:
    """The classes that have crowds and not one labeled pixel, with their number of crowds."""
    crowds: Counter[str] = Counter()
    for item in scan.pairs:
        crowds.update(item.label.crowds if item.label is not None else ())
    names = np.array(scan.dataset.labels.names)
    seen = {*names[scan.counts()[: len(names)] > 0].tolist()}
    return Counter({name: n for name, n in crowds.items() if name in {*names} - seen})


def _without(scan: Scan, absent: Collection[str]) -> str:
    """How to take classes out of a list of values without giving others their numbers; "" as
    `_listed`."""
    left = {i: name for i, name in enumerate(scan.dataset.labels.names) if name not in absent}
    lines = _listed(scan, left)
    return lines and (
        "no harm where it is only rare: leave it in the list. Else look whether the labels are "
        f"numbered otherwise; the list without it keeps the others' values: {lines}"
    )


def _listed(scan: Scan, names: Mapping[int, str]) -> str:
    """The lines of a class list of these names, by class index and 255 for what is ignored, each
    with the value that it has now; "" where no value stands for a class, files hold values of none,
    the classes have colors, or it would be long or not be read so."""
    labels, meaning = scan.dataset.labels, label_meaning(scan)
    is_numbered = all(meaning.get(index, "").isdecimal() for index in names)
    has_colors = labels.colors != LabelSet(labels.names).colors
    if len(names) > _LISTED or not is_numbered or has_colors or any(i.unknown for i in scan.pairs):
        return ""
    lines = [f"{meaning[index]} {name}" for index, name in names.items()]
    try:
        read = parse_class_list("\n".join(lines), scan.dataset.root).lines
    except DataError:
        return ""
    is_read_so = [line.name for line in read] == [*names.values()]
    return ", ".join(f"`{line}`" for line in lines) if is_read_so else ""


def transparent_class(scan: Scan) -> int:
    """What transparent pixels are: `background`, or where no class is called so the one whose color
    or value lies under them all, if no other pixel of the set is of it; else ignored."""
    labels = scan.dataset.labels
    # an index may stand in all three channels
    colors = {(v, v, v): i for v, i in labels.class_of_value.items()} | labels.class_of_color

    def class_of(label: LabelStats, by_color: bool, value: int) -> int | None:
        if not by_color:
            return labels.class_of_value.get(value)
        return colors.get(label.color(value))

    read = [(item.label, item.by_color) for item in scan.pairs if item.label is not None]
    shown = {class_of(*each, value) for each in read for value in each[0].histogram}
    under = {class_of(*each, value) for each in read for value in each[0].under}
    named = {i for i, n in enumerate(labels.names) if plain_name(n) == BACKGROUND}
    meant = [*(named or under)]
    # where a value is no class's, who knows how the others are numbered
    is_only = len(meant) == 1 and not shown & {meant[0], None}
    return meant[0] if is_only and meant[0] is not None else IGNORED


def label_meaning(scan: Scan) -> dict[int, str]:
    """For each class index, and 255 for what is ignored, the values or colors that mean it.

    Colors stand there where a file is read by color, values where one is read by value; of what is
    ignored only what the files hold.
    """
    labels = scan.dataset.labels
    if any(item.label.is_decoded for item in scan.pairs if item.label):
        return {}
    said: dict[int, list[str]] = {}
    if held := {v for item in scan.pairs if not item.by_color for v in item.histogram}:
        for value, index in labels.class_of_value.items():
            if index != IGNORED or value in held:
                said.setdefault(index, []).append(str(value))
        if IGNORED in held and IGNORED not in labels.class_of_value:
            said.setdefault(IGNORED, []).append(str(IGNORED))
    if held_colors := {c for item in scan.pairs if item.by_color for c in item.colors}:
        for color, index in labels.class_of_color.items():
            if index != IGNORED or color in held_colors:
                said.setdefault(index, []).append(",".join(map(str, color)))
    return {index: " or ".join(_short(what)) for index, what in said.items()}


def _short(what: list[str]) -> list[str]:
    return what if len(what) <= 4 else [*what[:3], f"{len(what) - 3} more"]
