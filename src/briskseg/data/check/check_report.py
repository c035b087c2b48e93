"""What the doctor says: findings, and a data set in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from briskseg.data.check.finding_kind import Severity
from briskseg.data.check.finding_kinds import KINDS


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in a data set; `KINDS` says what it means.

    count: how many files, or classes, it concerns. files: all of them, none where it is about
    classes or splits. message: what was found here. cure: what to do.
    """

    kind: str
    count: int
    files: tuple[Path, ...]
    message: str
    cure: str

    @property
    def severity(self) -> Severity:
        """ "error" keeps training from starting or makes its result wrong, "warning" may."""
        return KINDS[self.kind].severity

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        about = {"kind": self.kind, "severity": self.severity, "count": self.count}
        said = {"message": self.message, "cure": self.cure, "fix": KINDS[self.kind].fix}
        return about | said | {"files": [path.as_posix() for path in self.files]}


def finding(
    kind: str, files: Iterable[Path], message: str, cure: str = "", count: int | None = None
) -> Finding:
    """A finding on files, with the kind's own cure unless there is a better one."""
    named = tuple(files)
    return Finding(
        kind, len(named) if count is None else count, named, message, cure or KINDS[kind].cure
    )


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
