"""Any text log, by a regular expression with named groups."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import AXES, Axis, Curve, check_places

EXAMPLE = r"--pattern 'Iter (?P<step>\d+).* loss (?P<loss>\S+)'"


def read_text(path: Path, key: str, pattern: str) -> Curve:
    """The group `key` of every match; the groups step, samples and time (seconds) place it.

    A pattern without a group for a place counts the matches as steps, from 1. Raises RequestError
    for a pattern that is wrong or matches nothing, DataError naming the line of what is no number.

    The pattern is the user's own: one whose repetitions lie in repetitions, as in `(a+)+$`, can
    take forever on a line that it does not match, and is not guarded against.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise RequestError(f"--pattern {pattern}: {error}; for example {EXAMPLE}") from None
    if key not in compiled.groupindex:
        groups = ", ".join(compiled.groupindex) or "none"
        raise RequestError(
            f"--pattern {pattern} has no group (?P<{key}>...), its groups: {groups}; for example "
            f"{EXAMPLE}"
        )
    strange = set(compiled.groupindex) - {key, *AXES}
    if strange:
        told = nearest(min(strange), [key, *AXES])
        raise RequestError(f"--pattern {pattern}: no use for the group '{min(strange)}'; {told}")
    names = [key, *(axis for axis in AXES if axis in compiled.groupindex)]
    rows = _matches(path, compiled, names)
    table = np.array(rows, np.float64).reshape(-1, len(names))
    places: dict[Axis, Floats] = {
        axis: table[:, names.index(axis)] for axis in AXES if axis in names
    }
    if not places:
        places = {"step": np.arange(1.0, len(table) + 1)}
    check_places(path, places)
    return Curve(path, key, table[:, 0], places)


def _matches(path: Path, compiled: re.Pattern[str], names: list[str]) -> list[list[float]]:
    rows = []
    number = 0
    try:
        check_size(path, MAX_TEXT_BYTES)
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if match := compiled.search(line):
                    rows.append([_number(path, number, name, match[name]) for name in names])
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if not rows:
        raise RequestError(
            f"--pattern {compiled.pattern} matches none of the {number} lines of {path}"
        )
    return rows


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise DataError(
            f"{path}, line {line}: the group '{name}' is '{(text or '')[:100]}', expected a "
            "number; correct the --pattern"
        ) from None
