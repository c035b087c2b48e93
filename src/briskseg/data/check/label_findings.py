"""Findings on what label files hold: values and colors that are no class, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.labels import IGNORED, RGB, LabelSet
from briskseg.core.labels.fix_hints import BINARY, Cure, cure_for_colors, cure_for_values
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.finding_kinds import KINDS
from briskseg.data.check.image_findings import WITH_ALPHA
from briskseg.data.check.scan import PairFacts, Scan, rgb
from briskseg.data.frequencies import is_binary_mask_set

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
        elif kind == "ambiguous-labels":
            message = "labels fit the classes as they are, but those of files beside them do not"
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
    gray, black = _gray_colors(files, labels)
    found = [Diagnosis(_AS_RGB, tuple(gray))] if gray else []
    if black:
        found.append(Diagnosis(_AMBIGUOUS, tuple(black)))
    as_values = {id(fact): _values(fact) for fact in files if not fact.by_color} | {
        id(fact): {red: n for (red, _, _), n in _colors(fact).items()} for fact in gray
    }
    total: Counter[int] = Counter()
    for values in as_values.values():
        total.update(values)
    unknown = {value: n for value, n in total.items() if value not in labels.class_of_value}
    cure = _cure(scan, total, unknown)
    by_value = [fact for fact in files if id(fact) in as_values]
    if cure is not None and cure.kind == "binary-masks" and not scan.counts()[1]:
        white = [fact for fact in by_value if as_values[id(fact)].get(255)]
        found.append(Diagnosis(cure, tuple(white)))
    elif cure is not None and cure.remap and cure.kind != "binary-masks":
        found += _renumbered(scan, cure, by_value, as_values)
    else:
        found += _one_by_one(scan, by_value, as_values)
    others = [fact for fact in files if id(fact) not in as_values and fact not in black]
    return found + _by_color(scan, others)


def _cure(scan: Scan, total: Mapping[int, int], unknown: Mapping[int, int]) -> Cure | None:
    """That of all files that are read by value together; None where nothing is wrong."""
    labels = scan.dataset.labels
    if unknown:
        return cure_for_values(total, unknown, labels.names, labels.ignored)
    pixels = np.array([total.get(value, 0) for value in (0, 1, IGNORED)])
    return BINARY if is_binary_mask_set(labels, pixels) else None


def _renumbered(
    scan: Scan,
    cure: Cure,
    facts: list[PairFacts],
    as_values: Mapping[int, Mapping[int, int]],
) -> list[Diagnosis]:
    """What is wrong with all files if with any, as one that holds low numbers only shows nothing.

    A file that fits as it is may as well be right: it is never renumbered, and the others only
    where they are the more.
    """
    known = scan.dataset.labels.class_of_value
    strange, fitting = [], []
    for fact in facts:
        values = as_values[id(fact)]
        if any(value not in known for value in values):
            strange.append(fact)
        elif any(cure.remap[value] != known[value] for value in values):
            fitting.append(fact)
    is_sure = len(strange) > len(fitting)
    said = cure if is_sure else Cure("unknown-values", cure.text)
    found = [Diagnosis(said, tuple(strange))]
    return [*found, Diagnosis(_AMBIGUOUS, tuple(fitting))] if fitting else found


def _one_by_one(
    scan: Scan, facts: list[PairFacts], as_values: Mapping[int, Mapping[int, int]]
) -> list[Diagnosis]:
    """What single files hold that is no class: no one file shows that it is numbered otherwise."""
    labels = scan.dataset.labels
    by_cure: dict[tuple[str, str], tuple[Cure, list[PairFacts]]] = {}
    for fact in facts:
        values = as_values[id(fact)]
        unknown = {value: n for value, n in values.items() if value not in labels.class_of_value}
        if unknown:
            cure = cure_for_values(values, unknown, labels.names, labels.ignored)
            if cure.kind != "blended-values":
                cure = Cure("unknown-values", cure.text)
            by_cure.setdefault((cure.kind, cure.text), (cure, []))[1].append(fact)
    return [Diagnosis(cure, tuple(some)) for cure, some in by_cure.values()]


def _by_color(scan: Scan, facts: list[PairFacts]) -> list[Diagnosis]:
    known = scan.dataset.labels.class_of_color
    by_kind: dict[str, tuple[Cure, list[PairFacts]]] = {}
    for fact in facts:
        if not fact.unknown:
            continue
        assert fact.label is not None
        cure = cure_for_colors(_colors(fact), fact.unknown, known.keys(), fact.label.distinct)
        by_kind.setdefault(cure.kind, (cure, []))[1].append(fact)
    found = [Diagnosis(cure, tuple(some)) for cure, some in by_kind.values()]
    swapped = by_kind.get("channels-swapped", (None, []))[1]
    either = _in_either_order([fact for fact in facts if not fact.unknown], known, len(swapped))
    return [*found, Diagnosis(_AMBIGUOUS, tuple(either))] if either else found


def _in_either_order(
    fitting: list[PairFacts], known: Mapping[RGB, int], swapped: int
) -> list[PairFacts]:
    """Of the files that fit as they are, those that hold other classes if their channels are as
    those of the `swapped` others; none where more files show that theirs are in order."""
    colors = [{*_colors(fact)} for fact in fitting]
    fits_both = [all(color[::-1] in known for color in some) for some in colors]
    if fits_both.count(False) >= swapped:
        return []
    return [
        fact
        for fact, some, both in zip(fitting, colors, fits_both, strict=True)
        if both and any(known[color] != known[color[::-1]] for color in some)
    ]


_AS_RGB = Cure(
    "index-as-rgb", "three equal channels: an index mask saved as RGB; save it with one channel"
)
_AMBIGUOUS = Cure("ambiguous-labels", KINDS["ambiguous-labels"].cure)


def _gray_colors(
    files: list[PairFacts], labels: LabelSet
) -> tuple[list[PairFacts], list[PairFacts]]:
    """Files of three equal channels, where one of them holds what is no class's color; and those
    beside them that are black throughout and may be another class.

    Black alone shows nothing, but where all files are such, it is index 0, unless it is the color
    of another class.
    """
    colored = [fact for fact in files if fact.by_color]
    gray = [
        fact for fact in colored if all(red == green == blue for red, green, blue in _colors(fact))
    ]
    strange = [fact for fact in gray if fact.unknown]
    black = [fact for fact in gray if _colors(fact).keys() == {(0, 0, 0)} and not fact.unknown]
    if not strange or len(gray) < len(colored):
        return strange, []
    if labels.class_of_color.get((0, 0, 0)) in (0, IGNORED):
        return strange + black, []
    return strange, black


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
