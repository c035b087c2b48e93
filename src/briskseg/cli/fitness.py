"""The check that goes before a training: errors stop it, warnings are one line."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from briskseg.core.errors import DataError

if TYPE_CHECKING:
    from briskseg.data.check import CheckReport, Finding
    from briskseg.recipe import Recipe

NAMED = 3  # findings in a sentence


def refuse_unfit(recipe: Recipe) -> None:
    """Check the recipe's data; what has not changed since the last check is not read again.

    Raises DataError, naming the findings of most files, where the data is not fit to train on.
    """
    from briskseg.cli.counter import counter
    from briskseg.data.check import check_dataset
    from briskseg.training.preflight import refuse_dataless

    data, root = recipe.data, refuse_dataless(recipe)
    with counter("checking the data", "pairs") as progress:
        report = check_dataset(root, data.classes, data.split_seed, progress)
    words = ["briskseg", "check", root]
    words += ["--classes", data.classes] if data.classes is not None else []
    words += ["--seed", str(data.split_seed)] if data.split_seed else []
    command = f"`{shlex.join(words)}`"
    errors = _of(report, "error")
    if errors:
        first = errors[0]
        file = f", {first.files[0].as_posix()} first" if first.files else ""
        raise DataError(
            f"{report.root} is not fit to train on: {_listed(errors)}; {first.kind}{file}: "
            f"{first.message}; {command} names every file and the cure, --no-check trains without "
            "looking"
        )
    warnings = _of(report, "warning")
    if warnings:
        told = f"briskseg: {_listed(warnings)} in {report.root}; {command} says more"
        print(told, file=sys.stderr)


def _of(report: CheckReport, severity: str) -> list[Finding]:
    found = [finding for finding in report.findings if finding.severity == severity]
    return sorted(found, key=lambda finding: -finding.count)


def _listed(findings: list[Finding]) -> str:
    """ "2 errors, sizes-differ (12) and lossy-labels (3)"."""
    severity = findings[0].severity
    named = [f"{finding.kind} ({finding.count})" for finding in findings[:NAMED]]
    more = f" and {len(findings) - NAMED} more" if len(findings) > NAMED else ""
    return f"{len(findings)} {severity}{'s' * (len(findings) > 1)} ({', '.join(named)}{more})"
