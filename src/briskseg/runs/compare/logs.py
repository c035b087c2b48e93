"""Which file of a run holds its curves, and how each kind of log is read: CSV and text here,
MMEngine's and TensorBoard's in files of their own."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.limits import read_text
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import AXES, Axis, Curve
from briskseg.runs.compare.mmengine import read_mmengine
from briskseg.runs.compare.tensorboard_ import read_events
from briskseg.runs.run_folder import RunFolder

_COLUMNS: dict[Axis, str] = {"step": "step", "samples": "samples", "time": "seconds"}
_EXAMPLE = r"--pattern 'Iter (?P<step>\d+).* loss (?P<loss>\S+)'"


@dataclass(frozen=True)
class Log:
    """What is to be read: a run folder or a log file, the key, and the pattern of a text log."""

    path: Path
    key: str = "loss"
    pattern: str | None = None

    def read(self) -> Curve:
        """The curve. Raises RequestError for what is not there or not recognized, DataError for
        damage."""
        log = find_log(self.path)
        if log.is_dir() or "tfevents" in log.name:
            return read_events(log, self.key)
        if log.suffix == ".csv":
            return read_csv(log, self.key)
        if log.suffix in {".json", ".jsonl"}:
            return read_mmengine(log, self.key)
        if self.pattern is None:
            raise RequestError(
                f"{log} is a text log; say how its lines name step and {self.key}, for example "
                f"{_EXAMPLE}"
            )
        return read_matches(log, self.key, self.pattern)


def find_log(path: Path) -> Path:
    """The log in a run folder (a folder stands for its event files), or the file itself.

    Raises RequestError where there is none, or several to choose from.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise RequestError(f"{path} is not there, expected a run folder or a log file")
    metrics = RunFolder(path).metrics
    if metrics.is_file():
        return metrics
    if any(path.glob("*tfevents*")):
        return path
    # an MMEngine work folder has one such folder a start
    scalars = [*path.glob("scalars.json"), *path.glob("vis_data/scalars.json")]
    scalars += sorted(path.glob("*/vis_data/scalars.json"))
    if len(scalars) > 1:
        listed = ", ".join(str(file) for file in scalars)
        raise RequestError(f"{path} holds the logs of several runs; name one of {listed}")
    if not scalars:
        RunFolder(path).refuse_several()
        raise RequestError(
            f"{path} holds no log that is known ({metrics.name}, events.out.tfevents.*, "
            "vis_data/scalars.json); name a run folder or a log file"
        )
    return scalars[0]


def read_csv(path: Path, key: str) -> Curve:
    """The column `key` of a run's metrics.csv, or of another table with a `step` column; rows where
    it is empty are left out, and a last one that is not whole: a run may be writing it.

    Raises RequestError for a column that is not there or is empty, DataError naming the row and the
    column of what is no number.
    """
    text, is_cut = _whole_lines(path)
    table = csv.DictReader(io.StringIO(text))
    try:
        columns = list(table.fieldnames or ())
        rows = [(table.line_num, row) for row in table]
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from None
    if rows and None in rows[-1][1].values():  # fewer cells than columns
        rows.pop()
        is_cut = True
    rows = [(line, row) for line, row in rows if row.get(key)]
    if "step" not in columns:
        raise DataError(f"{path} has no column 'step' in its first line; expected metrics.csv")
    if key not in columns:
        others = [name for name in columns if name not in _COLUMNS.values()]
        raise RequestError(f"{path} has no column '{key}'; {nearest(key, others)}")
    if not rows:
        raise RequestError(
            f"{path} has no row with a '{key}': the run has just begun, or is shorter than its "
            "training.log_every steps; let it go on, or train it with --set training.log_every=1"
        )

    def column(name: str) -> Floats:
        what, cure = f"'{name}'", "the file is damaged or was cut off"
        return np.array([_number(path, line, what, row[name], cure) for line, row in rows])

    positions = {axis: column(name) for axis, name in _COLUMNS.items() if name in columns}
    return Curve(path, key, column(key), positions, is_cut)


def read_matches(path: Path, key: str, pattern: str) -> Curve:
    """Any text log: the group `key` of every whole line that the pattern matches; the groups step,
    samples and time (seconds) say where it is.

    A pattern without any of these counts the matches as steps, from 1. Raises RequestError for a
    pattern that is wrong or matches nothing, DataError naming the line of what is no number.

    The pattern is the user's own: one whose repetitions lie in repetitions, as in `(a+)+$`, can
    take forever on a line that it does not match, and is not guarded against.
    """
    compiled = _compile(pattern, key)
    names = [key, *(axis for axis in AXES if axis in compiled.groupindex)]
    rows: list[list[float]] = []
    text, is_cut = _whole_lines(path, errors="replace")
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if match := compiled.search(line):
            groups = [(f"the group '{name}'", match[name]) for name in names]
            cure = "correct the --pattern"
            rows.append([_number(path, number, *group, cure) for group in groups])
    if not rows:
        raise RequestError(f"--pattern {pattern} matches none of the {len(lines)} lines of {path}")
    table = np.array(rows, np.float64)
    positions: dict[Axis, Floats] = {a: table[:, names.index(a)] for a in AXES if a in names}
    positions = positions or {"step": np.arange(1.0, len(table) + 1)}
    return Curve(path, key, table[:, 0], positions, is_cut)


def _whole_lines(path: Path, errors: str = "strict") -> tuple[str, bool]:
    """A log up to its last newline, and whether more follows: half a number is a number too."""
    text = read_text(path, errors=errors)
    end = text.rfind("\n") + 1 or len(text)  # a first line is kept
    return text[:end], end < len(text)


def _compile(pattern: str, key: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise RequestError(f"--pattern {pattern}: {error}; for example {_EXAMPLE}") from None
    groups = compiled.groupindex
    if key not in groups:
        raise RequestError(
            f"--pattern {pattern} has no group (?P<{key}>...), its groups: "
            f"{', '.join(groups) or 'none'}; for example {_EXAMPLE}"
        )
    if unused := groups.keys() - {key, *AXES}:
        hint = nearest(min(unused), [key, *AXES])
        raise RequestError(f"--pattern {pattern}: no use for the group '{min(unused)}'; {hint}")
    return compiled


def _number(path: Path, line: int, what: str, text: str | None, cure: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        found = (text or "")[:100]
        raise DataError(
            f"{path}, line {line}: {what} is '{found}', expected a number; {cure}"
        ) from None
