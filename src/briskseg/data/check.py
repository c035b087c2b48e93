"""The data doctor: is this data fit to train on? Every finding with its files and its cure.

`survey` reads every file once; each check below is one function that judges the facts and yields
findings. A new kind of finding is a new function in `CHECKS`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from briskseg.core.labels import IGNORED
from briskseg.data.dataset import Progress
from briskseg.data.frequencies import is_binary_mask_set
from briskseg.data.kinds import find_dataset
from briskseg.data.scan import PairFacts, Survey, survey

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
FILES_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in a data set.

    severity: "error" keeps training from starting or makes its result wrong, "warning" may,
    "note" is good to know. count: how many files (or classes) it concerns. files: the first few,
    relative to the data's folder.
    """

    kind: str
    severity: Severity
    count: int
    files: tuple[Path, ...]
    message: str
    cure: str

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        return {**vars(self), "files": [path.as_posix() for path in self.files]}


@dataclass(frozen=True)
class SplitSummary:
    """A split in numbers: pairs, and for each class its pixels and the images it occurs in."""

    pairs: int
    pixels: tuple[int, ...]
    images: tuple[int, ...]
    ignored: int


@dataclass(frozen=True)
class CheckReport:
    """What the check of a data set found; `sizes` counts the images of each (height, width)."""

    kind: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, SplitSummary]
    sizes: dict[tuple[int, int], int]
    findings: tuple[Finding, ...]

    @property
    def fit(self) -> bool:
        """Whether nothing was found that is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "fit": self.fit,
            "classes": list(self.classes),
            "splits": {name: vars(summary) for name, summary in self.splits.items()},
            "sizes": [{"size": list(size), "images": n} for size, n in self.sizes.items()],
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_dataset(
    root: str | Path,
    classes: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CheckReport:
    """Read every file of a data set and report all that is wrong with it, errors first.

    The arguments are those of `open_dataset`, and so is RequestError for a folder of no known
    layout; damaged or missing files are findings.
    """
    facts = survey(*find_dataset(root, classes, seed, progress), progress)
    found = [finding for check in CHECKS for finding in check(facts)]
    dataset, n = facts.dataset, len(facts.dataset.labels.names)
    splits = {}
    for split, pairs in dataset.splits.items():
        pixels, images = facts.counts(split), facts.images_with(split)
        splits[split] = SplitSummary(
            len(pairs), tuple(pixels[:n].tolist()), tuple(images[:n].tolist()), int(pixels[IGNORED])
        )
    return CheckReport(
        kind=dataset.kind,
        root=dataset.root,
        classes=dataset.labels.names,
        splits=splits,
        sizes=dict(Counter(f.image_hw for f in facts.facts if f.image_hw).most_common()),
        findings=tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))),
    )


def _unpaired(survey: Survey) -> Iterator[Finding]:
    for problem in dict.fromkeys(file.problem for file in survey.unmatched):
        paths = [file.path for file in survey.unmatched if file.problem == problem]
        cure = "restore the missing files, or remove these; names must match exactly"
        yield _finding(survey, problem.replace(" ", "-"), "error", paths, f"{problem}", cure)


def _split_missing(survey: Survey) -> Iterator[Finding]:
    for split in ("train", "val"):
        if not survey.dataset.splits.get(split):
            message = f"the split '{split}' has no pair, and training needs both train and val"
            cure = f"put images and labels into '{split}'"
            severity: Severity = "error" if split == "train" else "warning"
            yield Finding("split-empty", severity, 1, (), message, cure)


def _damaged(survey: Survey) -> Iterator[Finding]:
    errors = [(fact, error) for fact in survey.facts for error in fact.damage]
    if errors:
        paths = [_named_in(fact, str(error)) for fact, error in errors]
        message = f"files that cannot be read; the first: {errors[0][1]}"
        cure = "restore them from the source, or remove the pairs"
        yield _finding(survey, "damaged", "error", paths, message, cure)


def _named_in(fact: PairFacts, message: str) -> Path:
    return fact.pair.label if message.startswith(str(fact.pair.label)) else fact.pair.image


def _sizes_differ(survey: Survey) -> Iterator[Finding]:
    wrong = [f for f in survey.facts if f.image_hw and f.label_hw and f.image_hw != f.label_hw]
    if wrong:
        message = (
            f"image and labels differ in size; the first: image {_wxh(wrong[0].image_hw)}, "
            f"labels {_wxh(wrong[0].label_hw)} (width x height)"
        )
        cure = "make the labels the image's size, with nearest-neighbor resizing"
        paths = [fact.pair.label for fact in wrong]
        yield _finding(survey, "sizes-differ", "error", paths, message, cure)


def _unknown_labels(survey: Survey) -> Iterator[Finding]:
    by_cure: dict[str, list[PairFacts]] = defaultdict(list)
    for fact in survey.facts:
        if fact.unknown:
            by_cure[fact.cure].append(fact)
    for cure, facts in by_cure.items():
        pixels: Counter[Any] = Counter()
        for fact in facts:
            pixels.update(fact.unknown)
        listed = ", ".join(f"{value} ({n} pixels)" for value, n in pixels.most_common(8))
        more = f" and {len(pixels) - 8} more" if len(pixels) > 8 else ""
        what = "colors" if any(isinstance(value, tuple) for value in pixels) else "values"
        paths = [fact.pair.label for fact in facts]
        message = f"label {what} of no class: {listed}{more}"
        yield _finding(survey, f"unknown-{what}", "error", paths, message, cure)


def _binary_masks(survey: Survey) -> Iterator[Finding]:
    """255 is read as ignored, so a 0/255 mask of two classes would teach its background alone."""
    labels, counts = survey.dataset.labels, survey.counts()
    if is_binary_mask_set(labels, counts):
        white = [f for f in survey.facts if f.counts is not None and f.counts[IGNORED]]
        message = (
            f"0/255 masks: '{labels.names[1]}' never occurs, and 255 "
            f"({counts[IGNORED]} pixels) is read as ignored"
        )
        cure = "write 1 instead of 255 (mask // 255)"
        paths = [fact.pair.label for fact in white]
        yield _finding(survey, "binary-masks", "error", paths, message, cure)


def _all_ignored(survey: Survey) -> Iterator[Finding]:
    empty = [f for f in survey.facts if f.counts is not None and not f.counts[:IGNORED].any()]
    if empty:
        paths = [fact.pair.label for fact in empty]
        message = "label files in which every pixel is ignored: they teach and score nothing"
        cure = "label them, or remove the pairs"
        yield _finding(survey, "all-ignored", "warning", paths, message, cure)


def _absent_classes(survey: Survey) -> Iterator[Finding]:
    names = np.array(survey.dataset.labels.names)
    occurs = {split: survey.counts(split)[: len(names)] > 0 for split in survey.dataset.splits}
    anywhere = survey.counts()[: len(names)] > 0
    if not anywhere.any():
        return  # nothing was labeled or readable, which other findings say
    if not anywhere.all():
        message = f"classes that occur in no file: {', '.join(names[~anywhere])}"
        cure = "remove them from the class list, or look whether the labels are numbered otherwise"
        yield Finding("class-absent", "warning", int((~anywhere).sum()), (), message, cure)
    train = occurs.get("train", anywhere)
    for split, present in occurs.items():
        untrained, unseen = present & ~train, train & ~present
        if untrained.any():
            message = f"classes in {split} but not in train: {', '.join(names[untrained])}"
            cure = "they cannot be learned: move some of their images to train"
            yield Finding("class-untrained", "warning", int(untrained.sum()), (), message, cure)
        if unseen.any():
            message = f"classes in train but not in {split}: {', '.join(names[unseen])}"
            cure = f"{split} says nothing about them: move some of their images there"
            yield Finding("class-unmeasured", "note", int(unseen.sum()), (), message, cure)


def _duplicates(survey: Survey) -> Iterator[Finding]:
    same: dict[bytes, list[PairFacts]] = defaultdict(list)
    for fact in survey.facts:
        if fact.digest is not None:
            same[fact.digest].append(fact)
    across = [facts for facts in same.values() if len({fact.split for fact in facts}) > 1]
    if across:
        paths = [fact.pair.image for facts in across for fact in facts]
        splits = " and ".join(dict.fromkeys(fact.split for fact in across[0]))
        message = f"{len(across)} images lie in more than one split, pixel for pixel ({splits})"
        cure = "keep each in one split: a score on images that were trained on is too high"
        yield _finding(survey, "duplicates", "warning", paths, message, cure)


def _sizes_vary(survey: Survey) -> Iterator[Finding]:
    sizes = Counter(fact.image_hw for fact in survey.facts if fact.image_hw)
    if len(sizes) > 1:
        size, most = sizes.most_common(1)[0]
        message = f"{len(sizes)} image sizes; {most} images are {_wxh(size)} (width x height)"
        cure = "no harm: training resizes or crops; the recipe's size decides"
        yield Finding("sizes-vary", "note", sizes.total() - most, (), message, cure)


def _wxh(size_hw: tuple[int, int] | None) -> str:
    height, width = size_hw or (0, 0)
    return f"{width}x{height}"


def _finding(
    survey: Survey, kind: str, severity: Severity, paths: Iterable[Path], message: str, cure: str
) -> Finding:
    files = tuple(path.relative_to(survey.dataset.root) for path in paths)
    return Finding(kind, severity, len(files), files[:FILES_NAMED], message, cure)


CHECKS: tuple[Callable[[Survey], Iterable[Finding]], ...] = (
    _unpaired,
    _split_missing,
    _damaged,
    _sizes_differ,
    _unknown_labels,
    _binary_masks,
    _all_ignored,
    _absent_classes,
    _duplicates,
    _sizes_vary,
)
