"""From a recipe to a run folder.

recipe -> data set, decoded and counted -> network -> stages of weighted steps -> run folder
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import nn

from briskseg import __version__
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard
from briskseg.core.files.atomic import write_whole
from briskseg.core.types import Progress
from briskseg.data import Dataset, open_dataset
from briskseg.data.frequencies import PixelCounts, class_weights, count_pixels
from briskseg.models import create_model
from briskseg.models.encoders.encoder_file import load_encoder
from briskseg.models.network import Network
from briskseg.recipe import Recipe
from briskseg.training.callbacks import (
    BestWeights,
    Film,
    MovingAverage,
    Patience,
    ProgressCallback,
)
from briskseg.training.checkpoint_files import ResumePoint
from briskseg.training.checkpoints import Checkpoints
from briskseg.training.convolutions import use_matrix_gradients
from briskseg.training.divergence import RecipeRate
from briskseg.training.encoder_file import find_encoder
from briskseg.training.fine_tuning import begin_with, score_before
from briskseg.training.log import Log
from briskseg.training.logit_adjustment import adjust_run
from briskseg.training.machine import Machine, choose_machine
from briskseg.training.module import SegmentationModule
from briskseg.training.preflight import refuse_dataless, refuse_weights
from briskseg.training.run_folder import RunSession, opened_run, seek_batches
from briskseg.training.samples.augment import Augmenter
from briskseg.training.samples.gpu_cache import (
    GpuCachedTraining,
    GpuCachedValidation,
    use_gpu_cache,
)
from briskseg.training.samples.loader import (
    Batch,
    EpochBatches,
    ImageStore,
    MemoryBudget,
    TrainingSamples,
    ValidationSamples,
    training_loader,
    validation_loader,
)
from briskseg.training.score_run import score_run
from briskseg.training.stages import plan_stages
from briskseg.training.trainer import make_trainer, train

FILM_IMAGES = 4


def fit(recipe: Recipe, run: Path, session: RunSession | None = None) -> Path:
    """Train as the recipe says and leave everything in the folder `run`.

    Args:
        recipe: the whole run; `data.root` must be set.
        run: a new folder, or where the session resumes one with an unfinished run of this recipe.
        session: where to compute, whether to resume, who is told of progress.

    Raises:
        RequestError: the recipe and the data, the device or the folder do not fit.
        Interrupted: a signal asked it to stop; it is saved.
        DataError: a damaged or mismatched file, before the first step where it fits in memory.
        WeightsError: the weights or the encoder to begin with are damaged or do not fit.
        TrainingError: the loss became NaN, or the run folder cannot be written; the last good
            checkpoint is kept.
    """
    root = refuse_dataless(recipe)
    session = session or RunSession()
    refuse_weights(recipe, run)
    with session.stop:
        dataset = open_dataset(root, recipe.data.classes, recipe.data.split_seed)
        dataset = dataset.training_on(recipe.data.train_splits)
        machine = choose_machine(recipe.training.precision, session.devices)
        with opened_run(run, recipe, session, machine.is_first) as kept:
            _fit(recipe, run, session, dataset, machine, kept)
    return run


def _fit(
    recipe: Recipe,
    run: Path,
    session: RunSession,
    dataset: Dataset,
    machine: Machine,
    kept: ResumePoint | None,
) -> None:
    training = recipe.training
    torch.manual_seed(training.seed)
    data = read_data(recipe, dataset, run, machine, session.counted("read"))
    seek_batches(data.batches, kept)
    if kept is None and (padded := _told_padding(recipe, dataset)):
        session.say(padded)
    network = make_network(recipe, len(dataset.labels.names), from_scratch=kept is None)
    if recipe.model.weights is not None and kept is None:
        session.say(begin_with(network, recipe.model.weights, recipe, dataset))
    elif "val" in recipe.data.train_splits and kept is None:
        session.say("begins with random weights, not with any that were scored on val before")
    if machine.prefers_matrix_gradients:
        use_matrix_gradients(network)
    module = make_module(recipe, dataset, data, network)
    log = Log(run / "metrics.csv", module.columns, training.log_every)
    callbacks = make_savers(recipe, run, dataset, network)
    if training.stop_after is not None:
        callbacks.append(Patience(training.stop_after))
    resize = recipe.augment.progressive_resize
    callbacks += [
        RecipeRate(training),
        log,
        Checkpoints(run, data.batches, log, session.stop, 60 * training.save_every),
        ProgressCallback(session.listener, resize.work if resize else None),
    ]
    trains_all = not training.stages and training.loss.auxiliary > 0
    if kept is not None and kept.step >= module.steps:
        session.say(f"{run} has all its {module.steps} steps: none is left to train")
    since = session.since(kept)
    trainer = make_trainer(training, run, machine, callbacks, module.steps, since, trains_all)
    train(trainer, module, data.loaders, log, kept)
    if not trainer.is_global_zero:
        return
    device = str(machine.device)
    if training.logit_adjustment:
        phases = session.counted("predict"), session.counted("adjust")
        if told := adjust_run(run, dataset, device, *phases):
            session.say(told)
    if "val" not in recipe.data.train_splits:
        score_run(run, dataset, device, session.counted("score"))


def _told_padding(recipe: Recipe, dataset: Dataset) -> str:
    """Said where the first image, unscaled, fills less than half of a sample."""
    sample_hw, first = recipe.augment.size, dataset.pairs("train")[0]
    if sample_hw is None:
        return ""
    image_hw = recipe.data.size or dataset.size(first)
    filled = math.prod(min(1.0, i / s) for i, s in zip(image_hw, sample_hw, strict=True))
    if filled >= 0.5:
        return ""
    height, width = image_hw
    return (
        f"images of {width}x{height} fill {filled:.0%} of a sample of {sample_hw[1]}x"
        f"{sample_hw[0]}, and the rest is padding; smaller samples train faster: "
        f"--set augment.size=[{height},{width}]"
    )


@dataclass(frozen=True)
class Data:
    """What a run trains and validates on: the batches, and how often each class occurs."""

    counts: PixelCounts
    batches: EpochBatches
    loaders: tuple[Iterable[Batch], Iterable[Batch]]  # train, val


def read_data(
    recipe: Recipe,
    dataset: Dataset,
    run: Path,
    machine: Machine,
    progress: Progress,
) -> Data:
    """Decode what fits in memory, count the classes, and set up the loaders."""
    training, size_hw = recipe.training, recipe.data.size
    budget = MemoryBudget(recipe.data.cache_gb)
    train_store, val_store = (ImageStore(dataset, split, budget) for split in ("train", "val"))
    counts = count_pixels(dataset, "train", known=train_store.fill(progress))
    val_store.fill(progress)
    if machine.is_first:
        write_whole(run / "class_counts.json", json.dumps(counts.to_json()) + "\n")
    process = (machine.rank, machine.world)
    batches = EpochBatches(len(train_store), training.batch, training.seed, *process)
    red, green, blue = (round(255 * mean) for mean in recipe.data.mean)
    augmenter = Augmenter(recipe.augment, (red, green, blue))
    epochs = training.epochs_of_all(len(batches))
    samples = TrainingSamples(train_store, augmenter, size_hw, training.seed, epochs)
    val_samples = ValidationSamples(val_store, size_hw, *process)
    train: Iterable[Batch]
    val: Iterable[Batch]
    if use_gpu_cache(recipe.data.gpu_cache, samples, val_samples, machine.device):
        train = GpuCachedTraining(samples, batches, machine.device)
        val = GpuCachedValidation(val_samples, machine.device)
    else:
        workers = machine.workers(training.workers)
        train = training_loader(samples, batches, workers)
        val = validation_loader(val_samples, workers)
    return Data(counts, batches, (train, val))


def make_network(recipe: Recipe, classes: int, from_scratch: bool) -> Network:
    """The recipe's network; its pretrained encoder is read unless a checkpoint will follow."""
    network = create_model(recipe.model.name, classes, **recipe.model.options)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.model.encoder is not None and from_scratch:
        load_encoder(network, find_encoder(recipe.model.encoder))
    if recipe.training.batch_norm_momentum is not None:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.training.batch_norm_momentum
    if any(stage.output == "encoder" for stage in recipe.training.stages):
        with torch.no_grad():
            network.eval().forward_encoder(torch.zeros(1, 3, 8, 8))  # refuses where there is none
    return network.train()


def make_module(
    recipe: Recipe, dataset: Dataset, data: Data, network: Network
) -> SegmentationModule:
    """The network with its stages and their class weights."""
    stages = plan_stages(recipe.training, len(data.batches))
    weights = [torch.from_numpy(class_weights(s.class_weights, data.counts)) for s in stages]
    return SegmentationModule(network, recipe, dataset.labels, stages, weights, len(data.batches))


def make_savers(recipe: Recipe, run: Path, dataset: Dataset, network: Network) -> list[Callback]:
    """What keeps weights and pictures, in the order in which they must act."""
    names = [pair.name for pair in dataset.pairs("val")]
    shown = names[:: max(1, math.ceil(len(names) / FILM_IMAGES))]
    card = make_card(recipe, dataset, network.options)
    savers: list[Callback] = [
        BestWeights(run, card, recipe.training.snapshots, "val" in recipe.data.train_splits),
        Film(run, shown, dataset.labels),
    ]
    if recipe.training.ema is not None:
        savers.append(MovingAverage(recipe.training.ema))
    return savers


def make_card(recipe: Recipe, dataset: Dataset, options: dict[str, Any]) -> Card:
    """What the weights of this run are."""
    begun_with = recipe.model.weights or recipe.model.encoder
    return Card(
        network=NetworkCard(
            name=recipe.model.name, classes=len(dataset.labels.names), options=options
        ),
        labels=LabelsCard.from_label_set(dataset.labels),
        input=InputCard(size=recipe.data.size, mean=recipe.data.mean, std=recipe.data.std),
        training={
            "recipe": recipe.name,
            **({"begun_with": Path(begun_with).name} if begun_with else {}),
            "data": dataset.kind,
            "train_splits": list(recipe.data.train_splits),
            "train_images": len(dataset.pairs("train")),
            "val_images": len(dataset.pairs("val")),
            "stages": max(1, len(recipe.training.stages)),
            "epochs": recipe.training.epochs,  # of each stage, as steps
            "steps": recipe.training.steps,
            "seed": recipe.training.seed,
            "briskseg": __version__,
            "torch": torch.__version__,
        },
        scores=score_before(recipe, dataset),
        source=f"trained by briskseg from the recipe '{recipe.name}'",
    )
