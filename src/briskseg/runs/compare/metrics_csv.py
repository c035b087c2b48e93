"""Our own log: metrics.csv of a run folder, or another table with a `step` column."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import Axis, Curve, check_places

_COLUMNS: dict[Axis, str] = {"step": "step", "samples": "samples", "time": "seconds"}


def read_metrics(path: Path, key: str) -> Curve:
    """The column `key` of the rows that hold it.

    Raises RequestError for a column that is not there or is empty, DataError naming the row and the
    column of what is no number.
    """
    try:
        check_size(path, MAX_TEXT_BYTES)
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            columns = list(table.fieldnames or ())
            rows = [(number, row) for number, row in enumerate(table, start=2) if row.get(key)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from None
    if "step" not in columns:
        raise DataError(f"{path} has no column 'step' in its first line; expected metrics.csv")
    if key not in columns:
        others = [name for name in columns if name not in _COLUMNS.values()]
        raise RequestError(f"{path} has no column '{key}'; {nearest(key, others)}")
    if not rows:
        raise RequestError(
            f"{path} has no row with a '{key}': the run has just begun, or is shorter than its "
            "training.log_every steps"
        )

    def column(name: str) -> Floats:
        return np.array([_number(path, line, name, row[name]) for line, row in rows])

    places = {axis: column(name) for axis, name in _COLUMNS.items() if name in columns}
    check_places(path, places)
    return Curve(path, key, column(key), places)


def _number(path: Path, line: int, column: str, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise DataError(
            f"{path}, line {line}: '{column}' is '{(text or '')[:100]}', expected a number; the "
            "file is damaged or was cut off"
        ) from None
