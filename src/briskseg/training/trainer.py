"""Lightning's trainer as every run here has it."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from briskseg.core.errors import MissingExtraError
from briskseg.recipe import LengthPart
from briskseg.training.checkpoint_files import CheckpointFiles, ResumePoint
from briskseg.training.events import Events
from briskseg.training.log import Log
from briskseg.training.machine import Machine


def make_trainer(
    training: LengthPart,
    run: Path,
    machine: Machine,
    callbacks: Sequence[Callback],
    steps: int,
    since: int | None = None,
    trains_all: bool = True,
) -> Trainer:
    """A trainer for this many steps, of which a resumed run goes on `since` one; `trains_all` says
    whether every step trains every parameter, which several processes must know of each other."""
    several = machine.has_several_processes
    with _lightning_quiet():
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
            logger=_make_loggers(training, run, since),
            plugins=[CheckpointFiles()],
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


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Lightning speaks of what it finds on the machine; our own progress says what matters."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def train(
    trainer: Trainer,
    module: LightningModule,
    loaders: tuple[Any, Any],
    log: Log,
    kept: ResumePoint | None,
) -> None:
    """Train, and validate once more where the run ended between two validations."""
    checkpoint = None if kept is None else kept.path
    with warnings.catch_warnings(), _lightning_quiet():
        # Lightning advises on workers and log intervals, which are chosen here on purpose.
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
        log.open(trainer)  # where no step was left, nothing has started that would have
        if not log.has_validation(trainer.global_step):
            trainer.validate(module, loaders[1], verbose=False)


def _make_loggers(training: LengthPart, run: Path, since: int | None) -> list[Logger]:
    """TensorBoard always, others by name; metrics.csv is written by `log.Log`."""
    loggers: list[Logger] = [Events(run, since)]
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
