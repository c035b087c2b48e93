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
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from briskseg.core.files.atomic import named, sync, write_whole
from briskseg.training.divergence import Diverged
from briskseg.training.samples.loader import Batch

PLACE = ("step", "epoch", "samples", "seconds")  # what every row begins with


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

    def values(self) -> list[float]:
        if self.arrival is not None:
            self.arrival.synchronize()
        values: list[float] = self.losses.tolist()
        return values


class Log(Callback):
    """Writes the rows, and watches the loss: one that is not a number stops the run with the step
    and its images. A checkpoint knows the file's length, at which a resumed run cuts it off.

    A GPU is never waited for between validations: losses are sent when a row is due, and read when
    they have arrived, a few steps later.

    Args:
        path: the CSV file.
        scores: the columns that a validation fills, "val_loss" the first.
        every: steps from one row to the next.
    """

    def __init__(self, path: Path, scores: Sequence[str], every: int) -> None:
        self.path, self.every = path, every
        self.columns = [*PLACE, "loss", "lr", "images_per_s", "waiting", *scores]
        self._earlier_s = 0.0  # of earlier sessions of this run
        self._samples = 0
        self._waiting: list[tuple[int, Tensor, list[str]]] = []  # steps since the last look
        self._sent = deque[Sent]()  # on their way from the device
        self._losses: list[float] = []  # arrived, not yet logged
        self._lr = 0.0
        self._started = self._since = time.monotonic()
        self._images = 0
        self._idle = self._idle_from = 0.0  # seconds between steps, since the last row
        self._bytes: int | None = None  # of the file, at the checkpoint that the run goes on from
        self._is_open = False

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": self._seconds(),
            "samples": self._samples,
            "losses": self._losses,
            "bytes": self.path.stat().st_size if self.path.exists() else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier_s, self._samples = state_dict["seconds"], state_dict["samples"]
        self._losses = state_dict["losses"]
        self._bytes = state_dict.get("bytes")  # older checkpoints do not know it

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        # a run that goes on within an epoch has no epoch's start
        self._started = self._since = self._idle_from = time.monotonic()
        self.open(trainer)

    def open(self, trainer: Trainer) -> None:
        """Begin the file, or cut off the rows that a resumed run makes again. Once a session."""
        if self._is_open or not trainer.is_global_zero:
            return
        self._is_open = True
        step = trainer.global_step
        length = self.path.stat().st_size if self.path.is_file() else 0
        with named(self.path):
            header, kept = ",".join(self.columns).encode(), self._bytes or 0
            has_kept = step > 0 and len(header) < kept <= length
            if has_kept and self.path.read_bytes().startswith(header):
                os.truncate(self.path, kept)
                return
            whole = io.StringIO()
            writer = csv.DictWriter(whole, self.columns)
            writer.writeheader()
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

    def sync(self, trainer: Trainer) -> None:
        """Have the disk hold every row, so that a checkpoint written after it is never ahead."""
        if trainer.is_global_zero:
            with named(self.path):
                sync(self.path)
            for logger in trainer.loggers:
                logger.save()
            sync(self.path.parent)

    def has_validation(self, step: int) -> bool:
        """Whether the weights after this step have been validated."""
        return any(int(row["step"]) == step and row["val_loss"] for row in self._rows())

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._idle_from = time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._idle += time.monotonic() - self._idle_from
        # here, because at the step's end the schedule is one step further
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._waiting.append((trainer.global_step, outputs["loss"].detach(), batch.names))
        self._images += len(batch.names) * trainer.world_size
        self._samples += len(batch.names) * trainer.world_size
        due = trainer.global_step % self.every == 0
        if due or pl_module.device.type == "cpu":
            self._send(self._row(trainer) if due else None)
        self._land(trainer, wait=False)
        self._idle_from = time.monotonic()

    def _row(self, trainer: Trainer) -> dict[str, Any]:
        """What a row says, but for the loss, which may be on its way."""
        now = time.monotonic()
        since = max(now - self._since, 1e-9)
        values = {
            "lr": self._lr,
            "images_per_s": round(self._images / since, 3),
            "waiting": round(self._idle / since, 4),
        }
        self._images, self._idle, self._since = 0, 0.0, now
        return self._place(trainer, trainer.current_epoch) | values

    def _send(self, row: dict[str, Any] | None) -> None:
        """Let the losses that wait start on their way from the device; nobody waits for them."""
        if not self._waiting:
            return
        steps = [(step, names) for step, _, names in self._waiting]
        losses = torch.stack([loss for _, loss, _ in self._waiting])
        arrival = None
        if losses.is_cuda:
            losses = torch.empty_like(losses, device="cpu", pin_memory=True).copy_(
                losses, non_blocking=True
            )
            arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrival.record()
        self._sent.append(Sent(steps, losses, arrival, row))
        self._waiting = []

    def _land(self, trainer: Trainer, wait: bool) -> None:
        """Check the losses that have arrived, in order, and write the rows that they complete."""
        while self._sent and (wait or self._sent[0].has_arrived):
            sent = self._sent.popleft()
            for (step, names), value in zip(sent.steps, sent.values(), strict=True):
                if not math.isfinite(value):
                    found = f"the loss became {value} at step {step}"
                    raise Diverged(f"{found} on the images {', '.join(names)}", step)
                self._losses.append(value)
            if sent.row is not None:
                self._write(trainer, sent.row | {"loss": sum(self._losses) / len(self._losses)})
                self._losses = []

    def look(self, trainer: Trainer) -> None:
        """Wait for the losses of all steps so far; raise Diverged on a NaN."""
        self._send(None)
        self._land(trainer, wait=True)

    def check_weights(self, trainer: Trainer) -> None:
        """Raise Diverged where a finite loss left weights that are not: none such is saved."""
        for name, tensor in trainer.lightning_module.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                step = trainer.global_step
                raise Diverged(f"after step {step} the weights '{name}' are not finite", step)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.look(trainer)
        self._write(trainer, self._place(trainer, epochs_done(trainer)) | pl_module.validation)
        # the time spent validating is not the training's rate
        self._images, self._idle, self._since = 0, 0.0, time.monotonic()

    def _seconds(self) -> float:
        return self._earlier_s + time.monotonic() - self._started

    def _place(self, trainer: Trainer, epoch: int) -> dict[str, Any]:
        seconds = f"{self._seconds():.2f}"
        step = trainer.global_step
        return {"step": step, "epoch": epoch, "samples": self._samples, "seconds": seconds}

    def _write(self, trainer: Trainer, row: Mapping[str, Any]) -> None:
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in row.items() if name not in PLACE}
        # every digit, so that equal rows mean equal numbers
        exact = {name: repr(value) for name, value in values.items()}
        text = io.StringIO()
        csv.DictWriter(text, self.columns).writerow({**row, **exact})
        # "r+b": not begun anew, without a header, where somebody deleted it
        with named(self.path), self.path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(text.getvalue().encode())
        for logger in trainer.loggers:
            logger.log_metrics(values, step=row["step"])


def epochs_done(trainer: Trainer) -> int:
    """The epochs that have begun, by the steps: Lightning counts one as done after its validation,
    and not at all where a run that had ended is resumed."""
    module: Any = trainer.lightning_module
    return -(-trainer.global_step // int(module.steps_per_epoch))
