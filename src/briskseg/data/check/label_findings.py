"""Findings on what label files hold: values and colors that are no class, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.files.safe_names import printable
from briskseg.core.labels import IGNORED, RGB, LabelSet
from briskseg.core.labels.fix_hints import FixHint, binary_hint, hint_for_colors, hint_for_values
from briskseg.core.wording import counted, first_of
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.class_findings import transparent_class
from briskseg.data.check.image_findings import WITH_ALPHA
from briskseg.data.check.kinds import KINDS
from briskseg.data.check.scan import PairStats, Scan
from briskseg.data.frequencies import is_binary_mask_set, may_be_binary_masks

SHOWN = 8  # values or colors in a message

Values = tuple[PairStats, Mapping[int, int]]  # a file that is read by value: the pixels of each


def label_forms(scan: Scan) -> Iterator[Finding]:
    """Label files that are more than 8-bit values or RGB."""
    by_kind: dict[str, list[Path]] = defaultdict(list)
    clear = 0
    for item in scan.pairs:
        label, path = item.label, item.pair.label
        if label is None:
            continue
        if label.is_lossy:
            by_kind["lossy-labels"].append(path)
        if label.mode in WITH_ALPHA:
            by_kind["transparent-labels" if label.clear else "alpha-labels"].append(path)
            clear += label.clear
        if label.mode.startswith("I"):
            by_kind["sixteen-bit-labels"].append(path)
        if label.palette is not None and not item.by_color and not item.unknown:
            by_kind["palette-labels"].append(path)
    names = {IGNORED: "ignored"} | {i: f"'{n}'" for i, n in enumerate(scan.dataset.names)}
    meant = names[transparent_class(scan)]
    for kind, paths in by_kind.items():
        message = {
            "lossy-labels": "label files are JPEG or lossy WebP, so their values are not exact",
            "transparent-labels": f"label files have {counted(clear, 'transparent pixel')}, which "
            f"--fix takes as {meant} where they are wholly so",
            "alpha-labels": "label files have an alpha channel, opaque throughout",
            "sixteen-bit-labels": "label files have 16 or 32 bits a pixel",
            "palette-labels": "palette files are read by index, as their colors are no classes'",
        }[kind]
        yield finding(kind, paths, message)


def blended_labels(scan: Scan) -> Iterator[Finding]:
    """Masks whose borders are blends of indices that are all classes."""
    blended = [f for f in scan.pairs if f.label is not None and f.label.blended and not f.unknown]
    if blended:
        first = blended[0]
        assert first.label is not None
        message = (
            f"masks were resized with interpolation; in {first.pair.label.name} "
            f"{first.label.blended:.0%} of the borders between areas are blends of their values"
        )
        yield finding("blended-labels", [item.pair.label for item in blended], message)


def left_out_shapes(scan: Scan) -> Iterator[Finding]:
    """Shapes that are no areas, by what they are."""
    kinds: Counter[str] = Counter()
    images = []
    for item in scan.pairs:
        if item.label is not None and item.label.left_out:
            kinds.update(item.label.left_out)
            images.append(item.pair.labels_at)
    if kinds:
        listed = ", ".join(f"{printable(kind)} ({n})" for kind, n in kinds.most_common(SHOWN))
        many = counted(kinds.total(), "shape is no area and is", "shapes are no areas and are")
        message = f"{many} left out: {listed}"
        yield finding("shapes-left-out", images, message)


@dataclass(frozen=True)
class Diagnosis:
    """Why label files hold what is no class: what to do, and the files."""

    hint: FixHint
    items: tuple[PairStats, ...]


def unknown_labels(scan: Scan) -> Iterator[Finding]:
    """Values and colors that are no class, by what probably happened."""
    for diagnosis in diagnose(scan):
        unknown: Counter[Any] = Counter()
        for item in diagnosis.items:
            unknown.update(item.unknown)
        kind = diagnosis.hint.kind
        if kind == "binary-masks":
            white = sum(
                i.histogram.get(0xFFFFFF if i.by_color else 255, 0) for i in diagnosis.items
            )
            name = scan.dataset.labels.names[-1]
            message = (
                f"0/255 masks: '{name}' never occurs, 255 does instead ({counted(white, 'pixel')})"
            )
        elif kind == "ambiguous-labels":
            message = "labels fit the classes as they are, but those of files beside them do not"
        else:
            listed = [f"{value} ({counted(n, 'pixel')})" for value, n in unknown.most_common()]
            what = "colors" if any(isinstance(value, tuple) for value in unknown) else "values"
            message = f"label {what} of no class: {first_of(listed, SHOWN)}"
        paths = [item.pair.label for item in diagnosis.items]
        yield finding(kind, paths, message, diagnosis.hint.text)


def diagnose(scan: Scan) -> list[Diagnosis]:
    """What is wrong with the label files that training would refuse or misread.

    A file is in one diagnosis, but for indices that are saved as RGB: what is wrong with these is
    in another. Lossy files are in none: their values say little.
    """
    labels = scan.dataset.labels
    files = [
        item
        for item in scan.pairs
        if item.label is not None and not (item.label.is_lossy or item.label.is_decoded)
    ]
    gray, black, colored = _gray_colors([item for item in files if item.by_color], labels)
    found = [Diagnosis(_AS_RGB, tuple(gray))] if gray else []
    if black:
        found.append(Diagnosis(_AMBIGUOUS, tuple(black)))
    by_value: list[Values] = [(item, item.histogram) for item in files if not item.by_color]
    by_value += [(item, {red: n for (red, _, _), n in item.colors.items()}) for item in gray]
    total: Counter[int] = Counter()
    for _, values in by_value:
        total.update(values)
    unknown = {value: n for value, n in total.items() if value not in labels.class_of_value}
    hint = _hint(scan, total, unknown)
    if hint is not None and hint.kind == "binary-masks" and not scan.counts()[1]:
        found.append(Diagnosis(hint, tuple(item for item, held in by_value if held.get(255))))
    elif hint is not None and hint.kind == "unlisted-values":
        found.append(Diagnosis(hint, tuple(item for item, _ in by_value)))
    elif hint is not None and hint.remap and hint.kind != "binary-masks":
        found += _renumbered(scan, hint, by_value)
    else:
        found += _one_by_one(scan, by_value)
    return found + _by_color(scan, colored)


def _hint(scan: Scan, total: Mapping[int, int], unknown: Mapping[int, int]) -> FixHint | None:
    """That of all files that are read by value together; None where nothing is wrong."""
    labels = scan.dataset.labels
    if unknown:
        return hint_for_values(total, unknown, labels.names, labels.ignored)
    pixels = np.array([total.get(value, 0) for value in (0, 1, IGNORED)])
    is_binary = is_binary_mask_set(scan.dataset, pixels)
    return binary_hint(labels.names, labels.ignored) if is_binary else None


def _renumbered(scan: Scan, hint: FixHint, by_value: list[Values]) -> list[Diagnosis]:
    """What is wrong with all files if with any, as one that holds low numbers only shows nothing.

    A file that fits as it is may as well be right: it is never renumbered, and the others only
    where they are the more.
    """
    known = scan.dataset.labels.class_of_value
    strange, fitting = [], []
    for item, values in by_value:
        if any(value not in known for value in values):
            strange.append(item)
        elif any(hint.remap[value] != known[value] for value in values):
            fitting.append(item)
    is_sure = len(strange) > len(fitting)
    said = hint if is_sure else FixHint("unknown-values", hint.text)
    found = [Diagnosis(said, tuple(strange))]
    return [*found, Diagnosis(_AMBIGUOUS, tuple(fitting))] if fitting else found


def _one_by_one(scan: Scan, by_value: list[Values]) -> list[Diagnosis]:
    """What single files hold that is no class: no one file shows that it is numbered otherwise."""
    labels = scan.dataset.labels
    by_hint: dict[tuple[str, str], tuple[FixHint, list[PairStats]]] = {}
    for item, values in by_value:
        unknown = {value: n for value, n in values.items() if value not in labels.class_of_value}
        if unknown:
            hint = hint_for_values(values, unknown, labels.names, labels.ignored)
            if hint.kind != "blended-values":
                hint = FixHint("unknown-values", hint.text)
            by_hint.setdefault((hint.kind, hint.text), (hint, []))[1].append(item)
    return [Diagnosis(hint, tuple(some)) for hint, some in by_hint.values()]


def _by_color(scan: Scan, items: list[PairStats]) -> list[Diagnosis]:
    known = scan.dataset.labels.class_of_color
    by_kind: dict[str, tuple[FixHint, list[PairStats]]] = {}
    for item in items:
        if not item.unknown:
            continue
        assert item.label is not None
        hint = hint_for_colors(item.colors, item.unknown, known.keys(), item.label.distinct)
        by_kind.setdefault(hint.kind, (hint, []))[1].append(item)
    found = [Diagnosis(hint, tuple(some)) for hint, some in by_kind.values()]
    swapped = by_kind.get("channels-swapped", (None, []))[1]
    either = _in_either_order([item for item in items if not item.unknown], known, len(swapped))
    return [*found, Diagnosis(_AMBIGUOUS, tuple(either))] if either else found


def _in_either_order(
    fitting: list[PairStats], known: Mapping[RGB, int], swapped: int
) -> list[PairStats]:
    """Of the files that fit as they are, those that hold other classes if their channels are as
    those of the `swapped` others; none where more files show that theirs are in order."""
    colors = [{*item.colors} for item in fitting]
    fits_both = [all(color[::-1] in known for color in some) for some in colors]
    if fits_both.count(False) >= swapped:
        return []
    return [
        item
        for item, some, both in zip(fitting, colors, fits_both, strict=True)
        if both and any(known[color] != known[color[::-1]] for color in some)
    ]


_AS_RGB = FixHint(
    "index-as-rgb", "three equal channels: an index mask saved as RGB; save it with one channel"
)
_AMBIGUOUS = FixHint("ambiguous-labels", KINDS["ambiguous-labels"].fix_hint)


def _gray_colors(
    colored: list[PairStats], labels: LabelSet
) -> tuple[list[PairStats], list[PairStats], list[PairStats]]:
    """Files of three equal channels, where one of them holds what is no class's color; those beside
    them that are black throughout and may be another class; and those that are colors.

    Black alone shows nothing, but where all files are such, it is index 0, unless it is the color
    of another class.
    """
    gray, black, others, are_gray = list[PairStats](), list[PairStats](), list[PairStats](), True
    for item in colored:
        is_gray = all(red == green == blue for red, green, blue in item.colors)
        are_gray = are_gray and is_gray
        if is_gray and item.unknown:
            gray.append(item)
        elif item.colors.keys() == {(0, 0, 0)}:
            black.append(item)
        else:
            others.append(item)
    if not gray or not are_gray:
        return gray, [], others + black
    if labels.class_of_color.get((0, 0, 0)) in (0, IGNORED):
        return gray + black, [], others
    return gray, black, others


def mixed_binary_masks(scan: Scan) -> Iterator[Finding]:
    """Of two classes' masks, those of 0 and 255 beside others of 0 and 1."""
    if not may_be_binary_masks(scan.dataset):
        return
    has_one = any(item.counts.get(1) for item in scan.pairs)
    white = [item for item in scan.pairs if item.counts.keys() == {0, IGNORED}]
    if has_one and white:
        message = "masks of 0 and 255 alone, which is read as ignored, beside masks with 1"
        yield finding("mixed-binary-masks", [f.pair.label for f in white], message)
