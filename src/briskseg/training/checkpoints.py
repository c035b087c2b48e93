"""Checkpoints: saved after every epoch and on Ctrl-C, so that a run goes on where it stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from briskseg.core.errors import BriskError
from briskseg.data.loader import EpochBatches
from briskseg.training.log import Log


class Interrupted(BriskError):
    """The user pressed Ctrl-C; the run is saved."""

    exit_status = 130


class Checkpoints(Callback):
    """checkpoints/last.ckpt after every epoch, and on Ctrl-C after the step that is running.

    The file is written under another name, synced and renamed, so that one whole file is always
    there. It knows the place in the epoch, so that a resumed run takes the next batch.
    """

    def __init__(self, run: Path, batches: EpochBatches, metrics: Log, how_to_resume: str) -> None:
        self.path = run / "checkpoints" / "last.ckpt"
        self.batches, self.metrics, self.how_to_resume = batches, metrics, how_to_resume
        self._asked = False
        self._before: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        try:
            self._before = signal.signal(signal.SIGINT, self._ask)
        except ValueError:  # not the main thread: whoever runs us there handles Ctrl-C
            self._before = None

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._give_back()

    def _give_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _ask(self, signum: int, frame: Any) -> None:
        if self._asked:  # a second Ctrl-C does not wait
            raise KeyboardInterrupt
        self._asked = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # after an epoch's last batch the epoch's end saves, once it is validated
        if self._asked and batch_idx + 1 < len(self.batches):
            self._save(trainer, epoch=trainer.current_epoch, batch=batch_idx + 1)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._save(trainer, epoch=trainer.current_epoch + 1, batch=0)
        if self._asked:
            self._stop(trainer)

    def _save(self, trainer: Trainer, epoch: int, batch: int) -> None:
        self.metrics.look(trainer)
        self._place = {"epoch": epoch, "batch": batch}
        partial = self.path.with_suffix(".partial")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(self.path)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["place"] = self._place

    def _stop(self, trainer: Trainer) -> None:
        raise Interrupted(
            f"interrupted at step {trainer.global_step}; everything is saved, go on with: "
            f"{self.how_to_resume}"
        )
