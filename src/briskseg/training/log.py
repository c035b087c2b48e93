"""metrics.csv: a row a log step and a row a validation; the same numbers to each logger."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from briskseg.core.errors import TrainingError
from briskseg.core.files.atomic import named, sync, write_whole
from briskseg.runs.run_folder import RunFolder
from briskseg.training.loggers import Logger
from briskseg.training.machine import Machine

FIRST_COLUMNS = ("step", "epoch", "samples", "seconds")  # what every row begins with


class Diverged(TrainingError):
    """The loss or the weights are not finite after this step."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


def check_weights(network: nn.Module, step: int) -> None:
    """Raise Diverged where a finite loss left weights that are not: none such is saved."""
    floats = {name: t for name, t in network.state_dict().items() if t.is_floating_point()}
    finite = torch.stack([t.isfinite().all() for t in floats.values()]).tolist()  # one wait for all
    for name, is_finite in zip(floats, finite, strict=True):
        if not is_finite:
            raise Diverged(f"after step {step} the weights '{name}' are not finite", step)


@dataclass(frozen=True)
class Sent:
    """Losses that were sent from the device, and the row that they complete."""

    steps: list[tuple[int, list[str]]]  # of each loss: the step, and its images' names
    losses: Tensor  # in this machine's memory, to be read once they have arrived
    arrival: torch.cuda.Event | None  # None: they were here
    row: dict[str, Any] | None

    @property
    def has_arrived(self) -> bool:
        return self.arrival is None or bool(self.arrival.query())  # type: ignore[no-untyped-call]


class Log:
    """Writes the rows, and watches the loss: one that is not a number stops the run with the step
    and its images. A checkpoint knows the file's length, at which a resumed run cuts it off.

    A GPU is never waited for between validations: losses are sent when a row is due, and read when
    they have arrived, a few steps later. Of several processes all send and check theirs, and the
    first one writes the mean.

    scores: the columns that a validation fills. every: steps from one row to the next.
    `loggers`: who gets the same numbers.
    """

    def __init__(
        self, folder: RunFolder, scores: Sequence[str], every: int, machine: Machine
    ) -> None:
        self.path, self.every, self.machine = folder.metrics, every, machine
        self.loggers: Sequence[Logger] = ()
        self.columns = [*FIRST_COLUMNS, "loss", "lr", "images_per_s", "waiting", *scores]
        self._earlier_s = 0.0  # of earlier sessions of this run
        self._samples = 0
        self._unsent: list[tuple[int, Tensor, list[str]]] = []
        self._sent = deque[Sent]()  # on their way from the device
        self._losses: list[float] = []  # arrived, not yet logged
        self._started = self._since = self._idle_from = time.monotonic()
        self._images = 0
        self._idle = 0.0  # seconds between steps, since the last row
        self._bytes: int | None = None  # of the file, at the checkpoint that the run goes on from

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": self._seconds(),
            "samples": self._samples,
            "losses": self._losses,
            "bytes": self.path.stat().st_size if self.path.exists() else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._earlier_s, self._samples = state["seconds"], state["samples"]
        self._losses, self._bytes = state["losses"], state["bytes"]

    def open(self, step: int) -> None:
        """Begin the file, or cut off the rows after this step, which a resumed run makes again."""
        self._started = self._since = self._idle_from = time.monotonic()
        if not self.machine.is_first:
            return
        length = self.path.stat().st_size if self.path.is_file() else 0
        with named(self.path):
            whole = io.StringIO()
            writer = csv.DictWriter(whole, self.columns)
            writer.writeheader()
            header, known = whole.getvalue().encode(), self._bytes or 0
            is_ours = step > 0 and len(header) <= known <= length
            if is_ours and self.path.read_bytes().startswith(header):
                os.truncate(self.path, known)
                return
            writer.writerows(row for row in self._rows() if int(row["step"]) <= step and step)
            write_whole(self.path, whole.getvalue())

    def _rows(self) -> list[dict[str, str]]:
        """The file's whole rows: what a killed process was writing is none."""
        if not self.path.is_file():
            return []
        text = self.path.read_bytes().decode("utf-8", "replace")
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        rows = [row for row in csv.DictReader(lines) if None not in row.values()]
        return [row for row in rows if (row.get("step") or "").isdecimal()]

    def sync(self) -> None:
        """Have the disk hold every row, so that a checkpoint written after it is never ahead."""
        if self.machine.is_first:
            with named(self.path):
                sync(self.path)
            for logger in self.loggers:
                logger.save()
            sync(self.path.parent)

    def close(self) -> None:
        for logger in self.loggers:
            logger.close()

    def wait(self) -> None:
        """From here to the next `begin_step` the loop waits for data."""
        self._idle_from = time.monotonic()

    def begin_step(self) -> None:
        self._idle += time.monotonic() - self._idle_from

    def step(self, step: int, epoch: int, loss: Tensor, names: list[str], lr: float) -> None:
        """A step was taken, the number `step` from 1 on, in this epoch from 0 on; the loss may
        still be computed."""
        images = len(names) * self.machine.processes.world
        self._unsent.append((step, loss, names))
        self._images += images
        self._samples += images
        is_due = step % self.every == 0
        row = None
        if is_due:  # what it says but for the loss, which may be on its way
            now = time.monotonic()
            since = max(now - self._since, 1e-9)
            row = self._first_cells(step, epoch) | {
                "lr": lr,
                "images_per_s": round(self._images / since, 3),
                "waiting": round(self._idle / since, 4),
            }
            self._restart_rate(now)
        if is_due or loss.device.type == "cpu":
            self._send(row)
        self._receive(wait=False)

    def _restart_rate(self, now: float) -> None:
        self._images, self._idle, self._since = 0, 0.0, now

    def _send(self, row: dict[str, Any] | None) -> None:
        """Let the losses that are due start on their way from the device; nobody waits for them."""
        if not self._unsent:
            return
        steps = [(step, names) for step, _, names in self._unsent]
        processes = self.machine.processes
        losses = processes.reduced(torch.stack([loss for _, loss, _ in self._unsent]))
        losses = losses / processes.world
        arrival = None
        if losses.is_cuda:
            losses = torch.empty_like(losses, device="cpu", pin_memory=True).copy_(
                losses, non_blocking=True
            )
            arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrival.record()
        self._sent.append(Sent(steps, losses, arrival, row))
        self._unsent = []

    def _receive(self, wait: bool) -> None:
        """Check the losses that have arrived, in order, and write the rows that they complete."""
        while self._sent and (wait or self._sent[0].has_arrived):
            sent = self._sent.popleft()
            if sent.arrival is not None:
                sent.arrival.synchronize()
            for (step, names), value in zip(sent.steps, sent.losses.tolist(), strict=True):
                if not math.isfinite(value):
                    found = f"the loss became {value} at step {step}"
                    raise Diverged(f"{found} on the images {', '.join(names)}", step)
                self._losses.append(value)
            if sent.row is not None:
                self._write(sent.row | {"loss": sum(self._losses) / len(self._losses)})
                self._losses = []

    def check(self) -> None:
        """Wait for the losses of all steps so far; raise Diverged on one that is no number."""
        self._send(None)
        self._receive(wait=True)

    def validation(self, step: int, epochs: int, scores: Mapping[str, float]) -> None:
        """The scores after this step, which `epochs` have begun by."""
        self._write(self._first_cells(step, epochs) | dict(scores))
        self._restart_rate(time.monotonic())  # the time spent validating is not training's rate

    def _seconds(self) -> float:
        return self._earlier_s + time.monotonic() - self._started

    def _first_cells(self, step: int, epoch: int) -> dict[str, Any]:
        seconds = f"{self._seconds():.2f}"
        return {"step": step, "epoch": epoch, "samples": self._samples, "seconds": seconds}

    def _write(self, row: Mapping[str, Any]) -> None:
        if not self.machine.is_first:
            return
        values = {name: float(value) for name, value in row.items() if name not in FIRST_COLUMNS}
        # every digit, so that equal rows mean equal numbers
        exact = {name: repr(value) for name, value in values.items()}
        text = io.StringIO()
        csv.DictWriter(text, self.columns).writerow({**row, **exact})
        # "r+b": not begun anew, without a header, where somebody deleted it
        with named(self.path), self.path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(text.getvalue().encode())
        for logger in self.loggers:
            try:
                logger.log(values, row["step"])
            except OSError:
                raise
            except Exception as error:  # a server that is gone: each package has its own errors
                name = type(logger).__name__
                raise TrainingError(f"{name} does not take the row ({error})") from error
