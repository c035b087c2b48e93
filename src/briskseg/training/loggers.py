"""Where the rows of metrics.csv also go: TensorBoard always, Weights & Biases and MLflow by name.

Their packages are imported when a run asks for them.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from briskseg.core.errors import MissingExtraError, RequestError
from briskseg.core.files.atomic import named, sync
from briskseg.runs.run_folder import RunFolder


class Logger(Protocol):
    """Takes numbers by their names; `save` has the disk hold them."""

    def log(self, values: Mapping[str, float], step: int) -> None: ...

    def save(self) -> None: ...

    def close(self) -> None: ...


def make_loggers(names: Sequence[str], folder: RunFolder, since: int | None) -> list[Logger]:
    """TensorBoard's and those of `training.loggers`; since: the step that a session goes on from.

    Raises RequestError where a package is not installed or does not take the run.
    """
    loggers: list[Logger] = [TensorBoard(folder, since)]
    kinds: dict[str, Callable[[RunFolder], Logger]]
    kinds = {"wandb": WeightsAndBiases, "mlflow": MLflow}
    for name in names:
        try:
            loggers.append(kinds[name](folder))
        except ModuleNotFoundError:
            raise MissingExtraError(name, f"training.loggers: {name}", name) from None
        except Exception as error:  # no login, no server: each package has its own errors
            raise RequestError(
                f"training.loggers: {name} does not take the run ({error}); see to it, or leave "
                f"{name} out"
            ) from error
    return loggers


class TensorBoard:
    """events.*: a file a session, begun with its first row.

    `purge_step` makes TensorBoard leave out what earlier sessions wrote of later steps.
    """

    def __init__(self, folder: RunFolder, since: int | None) -> None:
        self.folder, self.since = folder, since
        self._writer: Any = None
        self._hook = threading.excepthook

    def log(self, values: Mapping[str, float], step: int) -> None:
        with named(self.folder.path / "events"):
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._hook, threading.excepthook = threading.excepthook, self._hear_thread
                purge = None if self.since is None else self.since + 1
                folder = str(self.folder.path)
                self._writer = SummaryWriter(folder, purge_step=purge, flush_secs=30)
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def save(self) -> None:
        if self._writer is not None:
            with named(self.folder.path / "events"):
                self._writer.flush()
            for file in sorted(self.folder.path.glob("events.out.tfevents.*")):
                sync(file)

    def close(self) -> None:
        if self._writer is not None:
            with suppress(OSError):  # what could not be written has been said
                self._writer.close()
            threading.excepthook = self._hook

    def _hear_thread(self, raised: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread that would print a traceback where the disk is full; the
        next call from here raises the same error, which is then said in a sentence."""
        if not type(raised.thread).__module__.startswith("tensorboard."):
            self._hook(raised)


class WeightsAndBiases:
    """A run of the project briskseg, named as the run folder."""

    def __init__(self, folder: RunFolder) -> None:
        import wandb

        self._run = wandb.init(project="briskseg", name=folder.path.name, dir=str(folder.path))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def save(self) -> None:
        """Its own process sends and keeps them."""

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of the experiment briskseg, at $MLFLOW_TRACKING_URI or in the run folder's mlruns."""

    def __init__(self, folder: RunFolder) -> None:
        import mlflow

        uri = os.environ.get("MLFLOW_TRACKING_URI", (folder.path / "mlruns").resolve().as_uri())
        self._client = mlflow.tracking.MlflowClient(uri)
        found = self._client.get_experiment_by_name("briskseg")
        experiment = found.experiment_id if found else self._client.create_experiment("briskseg")
        run = self._client.create_run(experiment, run_name=folder.path.name)
        self._run = run.info.run_id

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():  # a class may have any name, a metric may not
            self._client.log_metric(self._run, re.sub(r"[^/\w.\- ]", "_", name), value, step=step)

    def save(self) -> None:
        """Every number was written as it was logged."""

    def close(self) -> None:
        self._client.set_terminated(self._run)
