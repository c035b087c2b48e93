"""Is this data fit to train on? Every finding with its files and what to do.

`scan.py` reads every file once, or takes from the cache what it showed; each check below judges the
scan and yields findings; `fixed_copy.py` writes what can be repaired. A new kind of finding is a
row in `kinds.py`, a function in `CHECKS` (or a line in one of them) and a
case in the table of its test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from briskseg.core.labels import IGNORED
from briskseg.core.types import Progress
from briskseg.data.check import (
    accounting,
    class_findings,
    duplicates,
    file_findings,
    image_findings,
    label_findings,
)
from briskseg.data.check.check_report import CheckReport, Finding, SplitSummary
from briskseg.data.check.kinds import KINDS, SEVERITIES
from briskseg.data.check.scan import Scan, scan_files
from briskseg.data.dataset import Unlabeled
from briskseg.data.formats import find_dataset

__all__ = [
    "CHECKS",
    "KINDS",
    "CheckReport",
    "Finding",
    "check_dataset",
    "report_on",
]

CHECKS: tuple[Callable[[Scan], Iterable[Finding]], ...] = (
    file_findings.unpaired,
    file_findings.empty_splits,
    file_findings.known_flaws,
    class_findings.single_class,
    file_findings.unreadable,
    image_findings.rotated,
    image_findings.sizes,
    label_findings.label_forms,
    label_findings.unknown_labels,
    label_findings.mixed_binary_masks,
    label_findings.blended_labels,
    class_findings.names_alike,
    class_findings.unlisted,
    class_findings.ignored_files,
    class_findings.ignored_black,
    class_findings.mostly_ignored,
    class_findings.crowds_only,
    class_findings.class_splits,
    duplicates.duplicates,
    duplicates.look_alikes,
    image_findings.image_forms,
    file_findings.wrong_suffixes,
    file_findings.unlisted_images,
    label_findings.left_out_shapes,
)


_FOLLOW = {"image-without-label", "label-without-image", "split-empty"}


def check_dataset(
    root: str | Path,
    classes: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    unlabeled: Unlabeled = "background",
) -> CheckReport:
    """Report all that is wrong with a data set, errors first; files that have not changed since an
    earlier check are not read again.

    The arguments are those of `open_dataset`, and so is RequestError for a folder of no known
    layout; damaged or missing files are findings.
    """
    found = find_dataset(root, classes, seed, progress, unlabeled)
    return report_on(scan_files(found, progress, seed))


def report_on(scan: Scan) -> CheckReport:
    """What the checks find in a scan, and its numbers."""
    accounts = accounting.account(scan)
    unread = [*accounting.unread_files(scan, accounts)]
    found = unread + [finding for check in CHECKS for finding in check(scan)]
    if any(finding.kind == "unread-data" for finding in unread):  # which these only follow from
        found = [finding for finding in found if finding.kind not in _FOLLOW]
    # The checks give whole paths; findings name files as they lie in the data's folder.
    found = [replace(each, files=tuple(map(scan.named, each.files))) for each in found]
    dataset, n = scan.dataset, len(scan.dataset.labels.names)
    pairs = Counter(item.split for item in scan.pairs)
    splits = {}
    for split in dataset.splits:
        pixels, images_with = scan.counts(split), scan.images_with(split)
        splits[split] = SplitSummary(
            pairs[split],
            tuple(pixels[:n].tolist()),
            tuple(images_with[:n].tolist()),
            int(pixels[IGNORED]),
        )
    sizes = Counter((i.image.height, i.image.width) for i in scan.pairs if i.image is not None)
    return CheckReport(
        kind=dataset.kind,
        root=dataset.root,
        classes=dataset.labels.names,
        splits=splits,
        sizes=dict(sizes.most_common()),
        files=accounts.counts,
        held=class_findings.label_meaning(scan),
        split_seed=dataset.split_seed,
        findings=tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))),
    )
