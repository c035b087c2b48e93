"""Findings on files as such: halves of pairs, damage, names that mislead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from briskseg.core.images import IMAGE_SUFFIXES, SUFFIXES
from briskseg.core.wording import counted
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.scan import Scan
from briskseg.data.file_stats import FileProblem

LINES = 3  # of lists, named in a message


def unpaired(scan: Scan) -> Iterator[Finding]:
    """Halves of pairs, and names that differ."""
    whole = [file for file in scan.unmatched if not file.damage]
    for problem in dict.fromkeys(file.problem for file in whole):
        files = [file for file in whole if file.problem == problem]
        message = {
            "image without label": "images without a label file of their name",
            "label without image": "label files without an image of their name",
            "name used twice": "names used twice in a split, with differing suffixes",
            "missing file": "files that are not there",
        }[problem]
        fix_hint = ""
        if listed := [file.listed for file in files if file.listed]:
            more = [f"{len(listed) - LINES} more"] if len(listed) > LINES else []
            message = "; ".join([*listed[:LINES], *more])
            fix_hint = "correct the lines or remove them"
            if problem != "name used twice":
                fix_hint += ", or put in place what they name"
        paths = [file.path for file in files]
        yield finding(problem.replace(" ", "-"), paths, message, fix_hint)
    if scan.renamed:
        pairs = [item.pair for item in scan.renamed]
        first = f"{pairs[0].label.name} for {pairs[0].image.name}"
        message = f"label files are named unlike their images, as {first}"
        yield finding("names-differ", [p.label for p in pairs], message)


def empty_splits(scan: Scan) -> Iterator[Finding]:
    """Splits that training needs and that have no pair."""
    for split in ("train", "val"):
        if not any(item.split == split for item in scan.pairs):
            message = f"the split '{split}' has no pair, and training needs both train and val"
            yield finding("split-empty", (), message, f"put images and labels into '{split}'", 1)


def known_flaws(scan: Scan) -> Iterator[Finding]:
    """What is known to be wrong with a published set."""
    for flaw in scan.dataset.flaws:
        yield finding("known-flaw", (), flaw, count=1)


def unlisted_images(scan: Scan) -> Iterator[Finding]:
    """Images that no annotation file names."""
    dataset = scan.dataset
    if dataset.unlisted:
        many = counted(len(dataset.unlisted), "image is", "images are")
        message = f"{many} named by no annotation file and not read"
        yield finding("unlisted-images", dataset.unlisted, message)


def unreadable(scan: Scan) -> Iterator[Finding]:
    """Files that could not be read, by the kind of damage."""
    by_kind: dict[str, list[FileProblem]] = defaultdict(list)
    for file in scan.unmatched:
        if file.damage:
            by_kind["damaged-file"].append(FileProblem("damaged-file", file.path, file.damage))
    for item in scan.pairs:
        for problem in item.problems:
            if problem.kind == "class-not-listed":
                continue  # told by class
            by_kind[problem.kind].append(problem)
    for kind, problems in by_kind.items():
        many = f"{len(problems)} files cannot be read, the first: " if len(problems) > 1 else ""
        first = problems[0].message.replace(f"{scan.dataset.root}/", "")
        paths = [p.path for p in problems]
        yield finding(kind, paths, f"{many}{first}", problems[0].fix_hint)


def wrong_suffixes(scan: Scan) -> Iterator[Finding]:
    """Files that are not what their suffix says."""
    wrong = []
    for item in scan.pairs:
        for stats, path in ((item.image, item.pair.image), (item.label, item.pair.label)):
            form = "" if stats is None else stats.form  # "" too for labels that are no picture
            is_embedded = path.suffix.lower() not in IMAGE_SUFFIXES  # in a file that says no type
            if form and not is_embedded and path.suffix.lower() not in SUFFIXES.get(form, ()):
                wrong.append((path, form))
    if wrong:
        path, form = wrong[0]
        message = f"files are of another type than their suffix says; {path.name} is {form}"
        yield finding("wrong-suffix", [path for path, _ in wrong], message)
