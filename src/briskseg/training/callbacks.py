"""What happens around the steps: averaged weights, the log, checkpoints, best weights, the film.

Order matters, and `fit` lists them so: BestWeights and Film act while the averaged weights are in
place (on_validation_epoch_end, before MovingAverage takes them out again); Checkpoints acts after
MovingAverage has counted the step.
"""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from briskseg.core.card import Card, save_weights
from briskseg.core.errors import BriskError, TrainingError
from briskseg.core.images import write_png
from briskseg.core.labels import LabelSet
from briskseg.data.loader import Batch, EpochBatches
from briskseg.models.network import Network
from briskseg.training.module import SegmentationModule


class Interrupted(BriskError):
    """The user pressed Ctrl-C; the run is saved."""

    exit_status = 130


class MovingAverage(WeightAveraging):
    """Exponential moving average of the weights, used for validation and for what is saved.

    The decay rises as (1 + n) / (10 + n) to `decay`, so that early averages forget the random
    start (the schedule of TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, decay: float) -> None:
        def average(kept: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
            n = float(count)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            if kept[0].is_floating_point():
                torch._foreach_lerp_(list(kept), list(new), weight)
            else:  # batch norm's step counters
                torch._foreach_copy_(list(kept), list(new))

        super().__init__(multi_avg_fn=average)


class Log(Callback):
    """metrics.csv, a row a log step and a row a validation; the same numbers to each logger.

    Also watches the loss: a loss that is not a number stops the run with the step and its images.
    """

    def __init__(self, path: Path, module: SegmentationModule) -> None:
        self.path = path
        self.columns = ["step", "epoch", "samples", "seconds", "loss", "lr", "images_per_s"]
        self.columns += ["val_loss", "val_miou", "val_pixel_accuracy"]
        self.columns += [f"val_iou/{name}" for name in module.labels.names]
        self.seconds = 0.0  # of earlier sittings of this run
        self._samples = 0
        self._waiting: list[tuple[int, Tensor, list[str]]] = []  # steps since the last look
        self._losses: list[float] = []  # looked at, not yet logged
        self._started = self._since = time.monotonic()
        self._images = 0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds(), "samples": self._samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self._samples = state_dict["seconds"], state_dict["samples"]

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
        return any(int(row["step"]) == step and row["val_miou"] for row in self._rows())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._waiting.append((trainer.global_step, outputs["loss"].detach(), batch.names))
        self._images += len(batch.names) * trainer.world_size
        self._samples += len(batch.names) * trainer.world_size
        due = trainer.global_step % pl_module.recipe.training.log_every == 0
        # reading the loss waits for a GPU, so there only when a row is due
        if due or pl_module.device.type == "cpu":
            self.look(trainer)
        if due and self._losses:
            now = time.monotonic()
            rate = self._images / max(now - self._since, 1e-9)
            optimizer = trainer.optimizers[0]
            self._write(
                trainer,
                {
                    "loss": sum(self._losses) / len(self._losses),
                    "lr": optimizer.param_groups[0]["lr"],
                    "images_per_s": round(rate, 3),
                },
            )
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
            "epoch": epochs_done(trainer) if "val_miou" in values else trainer.current_epoch,
            "samples": self._samples,
            "seconds": f"{self._seconds():.2f}",
            # every digit, so that equal rows mean equal numbers
            **{name: repr(float(value)) for name, value in values.items()},
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)
        for logger in trainer.loggers:
            logger.log_metrics(dict(values), step=trainer.global_step)


class BestWeights(Callback):
    """model.safetensors: the weights with the best val mIoU so far; snapshots when asked."""

    def __init__(self, run: Path, card: Card, snapshots: bool) -> None:
        self.run, self.card, self.snapshots = run, card, snapshots
        self.best = -1.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Lightning calls callbacks before the module adds up the scores, so only the weights are
        taken here; they are judged in `on_validation_end`."""
        self._weights = weights_of(pl_module.network) if trainer.is_global_zero else {}

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        score = pl_module.validation["val_miou"]
        epoch = epochs_done(trainer)
        card = self.card.model_copy(
            update={
                "scores": {"val_miou": None if score != score else score},
                "training": {**self.card.training, "epoch": epoch, "step": trainer.global_step},
            }
        )
        if score > self.best or not (self.run / "model.safetensors").exists():
            self.best = max(self.best, score) if score == score else self.best
            save_weights(self.run / "model.safetensors", self._weights, card)
        if self.snapshots:
            save_weights(
                self.run / "checkpoints" / f"epoch-{epoch:03d}.safetensors", self._weights, card
            )


class Film(Callback):
    """Predictions of a few fixed validation images after each validation, for the report's film."""

    def __init__(self, run: Path, names: Sequence[str], labels: LabelSet) -> None:
        self.folder = run / "film"
        self.places = {name: k for k, name in enumerate(names)}
        self.labels = labels

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        place = self.places.get(batch.names[0])
        if place is None:
            return
        self.folder.mkdir(exist_ok=True)
        if not (self.folder / f"image-{place}.png").exists():
            image = batch.images[0].permute(1, 2, 0).cpu().numpy()
            write_png(self.folder / f"image-{place}.png", image)
            truth = batch.labels[0].cpu().numpy()
            write_png(self.folder / f"truth-{place}.png", truth, palette=self.labels.palette)
        shot = self.folder / f"epoch-{epochs_done(trainer):04d}-{place}.png"
        write_png(shot, outputs[0].cpu().numpy(), palette=self.labels.palette)


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


class Progress(Callback):
    """Tells a listener, after every step, how far the run is.

    The listener takes (steps done, steps in all, epoch, the last loss or None, the last val mIoU or
    None, what is going on: "train" or "validate").
    """

    def __init__(self, listener: Callable[[dict[str, Any]], None]) -> None:
        self.listener = listener

    def _tell(self, trainer: Trainer, pl_module: Any, phase: str) -> None:
        if trainer.is_global_zero:
            self.listener(
                {
                    "phase": phase,
                    "step": trainer.global_step,
                    "steps": pl_module.steps,
                    "epoch": trainer.current_epoch,
                    "val_miou": pl_module.validation.get("val_miou"),
                    "images": pl_module.recipe.training.batch * trainer.world_size,
                }
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._tell(trainer, pl_module, "train")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._tell(trainer, pl_module, "validate")

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._tell(trainer, pl_module, "validated")


def epochs_done(trainer: Trainer) -> int:
    """At a validation: it follows the epoch's last step, and Lightning counts the epoch only after
    it, except where the run ended between two validations and is validated once more."""
    return int(trainer.current_epoch) + (trainer.state.fn == "fit")


def weights_of(network: Network) -> dict[str, Any]:
    """The network's tensors as numpy arrays by their names, copied."""
    return {name: t.detach().cpu().numpy().copy() for name, t in network.state_dict().items()}
