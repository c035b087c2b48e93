"""A run that diverged, and the gentler settings with which it may go on.

A run is resumed with the recipe that it was begun with. One that became NaN would become NaN again,
so there, and only there, three keys may change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch.optim.lr_scheduler import LambdaLR

from briskseg.core.errors import TrainingError
from briskseg.core.files.atomic import write_whole
from briskseg.recipe import LengthPart

GENTLER = frozenset({"training.optimizer.lr", "training.clip", "training.precision"})
_FILE = "checkpoints/diverged.json"  # there from a divergence to the next session


class Diverged(TrainingError):
    """The loss or the weights are not finite after this step."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


def mark(run: Path, error: Diverged) -> None:
    """Note in the run folder that its last session ended so."""
    write_whole(run / _FILE, json.dumps({"step": error.step, "found": str(error)}) + "\n")


def has_diverged(run: Path) -> bool:
    return (run / _FILE).is_file()


def unmark(run: Path) -> None:
    (run / _FILE).unlink(missing_ok=True)


class RecipeRate(Callback):
    """Gives the optimizer and the schedule that a checkpoint restored the recipe's learning rate:
    the one that they have, unless the run goes on more gently."""

    def __init__(self, training: LengthPart) -> None:
        self.training = training

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        rate, schedule = self.training.optimizer.lr, trainer.lr_scheduler_configs[0].scheduler
        assert isinstance(schedule, LambdaLR)
        groups = trainer.optimizers[0].param_groups
        rates = [rate * group.get("lr_factor", 1.0) for group in groups]
        schedule.base_lrs = [*rates]
        for group, rate, factor in zip(groups, rates, schedule.lr_lambdas, strict=True):
            group["initial_lr"] = rate
            group["lr"] = rate * factor(schedule.last_epoch)
            group["fused"] = self.training.clip is None
