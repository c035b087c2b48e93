"""What a kind of trouble is: how bad, what it means, how to cure it, what `--fix` does."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# What `--fix` does with the files of a finding: they are right in the copy, they are not in the
# copy, or they are in it as they were.
Fix = Literal["mended", "left out", "kept"]


class Kind(NamedTuple):
    """severity: an "error" keeps training from starting or makes its result wrong, a "warning" may,
    a "note" is good to know."""

    severity: Severity
    fix: Fix
    meaning: str
    cure: str
