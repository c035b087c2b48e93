"""From a recipe to a run folder.

recipe -> data set, decoded and counted -> class weights -> network -> steps -> run folder
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from briskseg import __version__
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard
from briskseg.core.errors import MissingExtraError, RequestError, TrainingError
from briskseg.data import Dataset, open_dataset
from briskseg.data.augment import Augmenter
from briskseg.data.frequencies import class_weights, count_pixels
from briskseg.data.loader import (
    EpochBatches,
    ImageStore,
    TrainingSamples,
    ValidationSamples,
    training_loader,
    validation_loader,
)
from briskseg.models import create_model
from briskseg.recipe import Recipe
from briskseg.training.callbacks import (
    BestWeights,
    Checkpoints,
    Film,
    Log,
    MovingAverage,
    Progress,
)
from briskseg.training.module import SegmentationModule
from briskseg.training.run_folder import open_run, resume_place
from briskseg.training.scores import score_run

FILM_IMAGES = 4

Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Devices:
    """Where a run computes: `device` as torch names it, or auto, and how many of them."""

    device: str = "auto"
    count: int = 1


def fit(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool = False,
    devices: Devices = Devices(),
    how_to_resume: str = "the same call with resume=True",
    listener: Listener | None = None,
) -> Path:
    """Train as the recipe says and leave everything in the folder `run`.

    Args:
        recipe: the whole run; `data.root` must be set.
        run: a new folder, or with `resume` one that holds an unfinished run of this recipe.
        devices: where to compute.
        how_to_resume: what an interrupted run tells its user to do.
        listener: is told of progress: {"phase": "read" | "train" | "validate" | "score", ...}.

    Raises:
        RequestError: the recipe and the data, the device or the folder do not fit.
        DataError: a damaged or mismatched file, before the first step.
        TrainingError: the loss became NaN; the last good checkpoint is kept.
    """
    if recipe.data.root is None:
        raise RequestError(
            f"the recipe '{recipe.name}' names no data; add --data DIR, or --data streets to train "
            "on drawn scenes"
        )
    torch.manual_seed(recipe.training.seed)
    tell = listener or (lambda _: None)
    dataset = open_dataset(recipe.data.root, recipe.data.classes, recipe.data.split_seed)
    accelerator, precision = choose_precision(recipe, devices.device)
    checkpoint = open_run(run, recipe, resume)
    trainer, module, loaders, log = _prepare(
        recipe, run, dataset, checkpoint, accelerator, precision, devices, how_to_resume, tell
    )
    with warnings.catch_warnings():
        # Lightning advises on workers and log intervals, which are chosen here on purpose.
        warnings.filterwarnings("ignore", module="lightning")
        _run(trainer, module, loaders, log, checkpoint)
    if trainer.is_global_zero:
        score_run(run, dataset, _counted(tell, "score"))
    return run


def _run(
    trainer: Trainer,
    module: SegmentationModule,
    loaders: tuple[Any, Any],
    log: Log,
    checkpoint: Path | None,
) -> None:
    """Train, and validate once more where the run ended between two validations."""
    try:
        trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        recipe = module.recipe
        raise TrainingError(
            f"batch normalization needs more than one value a channel, and {recipe.model.name} "
            f"with training.batch={recipe.training.batch} at this size has one; set "
            "training.batch=2 or more"
        ) from None
    if not log.has_validation(trainer.global_step):
        trainer.validate(module, loaders[1], verbose=False)


def _prepare(
    recipe: Recipe,
    run: Path,
    dataset: Dataset,
    checkpoint: Path | None,
    accelerator: str,
    precision: str,
    devices: Devices,
    how_to_resume: str,
    tell: Listener,
) -> tuple[Trainer, SegmentationModule, tuple[Any, Any], Log]:
    """Read the data, build the network, and put Lightning's trainer around them."""
    training = recipe.training
    rank, world = _place_in_group(devices)
    stores = {}
    for split in ("train", "val"):
        stores[split] = ImageStore(dataset, split, recipe.data.cache_gb)
        stores[split].fill(_counted(tell, "read"))
    counts = count_pixels(dataset, "train", cache=run / "class_counts.json")
    batches = EpochBatches(len(stores["train"]), training.batch, training.seed, rank, world)
    if checkpoint is not None:
        batches.start_at(*resume_place(checkpoint))
    steps = training.steps or (training.epochs or 1) * len(batches)

    network = create_model(recipe.model.name, len(dataset.labels.names), **recipe.model.options)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = torch.from_numpy(class_weights(training.loss.class_weights, counts))
    module = SegmentationModule(network, recipe, dataset.labels, weights, steps, len(batches))
    log = Log(run / "metrics.csv", module)
    names = [pair.name for pair in stores["val"].pairs]
    callbacks: list[Callback] = [
        BestWeights(run, make_card(recipe, dataset, network.options), training.snapshots),
        Film(run, names[:: max(1, math.ceil(len(names) / FILM_IMAGES))], dataset.labels),
    ]
    if training.ema is not None:
        callbacks.append(MovingAverage(training.ema))
    callbacks += [log, Checkpoints(run, batches, log, how_to_resume), Progress(tell)]
    if training.stop_after is not None:
        callbacks.append(EarlyStopping("val_miou", mode="max", patience=training.stop_after))
    trainer = _make_trainer(recipe, run, callbacks, accelerator, precision, devices, steps)

    workers = training.workers if training.workers is not None else _workers(world)
    base_hw = recipe.data.size
    fill = tuple(round(255 * mean) for mean in recipe.data.mean)
    augmenter = Augmenter(recipe.augment, (fill[0], fill[1], fill[2]))
    samples = TrainingSamples(stores["train"], augmenter, base_hw, training.seed)
    loaders = (
        training_loader(samples, batches, workers),
        validation_loader(ValidationSamples(stores["val"], base_hw, rank, world), workers),
    )
    return trainer, module, loaders, log


def _make_trainer(
    recipe: Recipe,
    run: Path,
    callbacks: list[Callback],
    accelerator: str,
    precision: str,
    devices: Devices,
    steps: int,
) -> Trainer:
    training = recipe.training
    # Lightning speaks of what it finds on the machine; our own progress says what matters.
    for part in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(part).setLevel(logging.ERROR)
    several = devices.count > 1 or "TORCHELASTIC_RUN_ID" in os.environ
    return Trainer(
        accelerator=accelerator,
        devices=devices.count,
        num_nodes=int(os.environ.get("SLURM_NNODES", "1")),
        strategy="ddp" if several else "auto",
        precision=precision,  # type: ignore[arg-type]
        max_epochs=-1,
        max_steps=steps,
        check_val_every_n_epoch=training.validate_every,
        gradient_clip_val=training.clip,
        logger=make_loggers(recipe, run),
        callbacks=callbacks,
        default_root_dir=run,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        sync_batchnorm=several and accelerator == "cuda",
        benchmark=accelerator == "cuda",
    )


def choose_precision(recipe: Recipe, device: str) -> tuple[str, str]:
    """The accelerator and Lightning's precision for a recipe's `training.precision`.

    auto takes bf16 where the processor computes in it (GPUs from Ampere on; CPUs with AVX-512 bf16
    or AMX), else fp16 on CUDA, else float32.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    accelerator = device if device != "auto" else (found.type if found else "cpu")
    if accelerator not in {"cpu", found.type if found else "cpu"}:
        have = f"cpu, {found.type}" if found else "cpu"
        raise RequestError(f"there is no device '{accelerator}' here; this machine has: {have}")
    wanted = recipe.training.precision
    if accelerator == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = accelerator == "cpu" and _cpu_computes_bf16()
    if wanted == "auto":
        wanted = "bf16" if has_bf16 else "fp16" if accelerator == "cuda" else "float32"
    if wanted == "fp16" and accelerator == "cpu":
        raise RequestError(
            "training.precision=fp16 needs a GPU, and this run is on the CPU; use auto, bf16 or "
            "float32"
        )
    names = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    return accelerator, names[wanted]


def _cpu_computes_bf16() -> bool:
    """In hardware: emulated bf16 is slower than float32."""
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())


class Events(TensorBoardLogger):
    """TensorBoard's events file alone: the recipe is in recipe.yaml, not in hparams.yaml."""

    def save(self) -> None:
        self.experiment.flush()


def make_loggers(recipe: Recipe, run: Path) -> list[Logger]:
    """TensorBoard always, others by name; metrics.csv is written by `callbacks.Log`."""
    loggers: list[Logger] = [Events(run, name="", version="")]
    for name in recipe.training.loggers:
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


def make_card(recipe: Recipe, dataset: Dataset, options: dict[str, Any]) -> Card:
    """What the weights of this run are."""
    return Card(
        network=NetworkCard(
            name=recipe.model.name, classes=len(dataset.labels.names), options=options
        ),
        labels=LabelsCard.from_label_set(dataset.labels),
        input=InputCard(size=recipe.data.size, mean=recipe.data.mean, std=recipe.data.std),
        training={
            "recipe": recipe.name,
            "data": dataset.kind,
            "train_images": len(dataset.pairs("train")),
            "val_images": len(dataset.pairs("val")),
            "epochs": recipe.training.epochs,
            "steps": recipe.training.steps,
            "seed": recipe.training.seed,
            "briskseg": __version__,
            "torch": torch.__version__,
        },
        source=f"trained by briskseg from the recipe '{recipe.name}'",
    )


def _place_in_group(devices: Devices) -> tuple[int, int]:
    """(rank, processes) as Lightning's launchers, torchrun and SLURM tell it."""
    told = os.environ
    rank = told.get("RANK") or told.get("SLURM_PROCID") or told.get("LOCAL_RANK") or 0
    return int(rank), int(told.get("WORLD_SIZE") or told.get("SLURM_NTASKS") or devices.count)


def _counted(tell: Listener, phase: str) -> Callable[[int, int], None]:
    return lambda done, of: tell({"phase": phase, "step": done, "steps": of})


def _workers(world: int) -> int:
    """Loading takes a few milliseconds an image: with two cores the step itself is better off with
    both; with more, one core is left to the step."""
    share = (os.cpu_count() or 1) // world
    return 0 if share <= 2 else min(share - 1, 12)
