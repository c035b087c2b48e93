"""Every file below a data set's folder: read, or not read and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from briskseg.core.images import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from briskseg.core.wording import counted
from briskseg.data.check.check_report import FileCounts, Finding, finding
from briskseg.data.check.scan import Scan
from briskseg.data.masks.layout import split_of
from briskseg.data.matching import walk

# What lies beside data without being any: text, reports, what a system leaves behind.
_DOCUMENTS = frozenset(
    {".bin", ".cfg", ".csv", ".db", ".gz", ".html", ".ini", ".ipynb", ".json", ".log", ".lst"}
    | {".md", ".names", ".pdf", ".py", ".rst", ".sh", ".tar", ".toml", ".tsv", ".txt", ".xml"}
    | {".yaml", ".yml", ".zip"}
)
_LISTS = {".txt", ".lst"}
_BESIDE = "of the set and not needed"
_HIDDEN = "hidden"
_UNLISTED = "named by no annotation file"  # a finding of its own
_IN_NO_LIST = "in no list of a split"
_ELSEWHERE = "a picture outside the folders of images and labels"
_DOCUMENT = "no picture"
_LIST = "a list of a split, though the seed draws the splits"
_HARMLESS = {_BESIDE, _HIDDEN, _DOCUMENT}


@dataclass(frozen=True)
class Accounts:
    """The counts, and the files that may be meant to be read, by the reason why they are not."""

    counts: FileCounts
    suspects: dict[str, list[Path]]


def account(scan: Scan) -> Accounts:
    """Look at every file below the data's folder; no file is opened."""
    dataset, pairs = scan.dataset, [item.pair for item in scan.pairs]
    images = {pair.image for pair in pairs}
    labels = {pair.label for pair in pairs}
    lists = {*dataset.lists} - images - labels
    halves = {file.path: file.problem for file in scan.unmatched}
    halves |= dict.fromkeys(dataset.unlisted, _UNLISTED)
    beside = {*dataset.beside}
    with_files = {path.parent for path in (*images, *labels, *halves)}
    found: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    suspects: dict[str, list[Path]] = {}
    for path in walk(dataset.root, hidden=True):
        if path in images or path in labels or path in lists:
            is_archive = path in lists and path.suffix.lower() == ".tar"
            kind = "labels" if path in labels else "images" if path in images else "lists"
            found["archives" if is_archive else kind] += 1
            found["embedded"] += path in images and path in labels
            continue
        reason = halves.get(path) or (
            _BESIDE if path in beside else _reason(scan, path, with_files)
        )
        unread[reason] += 1
        if path not in halves and reason not in _HARMLESS:
            suspects.setdefault(reason, []).append(path)
    sorts = found["images"], found["labels"], found["lists"]
    counts = FileCounts(*sorts, dict(unread), found["embedded"], found["archives"])
    return Accounts(counts, suspects)


def _reason(scan: Scan, path: Path, with_files: set[Path]) -> str:
    dataset = scan.dataset
    relative = path.relative_to(dataset.root)
    suffix = path.suffix.lower()
    if any(part.startswith(".") for part in relative.parts):
        return _HIDDEN
    if suffix in UNREAD_SUFFIXES:
        return f"of type {suffix}"
    if suffix in IMAGE_SUFFIXES:
        has_lists = any(split_of(file.stem) for file in dataset.lists)
        return _IN_NO_LIST if path.parent in with_files and has_lists else _ELSEWHERE
    if dataset.split_seed is not None and suffix in _LISTS and split_of(path.stem):
        return _LIST
    if suffix in _DOCUMENTS or not suffix or path.parent not in with_files:
        return _DOCUMENT
    return f"of type {suffix}"


def unread_files(scan: Scan, accounts: Accounts) -> Iterator[Finding]:
    """Files below the folder that nobody reads, though they may be meant to be."""
    paths = [path for some in accounts.suspects.values() for path in some]
    if not paths:
        return
    total = accounts.counts
    reasons = "; ".join(f"{len(some)} {reason}" for reason, some in accounts.suspects.items())
    message = f"{counted(len(paths), 'file is', 'files are')} not read: {reasons}"
    types = sorted({p.suffix.lower() for p in paths} & UNREAD_SUFFIXES)
    fix_hint = ""
    if types:
        fix_hint = (
            f"convert {', '.join(types)} to PNG (labels) or JPEG or PNG (images), under the same "
            "names"
        )
    elif accounts.suspects.keys() == {_LIST}:
        fix_hint = (
            "for masks name them train.txt and val.txt, in the folder itself, with an image's name "
            "or `IMAGE LABEL` a line; for shapes put the images into folders train and val"
        )
    is_all = bool(types) and not (total.images and total.labels)
    yield finding("unread-data" if is_all else "unread-files", paths, message, fix_hint)
