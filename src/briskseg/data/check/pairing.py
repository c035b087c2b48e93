"""Findings on files as such: halves of pairs, damage, names that mislead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.file_stats import Trouble
from briskseg.data.check.name_findings import affix
from briskseg.data.check.scan import Scan

SUFFIXES = {
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),  # several JPEGs in one file, as some phones write
    "PNG": (".png",),
    "PPM": (".ppm",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_HARMLESS = {".txt", ".md", ".csv", ".json", ".xml", ".db", ".ini", ".yaml"}


def unpaired(scan: Scan) -> Iterator[Finding]:
    """Halves of pairs, and names that differ."""
    for problem in dict.fromkeys(file.problem for file in scan.unmatched):
        paths = [file.path for file in scan.unmatched if file.problem == problem]
        message = {
            "image without label": "images without a label file of their name",
            "label without image": "label files without an image of their name",
            "name used twice": "names used twice in a split, with differing suffixes",
        }[problem]
        yield finding(problem.replace(" ", "-"), map(scan.named, paths), message)
    if scan.renamed:
        pairs = [fact.pair for fact in scan.renamed]
        message = (
            f"label files are named unlike their images, as {pairs[0].label.name} for "
            f"{pairs[0].image.name} ({affix(pairs)})"
        )
        yield finding("names-differ", [scan.named(p.label) for p in pairs], message)


def empty_splits(scan: Scan) -> Iterator[Finding]:
    """Splits that training needs and that have no pair."""
    for split in ("train", "val"):
        if not any(fact.split == split for fact in scan.facts):
            message = f"the split '{split}' has no pair, and training needs both train and val"
            yield finding("split-empty", (), message, f"put images and labels into '{split}'", 1)


def unread_files(scan: Scan) -> Iterator[Finding]:
    """Files beside the pairs that nobody will read, though they may be meant to be."""
    pairs = [fact.pair for fact in scan.facts]
    halves = {file.path.parent for file in scan.unmatched}
    folders = {path.parent for pair in pairs for path in (pair.image, pair.label)} | halves
    unread = [
        path
        for folder in sorted(folders)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() not in IMAGE_SUFFIXES | _HARMLESS
        and not path.name.startswith(".")
        and path.is_file()
    ]
    if unread:
        kinds = ", ".join(sorted({path.suffix or path.name for path in unread})[:5])
        message = f"files of types that are not read ({kinds}) lie among the images or labels"
        yield finding("unread-files", map(scan.named, unread), message)


def unreadable(scan: Scan) -> Iterator[Finding]:
    """Files that could not be read, by the kind of damage."""
    by_kind: dict[str, list[Trouble]] = defaultdict(list)
    for fact in scan.facts:
        for trouble in fact.troubles:
            by_kind[trouble.kind].append(trouble)
    for kind, troubles in by_kind.items():
        many = f"{len(troubles)} files cannot be read, the first: " if len(troubles) > 1 else ""
        first = troubles[0].message.replace(f"{scan.dataset.root}/", "")
        yield finding(kind, [scan.named(t.path) for t in troubles], f"{many}{first}")


def wrong_suffixes(scan: Scan) -> Iterator[Finding]:
    """Files that are not what their suffix says."""
    wrong = []
    for fact in scan.facts:
        for facts, path in ((fact.image, fact.pair.image), (fact.label, fact.pair.label)):
            if facts is not None and path.suffix.lower() not in SUFFIXES.get(facts.form, ()):
                wrong.append((path, facts.form))
    if wrong:
        path, form = wrong[0]
        message = f"files are of another type than their suffix says; {path.name} is {form}"
        yield finding("wrong-suffix", [scan.named(path) for path, _ in wrong], message)
