"""Lightning's trainer as every run here has it, and its faults said in a sentence."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from briskseg.core.errors import DataError, MissingExtraError, RequestError, TrainingError
from briskseg.recipe import LengthPart
from briskseg.training.log import Log
from briskseg.training.machine import Machine


def make_trainer(
    training: LengthPart,
    run: Path,
    machine: Machine,
    callbacks: Sequence[Callback],
    steps: int,
    trains_all: bool = True,
) -> Trainer:
    """A trainer for this many steps; `trains_all` says whether every step trains every parameter,
    which several processes must know of each other."""
    # Lightning speaks of what it finds on the machine; our own progress says what matters.
    for part in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(part).setLevel(logging.ERROR)
    several = machine.has_several_processes
    return Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=int(os.environ.get("SLURM_NNODES", "1")),
        strategy=("ddp" if trains_all else "ddp_find_unused_parameters_true")
        if several
        else "auto",
        precision=machine.precision,
        max_epochs=-1,
        max_steps=steps,
        check_val_every_n_epoch=training.validate_every,
        gradient_clip_val=training.clip,
        logger=_make_loggers(training, run),
        callbacks=list(callbacks),
        default_root_dir=run,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        sync_batchnorm=several and machine.accelerator == "cuda",
        benchmark=machine.accelerator == "cuda",
    )


def train(
    trainer: Trainer,
    module: LightningModule,
    loaders: tuple[Any, Any],
    log: Log,
    checkpoint: Path | None,
) -> None:
    """Train, and validate once more where the run ended between two validations.

    Raises:
        TrainingError: the loss became NaN, or batch norm has a single value to normalize.
        DataError: a damaged file, though a process that loads in the background met it.
    """
    with warnings.catch_warnings():
        # Lightning advises on workers and log intervals, which are chosen here on purpose.
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
            if not log.has_validation(trainer.global_step):
                trainer.validate(module, loaders[1], verbose=False)
        except Exception as error:
            # torch reports what a loading process raised as text, with its traceback
            told = re.search(r"^briskseg\.core\.errors\.(\w+): (.+)\Z", str(error), re.M | re.S)
            if told is not None:
                kind = RequestError if told[1] == "RequestError" else DataError
                raise kind(told[2].strip()) from None
            if "more than 1 value per channel" not in str(error):
                raise
            raise TrainingError(
                "batch normalization needs more than one value a channel, and with this size and "
                "training.batch a step has one; set training.batch=2 or more"
            ) from None


class Events(TensorBoardLogger):
    """TensorBoard's events file alone: the recipe is in recipe.yaml, not in hparams.yaml."""

    def save(self) -> None:
        self.experiment.flush()


def _make_loggers(training: LengthPart, run: Path) -> list[Logger]:
    """TensorBoard always, others by name; metrics.csv is written by `log.Log`."""
    loggers: list[Logger] = [Events(run, name="", version="")]
    for name in training.loggers:
        try:
            if name == "wandb":
                from lightning.pytorch.loggers import WandbLogger

                loggers.append(WandbLogger(name=run.name, project="briskseg", save_dir=run))
            else:
                from lightning.pytorch.loggers import MLFlowLogger

                loggers.append(MLFlowLogger("briskseg", run.name, save_dir=str(run / "mlruns")))
        except ModuleNotFoundError:
            raise MissingExtraError(name, f"training.loggers: {name}", name) from None
    return loggers
