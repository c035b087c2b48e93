"""Findings on what label files hold: values and colors that are no class, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.labels import IGNORED
from briskseg.core.labels.fix_hints import BINARY, Cure, cure_for_colors, cure_for_values
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.image_findings import WITH_ALPHA
from briskseg.data.check.scan import PairFacts, Scan, rgb
from briskseg.data.frequencies import is_binary_mask_set

# What is wrong with all files of a set if with any: one that holds low numbers only shows nothing.
_SET_WIDE = {"label-ids", "instance-ids", "numbered-from-one", "stretched-values"}
SHOWN = 8  # values or colors in a message


def label_forms(scan: Scan) -> Iterator[Finding]:
    """Label files that are more than 8-bit values or RGB."""
    by_kind: dict[str, list[Path]] = defaultdict(list)
    clear = 0
    for fact in scan.facts:
        label, path = fact.label, fact.pair.label
        if label is None:
            continue
        if label.is_lossy:
            by_kind["lossy-labels"].append(path)
        if label.mode in WITH_ALPHA:
            by_kind["transparent-labels" if label.clear else "alpha-labels"].append(path)
            clear += label.clear
        if label.mode.startswith("I"):
            by_kind["sixteen-bit-labels"].append(path)
        if label.palette is not None and not fact.by_color and not fact.unknown:
            by_kind["palette-labels"].append(path)
    for kind, paths in by_kind.items():
        message = {
            "lossy-labels": "label files are JPEG or lossy WebP, so their values are not exact",
            "transparent-labels": f"{clear} pixels of label files are transparent",
            "alpha-labels": "label files have an alpha channel, opaque throughout",
            "sixteen-bit-labels": "label files have 16 or 32 bits a pixel",
            "palette-labels": "palette files are read by index, as their colors are no classes'",
        }[kind]
        yield finding(kind, map(scan.named, paths), message)


@dataclass(frozen=True)
class Diagnosis:
    """Why label files hold what is no class: the cure, which of its kind, and the files."""

    cure: Cure
    facts: tuple[PairFacts, ...]


def unknown_labels(scan: Scan) -> Iterator[Finding]:
    """Values and colors that are no class, by what probably happened."""
    for diagnosis in diagnose(scan):
        unknown: Counter[Any] = Counter()
        for fact in diagnosis.facts:
            unknown.update(fact.unknown)
        kind = diagnosis.cure.kind
        if kind == "binary-masks":
            white = sum(_white(fact) for fact in diagnosis.facts)
            name = scan.dataset.labels.names[-1]
            message = f"0/255 masks: '{name}' never occurs, 255 does instead ({white} pixels)"
        else:
            listed = ", ".join(f"{value} ({n} pixels)" for value, n in unknown.most_common(SHOWN))
            more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            what = "colors" if any(isinstance(value, tuple) for value in unknown) else "values"
            message = f"label {what} of no class: {listed}{more}"
        paths = [scan.named(fact.pair.label) for fact in diagnosis.facts]
        yield finding(kind, paths, message, diagnosis.cure.text)


def diagnose(scan: Scan) -> list[Diagnosis]:
    """What is wrong with the label files that training would refuse or misread.

    A file is in one diagnosis, but for indices that are saved as RGB: what is wrong with these is
    in another. Lossy files are in none: their values say little.
    """
    labels = scan.dataset.labels
    files = [f for f in scan.facts if f.label is not None and not f.label.is_lossy]
    gray = _gray_colors(files)
    found = [Diagnosis(_AS_RGB, tuple(gray))] if gray else []
    as_values = {id(fact): _values(fact) for fact in files if not fact.by_color} | {
        id(fact): {red: n for (red, _, _), n in _colors(fact).items()} for fact in gray
    }
    total: Counter[int] = Counter()
    for values in as_values.values():
        total.update(values)
    unknown = {value: n for value, n in total.items() if value not in labels.class_of_value}
    cure = _cure(scan, total, unknown)
    by_value = [fact for fact in files if id(fact) in as_values]
    if cure is not None and cure.kind == "binary-masks":
        white = [fact for fact in by_value if as_values[id(fact)].get(255)]
        found.append(Diagnosis(cure, tuple(white)))
    elif cure is not None and cure.kind in _SET_WIDE:
        found.append(Diagnosis(cure, tuple(by_value)))
    else:
        found += _one_by_one(scan, by_value, as_values)
    others = [fact for fact in files if id(fact) not in as_values and fact.unknown]
    return found + _by_color(scan, others)


def _cure(scan: Scan, total: Mapping[int, int], unknown: Mapping[int, int]) -> Cure | None:
    """That of all files that are read by value together; None where nothing is wrong."""
    labels = scan.dataset.labels
    if unknown:
        return cure_for_values(total, unknown, len(labels.names), labels.ignored)
    pixels = np.array([total.get(value, 0) for value in (0, 1, IGNORED)])
    return BINARY if is_binary_mask_set(labels, pixels) else None


def _one_by_one(
    scan: Scan, facts: list[PairFacts], as_values: Mapping[int, Mapping[int, int]]
) -> list[Diagnosis]:
    labels = scan.dataset.labels
    by_cure: dict[tuple[str, str], tuple[Cure, list[PairFacts]]] = {}
    for fact in facts:
        values = as_values[id(fact)]
        unknown = {value: n for value, n in values.items() if value not in labels.class_of_value}
        if unknown:
            cure = cure_for_values(values, unknown, len(labels.names), labels.ignored)
            by_cure.setdefault((cure.kind, cure.text), (cure, []))[1].append(fact)
    return [Diagnosis(cure, tuple(some)) for cure, some in by_cure.values()]


def _by_color(scan: Scan, facts: list[PairFacts]) -> list[Diagnosis]:
    known = scan.dataset.labels.class_of_color.keys()
    by_kind: dict[str, tuple[Cure, list[PairFacts]]] = {}
    for fact in facts:
        assert fact.label is not None
        cure = cure_for_colors(_colors(fact), fact.unknown, known, fact.label.distinct)
        by_kind.setdefault(cure.kind, (cure, []))[1].append(fact)
    return [Diagnosis(cure, tuple(some)) for cure, some in by_kind.values()]


_AS_RGB = Cure(
    "index-as-rgb", "three equal channels: an index mask saved as RGB; save it with one channel"
)


def _gray_colors(files: list[PairFacts]) -> list[PairFacts]:
    """Files of three equal channels, where one of them holds what is no class's color.

    Black alone shows nothing, but beside such files it is index 0.
    """
    gray = [
        fact
        for fact in files
        if fact.by_color and all(red == green == blue for red, green, blue in _colors(fact))
    ]
    if not any(fact.unknown for fact in gray):
        return []
    return [fact for fact in gray if fact.unknown or _colors(fact).keys() == {(0, 0, 0)}]


def _white(fact: PairFacts) -> int:
    """The pixels of the value 255, or of white."""
    assert fact.label is not None
    return fact.label.histogram.get(0xFFFFFF if fact.by_color else 255, 0)


def _values(fact: PairFacts) -> dict[int, int]:
    return fact.label.histogram if fact.label is not None else {}


def _colors(fact: PairFacts) -> dict[tuple[int, int, int], int]:
    """The pixels of each color of a file that is read by color."""
    assert fact.label is not None
    palette = fact.label.palette
    colors: Counter[tuple[int, int, int]] = Counter()
    for value, n in fact.label.histogram.items():
        colors[rgb(value if palette is None else palette[value])] += n
    return colors


def mixed_binary_masks(scan: Scan) -> Iterator[Finding]:
    """Of two classes' masks, those of 0 and 255 beside others of 0 and 1."""
    labels = scan.dataset.labels
    if len(labels.names) != 2 or labels.ignored != IGNORED:
        return
    has_one = any(fact.counts.get(1) for fact in scan.facts)
    white = [fact for fact in scan.facts if fact.counts.keys() == {0, IGNORED}]
    if has_one and white:
        message = "masks of 0 and 255 alone, which is read as ignored, beside masks with 1"
        yield finding("mixed-binary-masks", [scan.named(f.pair.label) for f in white], message)
