"""Which file of a run holds its curves, and which reader reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.runs.compare.curve import Curve
from briskseg.runs.compare.metrics_csv import read_metrics
from briskseg.runs.compare.mmengine import read_mmengine
from briskseg.runs.compare.tensorboard_ import read_events
from briskseg.runs.compare.verdict import EXAMPLE, read_text

_KNOWN = "metrics.csv, events.out.tfevents.*, vis_data/scalars.json"


@dataclass(frozen=True)
class Log:
    """What is to be read: a run folder or a log file, the key, and how a text log says it."""

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
            return read_metrics(log, self.key)
        if log.suffix in {".json", ".jsonl"}:
            return read_mmengine(log, self.key)
        if self.pattern is None:
            raise RequestError(
                f"{log} is a text log; say how its lines name step and {self.key}, for example "
                f"{EXAMPLE}"
            )
        return read_text(log, self.key, self.pattern)


def find_log(path: Path) -> Path:
    """The log in a run folder (a folder stands for its event files), or the file itself.

    Raises RequestError where there is none, or several to choose from.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise RequestError(f"{path} is not there, expected a run folder or a log file")
    if (path / "metrics.csv").is_file():
        return path / "metrics.csv"
    if any(path.glob("*tfevents*")):
        return path
    # an MMEngine work folder has one such folder a start
    scalars = [*path.glob("scalars.json"), *path.glob("vis_data/scalars.json")]
    scalars += sorted(path.glob("*/vis_data/scalars.json"))
    if len(scalars) > 1:
        listed = ", ".join(str(file) for file in scalars)
        raise RequestError(f"{path} holds the logs of several runs; name one of {listed}")
    if not scalars:
        raise RequestError(
            f"{path} holds no log that is known ({_KNOWN}); name a run folder or a log file"
        )
    return scalars[0]
