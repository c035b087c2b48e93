"""What happens around the steps: averaged weights, best weights, the film, progress.

Order matters, and `fit` lists them so: BestWeights and Film act while the averaged weights are in
place (on_validation_epoch_end, before MovingAverage takes them out again); Checkpoints acts after
MovingAverage has counted the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor, nn

from briskseg.core.card import Card, save_weights
from briskseg.core.images import write_png
from briskseg.core.labels import LabelSet
from briskseg.training.encoder_file import FILE, save_encoder
from briskseg.training.log import epochs_done
from briskseg.training.run_folder import Listener
from briskseg.training.samples.loader import Batch


class MovingAverage(WeightAveraging):
    """Exponential moving average of the weights, used for validation and for what is saved.

    The decay rises as (1 + n) / (10 + n) to `decay`, so that early averages forget the random
    start (the schedule of TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, decay: float) -> None:
        def average(kept: Sequence[Tensor], new: Sequence[Tensor], _: Tensor | int) -> None:
            assert self._average_model is not None
            n = float(self._average_model.n_averaged)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            if kept[0].is_floating_point():
                torch._foreach_lerp_(list(kept), list(new), weight)
            else:  # batch norm's step counters
                torch._foreach_copy_(list(kept), list(new))

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """The average lies beside the weights, but its count stays here: reading it from a GPU at
        every step would wait for that."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()


class BestWeights(Callback):
    """model.safetensors: the weights with the best val mIoU so far, or the last ones, unscored,
    where val is trained on; snapshots when asked.

    A stage that trains the encoder alone leaves the best encoder in encoder.safetensors instead:
    its decoder has learned nothing yet, and a whole network would pass for one that can predict.
    """

    def __init__(self, run: Path, card: Card, snapshots: bool, keeps_last: bool = False) -> None:
        self.run, self.card, self.snapshots = run, card, snapshots
        self.keeps_last = keeps_last
        self.best = {"encoder": -1.0, "logits": -1.0}  # by the stage's output

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "scores": self.card.scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        self.card = self.card.model_copy(update={"scores": state_dict["scores"]})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Lightning calls callbacks before the module adds up the scores, so only the weights are
        taken here; they are judged in `on_validation_end`."""
        self._weights = weights_of(pl_module.network) if trainer.is_global_zero else {}

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        output = pl_module.stage_after(trainer.global_step).output
        score = pl_module.validation["val_miou"]
        epoch = epochs_done(trainer)
        card = self.card.model_copy(
            update={
                "scores": self.card.scores
                if self.keeps_last
                else {"val_miou": None if score != score else score},
                "training": {**self.card.training, "epoch": epoch, "step": trainer.global_step},
            }
        )
        best = self.run / (FILE if output == "encoder" else "model.safetensors")
        if self.keeps_last or score > self.best[output] or not best.exists():
            self.best[output] = score if score > self.best[output] else self.best[output]
            self._save(best, output, card)
        if self.snapshots:
            name = f"epoch-{epoch:03d}.safetensors"
            self._save(self.run / "checkpoints" / name, output, card)

    def _save(self, path: Path, output: str, card: Card) -> None:
        if output == "encoder":
            encoder = {k: v for k, v in self._weights.items() if k.startswith("encoder.")}
            save_encoder(path, encoder, {**card.training, **card.scores})
        else:
            save_weights(path, self._weights, card)


class Patience(EarlyStopping):
    """Ends a run after so many validations without a new best; one that has ended stays so when it
    is resumed. It acts before the checkpoint is saved, which knows what it has counted."""

    def __init__(self, validations: int) -> None:
        super().__init__(
            "val_miou", mode="max", patience=validations, check_on_train_epoch_end=False
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


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
            self._write(f"truth-{place}.png", batch.labels[0].cpu().numpy(), self.labels.palette)
            self._write(f"image-{place}.png", image)
        shot = f"epoch-{epochs_done(trainer):04d}-{place}.png"
        self._write(shot, outputs[0].cpu().numpy(), self.labels.palette)

    def _write(self, name: str, array: Any, palette: Any = None) -> None:
        write_png(self.folder / name, array, palette=palette)


class ProgressCallback(Callback):
    """Tells a session's listener, after every step and validation, how far the run is.

    `work` turns a share of the steps into the pixels in them, in any unit; None: all have as many.
    """

    def __init__(self, listener: Listener, work: Callable[[float], float] | None = None) -> None:
        self.listener = listener
        self.work = work or float

    def _tell(self, trainer: Trainer, pl_module: Any, phase: str) -> None:
        if trainer.is_global_zero:
            column, name = pl_module.score
            self.listener(
                {
                    "phase": phase,
                    "step": trainer.global_step,
                    "steps": pl_module.steps,
                    "done": self.work(trainer.global_step / pl_module.steps) / self.work(1.0),
                    "epoch": epochs_done(trainer),
                    "score": (name, pl_module.validation.get(column)),
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


def weights_of(network: nn.Module) -> dict[str, Any]:
    """The network's tensors as numpy arrays by their names, copied."""
    return {name: t.detach().cpu().numpy().copy() for name, t in network.state_dict().items()}
