"""metrics.csv: a row a log step and a row a validation; the same numbers to each logger."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from briskseg.core.errors import TrainingError
from briskseg.data.loader import Batch


class Log(Callback):
    """Writes the rows, and watches the loss: one that is not a number stops the run with the step
    and its images.

    Args:
        path: the CSV file.
        scores: the columns that a validation fills, "val_loss" the first.
        every: steps from one row to the next.
    """

    def __init__(self, path: Path, scores: Sequence[str], every: int) -> None:
        self.path, self.every = path, every
        self.columns = ["step", "epoch", "samples", "seconds", "loss", "lr", "images_per_s"]
        self.columns += scores
        self.seconds = 0.0  # of earlier sittings of this run
        self._samples = 0
        self._waiting: list[tuple[int, Tensor, list[str]]] = []  # steps since the last look
        self._losses: list[float] = []  # looked at, not yet logged
        self._lr = 0.0
        self._started = self._since = time.monotonic()
        self._images = 0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds(), "samples": self._samples, "losses": self._losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self._samples = state_dict["seconds"], state_dict["samples"]
        self._losses = state_dict["losses"]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._started = self._since = time.monotonic()
        if trainer.is_global_zero:
            self._open(trainer.global_step)

    def _open(self, step: int) -> None:
        """Begin the file, or cut off the rows that a resumed run makes again."""
        rows = [row for row in self._rows() if int(row["step"]) <= step] if step else []
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def has_validation(self, step: int) -> bool:
        """Whether the weights after this step have been validated."""
        return any(int(row["step"]) == step and row["val_loss"] for row in self._rows())

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        # here, because at the step's end the schedule is one step further
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._waiting.append((trainer.global_step, outputs["loss"].detach(), batch.names))
        self._images += len(batch.names) * trainer.world_size
        self._samples += len(batch.names) * trainer.world_size
        due = trainer.global_step % self.every == 0
        # reading the loss waits for a GPU, so there only when a row is due
        if due or pl_module.device.type == "cpu":
            self.look(trainer)
        if due and self._losses:
            now = time.monotonic()
            rate = self._images / max(now - self._since, 1e-9)
            loss = sum(self._losses) / len(self._losses)
            self._write(trainer, {"loss": loss, "lr": self._lr, "images_per_s": round(rate, 3)})
            self._losses, self._images, self._since = [], 0, now

    def look(self, trainer: Trainer) -> None:
        """Check the losses of the steps since the last look; raise TrainingError on a NaN."""
        if not self._waiting:
            return
        values = torch.stack([loss for _, loss, _ in self._waiting]).tolist()
        for (step, _, names), value in zip(self._waiting, values, strict=True):
            if value != value or value in (float("inf"), float("-inf")):
                raise TrainingError(
                    f"the loss became {value} at step {step} on the images {', '.join(names)}; the "
                    "last good checkpoint is kept: look at these images, lower "
                    "training.optimizer.lr, set training.clip=1 or training.precision=float32, and "
                    "train again"
                )
            self._losses.append(value)
        self._waiting = []

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.look(trainer)
        self._write(trainer, pl_module.validation)
        # the time spent validating is not the training's rate
        self._images, self._since = 0, time.monotonic()

    def _seconds(self) -> float:
        return self.seconds + time.monotonic() - self._started

    def _write(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        row: dict[str, Any] = {
            "step": trainer.global_step,
            "epoch": epochs_done(trainer) if "val_loss" in values else trainer.current_epoch,
            "samples": self._samples,
            "seconds": f"{self._seconds():.2f}",
            # every digit, so that equal rows mean equal numbers
            **{name: repr(float(value)) for name, value in values.items()},
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)
        for logger in trainer.loggers:
            logger.log_metrics(dict(values), step=trainer.global_step)


def epochs_done(trainer: Trainer) -> int:
    """At a validation: it follows the epoch's last step, and Lightning counts the epoch only after
    it, except where the run ended between two validations and is validated once more."""
    return int(trainer.current_epoch) + (trainer.state.fn == "fit")
