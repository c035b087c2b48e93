"""What `check` reports: findings, and a data set in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from briskseg.core.wording import counted
from briskseg.data.check.kinds import KINDS, Fix, Severity


@dataclass(frozen=True)
class Finding:
    """One kind of fault in a data set; docs/check.md says what it means.

    count: how many files, or classes, it concerns. files: all of them, none where it is about
    classes or splits. message: what was found here. fix_hint: what to do.
    """

    kind: str
    count: int
    files: tuple[Path, ...]
    message: str
    fix_hint: str

    @property
    def severity(self) -> Severity:
        """ "error" keeps training from starting or makes its result wrong, "warning" may."""
        return KINDS[self.kind].severity

    @property
    def fix(self) -> Fix:
        """What `--fix` does with its files."""
        return KINDS[self.kind].fix

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        about = {"kind": self.kind, "severity": self.severity, "count": self.count}
        what = {"message": self.message, "cure": self.fix_hint, "fix": self.fix}
        return about | what | {"files": [path.as_posix() for path in self.files]}


def finding(
    kind: str, files: Iterable[Path], message: str, fix_hint: str = "", count: int | None = None
) -> Finding:
    """A finding on files, with the kind's own hint unless a better one is given."""
    named = tuple(dict.fromkeys(files))  # a list may name one in two splits
    return Finding(
        kind,
        len(named) if count is None else count,
        named,
        message,
        fix_hint or KINDS[kind].fix_hint,
    )


@dataclass(frozen=True)
class FileCounts:
    """The files below a folder. images, labels, lists: those that were read. unread: the number of
    all others by the reason. embedded: how many of the label files hold their image too. archives:
    those that were read, in which images and labels lie."""

    images: int = 0
    labels: int = 0
    lists: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    embedded: int = 0
    archives: int = 0

    @property
    def read(self) -> int:
        """Those that were read."""
        return self.images + self.labels + self.lists + self.archives

    @property
    def total(self) -> int:
        """All of them."""
        return self.read + sum(self.unread.values())

    def __str__(self) -> str:
        with_image = f", {self.embedded} of them with an image inside" if self.embedded else ""
        parts = [counted(self.images, "image"), f"{counted(self.labels, 'label file')}{with_image}"]
        parts = [counted(self.archives, "archive")] if self.archives else parts
        parts += [counted(self.lists, "list")] if self.lists else []
        text = f"{counted(self.total, 'file')}: {self.read} read ({', '.join(parts)})"
        unread = self.total - self.read
        reasons = "; ".join(f"{n} {reason}" for reason, n in self.unread.items())
        return f"{text}, {unread} not read ({reasons})" if unread else f"{text}, none left over"

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"total": self.total} | vars(self)


@dataclass(frozen=True)
class SplitSummary:
    """A split in numbers: pairs, and for each class its pixels and the images it occurs in."""

    pairs: int
    pixels: tuple[int, ...]
    images: tuple[int, ...]
    ignored: int


@dataclass(frozen=True)
class CheckReport:
    """What the check of a data set found.

    sizes: the images of each (height, width). files: every file below the folder, read or not.
    held: what stands in the label files for each class index, and for ignored, 255. split_seed: by
    which the splits were drawn, None where the data say them.
    """

    kind: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, SplitSummary]
    sizes: dict[tuple[int, int], int]
    findings: tuple[Finding, ...]
    files: FileCounts = FileCounts()
    held: dict[int, str] = field(default_factory=dict)
    split_seed: int | None = None

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
            "split_seed": self.split_seed,
            "splits": {name: vars(summary) for name, summary in self.splits.items()},
            "files": self.files.to_json(),
            "held": {str(index): what for index, what in self.held.items()},
            "sizes": [{"size": list(size), "images": n} for size, n in self.sizes.items()],
            "findings": [finding.to_json() for finding in self.findings],
        }
