"""The data doctor: is this data fit to train on? Every finding with its files and its cure.

`survey.py` reads every file once, or takes from the cache what it showed; each check below judges
those facts and yields findings; `copy.py` writes what can be mended. A new kind of finding is a row
in `KINDS`, a function in `CHECKS` (or a line in one of them) and a case in the table of its test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from briskseg.core.labels import IGNORED
from briskseg.core.types import Progress
from briskseg.data.doctor import classes as class_checks
from briskseg.data.doctor import duplicates, files, images, labels
from briskseg.data.doctor.kind import SEVERITIES
from briskseg.data.doctor.kinds import KINDS
from briskseg.data.doctor.report import CheckReport, Finding, SplitSummary
from briskseg.data.doctor.survey import Survey, survey_files
from briskseg.data.kinds import find_dataset

__all__ = ["CHECKS", "KINDS", "CheckReport", "Finding", "check_dataset", "examine", "report_on"]

CHECKS: tuple[Callable[[Survey], Iterable[Finding]], ...] = (
    files.unpaired,
    files.empty_splits,
    files.unreadable,
    images.rotated,
    images.sizes,
    labels.label_forms,
    labels.unknown_labels,
    labels.mixed_binary_masks,
    class_checks.ignored_files,
    class_checks.class_splits,
    duplicates.duplicates,
    duplicates.look_alikes,
    images.image_forms,
    files.wrong_suffixes,
    files.unread_files,
)


def check_dataset(
    root: str | Path,
    classes: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CheckReport:
    """Report all that is wrong with a data set, errors first; files that have not changed since an
    earlier check are not read again.

    The arguments are those of `open_dataset`, and so is RequestError for a folder of no known
    layout; damaged or missing files are findings.
    """
    return report_on(examine(root, classes, seed, progress))


def examine(
    root: str | Path,
    classes: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Survey:
    """The facts that `report_on` judges; the arguments are `check_dataset`'s."""
    return survey_files(find_dataset(root, classes, seed, progress), seed, progress)


def report_on(survey: Survey) -> CheckReport:
    """What the checks find in a survey, and its numbers."""
    found = [finding for check in CHECKS for finding in check(survey)]
    dataset, n = survey.dataset, len(survey.dataset.labels.names)
    pairs = Counter(fact.split for fact in survey.facts)
    splits = {}
    for split in dataset.splits:
        pixels, images_with = survey.counts(split), survey.images_with(split)
        splits[split] = SplitSummary(
            pairs[split],
            tuple(pixels[:n].tolist()),
            tuple(images_with[:n].tolist()),
            int(pixels[IGNORED]),
        )
    sizes = Counter((f.image.height, f.image.width) for f in survey.facts if f.image is not None)
    return CheckReport(
        kind=dataset.kind,
        root=dataset.root,
        classes=dataset.labels.names,
        splits=splits,
        sizes=dict(sizes.most_common()),
        findings=tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))),
    )
