"""MMEngine's logs: `vis_data/scalars.json` and `TIMESTAMP.json`, a JSON object a line.

A training line holds the loss and its parts, `iter` and `step` (both count from the run's start),
`epoch`, and `time`, the seconds an iteration took. MMCV 1's `*.log.json` is the same with a `mode`
and without `step`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.limits import read_text
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import Axis, Curve

_NOT_CURVES = {"step", "iter", "epoch", "mode", "memory", "time", "data_time"}


def read_mmengine(path: Path, key: str) -> Curve:
    """The values of `key` by step, and by time where the lines tell it (summed over the steps).

    Raises RequestError for a key that no line holds, DataError naming the line of what is damaged.
    """
    lines = [line for line in _lines(path) if line[1].get("mode", "train") == "train"]
    held = [(number, entry) for number, entry in lines if key in entry]
    if not held:
        known = {k for _, entry in lines for k, v in entry.items() if _is_number(v)}
        raise RequestError(f"{path} has no '{key}'; {nearest(key, sorted(known - _NOT_CURVES))}")
    name = "step" if all("step" in entry for _, entry in held) else "iter"
    steps = _column(path, held, name)
    _refuse_counts_within_epochs(path, held, steps)
    positions: dict[Axis, Floats] = {"step": steps}
    if all("time" in entry for _, entry in held):
        taken = _column(path, held, "time") * np.diff(steps, prepend=0)
        positions["time"] = np.cumsum(taken)
    return Curve(path, key, _column(path, held, key), positions)


def _lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    entries = []
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)  # which takes the NaN of a run that diverged
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise DataError(
                f"{path}, line {number}: no JSON object; expected one a line, as MMEngine logs"
            )
        entries.append((number, entry))
    return entries


def _column(path: Path, held: list[tuple[int, dict[str, Any]]], name: str) -> Floats:
    for number, entry in held:
        if not _is_number(entry.get(name)):
            found = f"is {str(entry[name])[:100]!r}" if name in entry else "is missing"
            raise DataError(f"{path}, line {number}: '{name}' {found}, expected a number")
    return np.array([entry[name] for _, entry in held], np.float64)


def _is_number(value: Any) -> TypeGuard[float]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (isinstance(value, float) or abs(value) < 1 << 63)


def _refuse_counts_within_epochs(
    path: Path, held: list[tuple[int, dict[str, Any]]], steps: Floats
) -> None:
    """MMCV 1 counts `iter` anew in each epoch, and does not say how long an epoch is."""
    for index in np.flatnonzero(np.diff(steps) <= 0):
        before, after = (held[index + k][1].get("epoch") for k in (0, 1))
        if _is_number(before) and _is_number(after) and before < after:
            raise RequestError(
                f"{path}, line {held[index + 1][0]}: 'iter' begins again with epoch {after}, and "
                "no 'step' counts from the start of the run; compare the TensorBoard files of "
                "these runs instead"
            )
