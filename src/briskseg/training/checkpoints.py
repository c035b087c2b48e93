"""Checkpoints: when they are saved, and how a run stops that is asked to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from briskseg.training.log import Log
from briskseg.training.samples.loader import EpochBatches
from briskseg.training.stopping import Stop

# A stop asked for while validating waits for a validation's end where the last one was shorter.
SHORT_VALIDATION_S = 10.0
# Several processes agree on what to do; that waits for all of them, so not at every step.
AGREE_EVERY = 10


class Checkpoints(Callback):
    """checkpoints/last.ckpt after every epoch, and within one where `every_s` has passed, where
    somebody asks the run to stop, and before the last step where a long validation follows: a
    validation leaves nothing behind that it could go on from, so a run stopped in it takes that
    step again.

    The file knows the place in the epoch, so that a resumed run takes the next batch. What else is
    in the run folder is synced first: it is never behind the checkpoint.
    """

    def __init__(
        self, run: Path, batches: EpochBatches, metrics: Log, stop: Stop, every_s: float
    ) -> None:
        self.path = run / "checkpoints" / "last.ckpt"
        self.batches, self.metrics, self.stop, self.every_s = batches, metrics, stop, every_s
        self._place: dict[str, int] = {}
        self._saved_at = self._validating_since = time.monotonic()
        self._validation_s: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.stop.listen()
        self.stop.waits = True
        self._saved_at = time.monotonic()
        if self.stop.asked:
            self.stop.now("", "what was saved before is kept")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        # A run that goes on from an epoch's end begins a pass that it drops; loading processes
        # have taken batches of it by then, so passes alone do not tell which epoch it is.
        self.batches.go_to(trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done, of = batch_idx + 1, len(self.batches)
        if done == of:  # the epoch's end saves, once it is validated
            return
        late = time.monotonic() - self._saved_at > self.every_s
        stop, late = self._agree(trainer, done, bool(self.stop.asked), late)
        short = self._validation_s is not None and self._validation_s < SHORT_VALIDATION_S
        last = done == of - 1 and self._validates(trainer) and not short
        if stop or late or last:
            self._save(trainer, epoch=trainer.current_epoch, batch=done)
        if stop:
            self._stop_saved(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._save(trainer, epoch=trainer.current_epoch + 1, batch=0)
        if self._agree(trainer, 0, bool(self.stop.asked))[0]:
            self._stop_saved(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.stop.listen()
        self._validating_since = time.monotonic()

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        last = {"epoch": trainer.current_epoch, "batch": len(self.batches) - 1}
        may_leave = trainer.state.fn != "fit" or last.items() <= self._place.items()
        if self.stop.asked and may_leave and trainer.world_size == 1:
            self.stop.now(" while validating", "all steps but the last one are saved")

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._validation_s = time.monotonic() - self._validating_since

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.stop.waits = False  # everything is saved

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self.stop.waits = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["place"] = self._place

    def _validates(self, trainer: Trainer) -> bool:
        every = trainer.check_val_every_n_epoch
        return every is not None and (trainer.current_epoch + 1) % every == 0

    def _agree(self, trainer: Trainer, done: int, *wishes: bool) -> tuple[bool, ...]:
        """What any of the processes wishes."""
        if trainer.world_size == 1:
            return wishes
        if done % AGREE_EVERY:
            return tuple(False for _ in wishes)
        agree = trainer.strategy.reduce_boolean_decision
        return tuple(bool(agree(wish, all=False)) for wish in wishes)

    def _save(self, trainer: Trainer, epoch: int, batch: int) -> None:
        self.metrics.look(trainer)
        self.metrics.check_weights(trainer)
        self.metrics.sync(trainer)
        self._place = {
            "epoch": epoch,
            "batch": batch,
            "step": trainer.global_step,
            "images": self.batches.samples,
            "processes": trainer.world_size,
        }
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()

    def _stop_saved(self, trainer: Trainer) -> None:
        self.stop.now(f" at step {trainer.global_step}", "everything is saved")
