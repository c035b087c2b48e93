"""From a recipe to a run folder.

recipe -> data set, decoded and counted -> network -> stages of weighted steps -> run folder
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from briskseg.core.files.atomic import write_whole
from briskseg.core.types import Progress
from briskseg.data import Dataset, open_dataset
from briskseg.data.frequencies import PixelCounts, class_weights, count_pixels
from briskseg.models import create_model
from briskseg.models.encoders.encoder_file import load_encoder
from briskseg.models.network import Network
from briskseg.recipe import Recipe
from briskseg.runs.run_folder import RunFolder
from briskseg.training import compiling
from briskseg.training.checkpoint_files import ResumePoint
from briskseg.training.ending import Patience
from briskseg.training.fine_tuning import begin_with, find_encoder
from briskseg.training.length import decide_length
from briskseg.training.logit_adjustment import adjust_run, seconds_to_adjust
from briskseg.training.loop import Loop
from briskseg.training.machine import Machine, choose_machine
from briskseg.training.outputs import SegmentationOutputs, make_card
from briskseg.training.preflight import refuse_dataless
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
from briskseg.training.score_run import EXAMPLES, score_run
from briskseg.training.segmentation import SegmentationTask
from briskseg.training.session import (
    RunSession,
    opened_run,
    refuse_other_batches,
    with_recorded_length,
)
from briskseg.training.stages import plan_stages

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
        TrainingError: the loss became NaN, the run folder cannot be written, or another process of
            the run ended; the last good checkpoint is kept.
    """
    root, folder = refuse_dataless(recipe), RunFolder(run)
    session = session or RunSession()
    session = replace(session, began=session.began or time.monotonic())
    with session.stop:
        dataset = open_dataset(root, recipe.data.classes, recipe.data.split_seed)
        dataset = dataset.training_on(recipe.data.train_splits)
        if not folder.is_begun():
            _refuse_misfits(recipe, dataset)
        machine = choose_machine(recipe.training.precision, session.devices, session.placed())
        with opened_run(folder, recipe, session, machine, fit) as resume:
            _train(recipe, folder, session, dataset, machine, resume)
            machine.processes.leave()
            if machine.is_first:
                _finish(recipe, folder, session, dataset, str(machine.device))
    return run


def _refuse_misfits(recipe: Recipe, dataset: Dataset) -> None:
    """Raise what beginning will raise while there is no run folder yet: one that holds a recipe
    which cannot be trained could only be deleted."""
    with torch.random.fork_rng(devices=[]):
        network = make_network(recipe, len(dataset.labels.names), from_scratch=True)
        if recipe.model.weights is not None:
            begin_with(network, recipe.model.weights, recipe, dataset)


def _train(
    recipe: Recipe,
    folder: RunFolder,
    session: RunSession,
    dataset: Dataset,
    machine: Machine,
    resume: ResumePoint | None,
) -> None:
    deadline = None
    if machine.processes.from_first(folder.length.is_file()):
        recipe = with_recorded_length(recipe, folder, session.minutes)
    torch.manual_seed(recipe.training.seed)
    data = read_data(recipe, dataset, folder.path, machine, session.counted("read"))
    refuse_other_batches(data.batches, resume)
    network = _begin(recipe, dataset, session, is_new=resume is None)
    task = make_task(recipe, dataset, data, network)
    growth = recipe.augment.progressive_resize
    if session.minutes is not None and not folder.length.is_file():
        end = partial(_seconds_to_finish, recipe, dataset)
        work = growth.work(1.0) / growth.factor(0, 1) ** 2 if growth else 1.0
        recipe, deadline = decide_length(
            recipe, task, data.loaders, machine, folder, session, end, work
        )
        data = data.with_length(recipe, machine)
        task = make_task(recipe, dataset, data, network)
    training = recipe.training
    loop = Loop(
        task,
        training,
        data.batches,
        data.loaders,
        machine,
        folder,
        session,
        make_outputs(recipe, folder, dataset, network),
        training.ema,
        Patience(training.stop_after),
        growth.work if growth else float,
        deadline,
    )
    if resume is not None and resume.step >= resume.steps:
        session.say(f"{folder.path} has all its {resume.steps} steps: none is left to train")
    loop.run(resume, compiling.pays(training.compile, machine.device, task.steps))


def _begin(recipe: Recipe, dataset: Dataset, session: RunSession, is_new: bool) -> Network:
    """The network as the run begins, and what the user should know of it."""
    if is_new and (padded := _padding(recipe, dataset)):
        session.say(padded)
    network = make_network(recipe, len(dataset.labels.names), from_scratch=is_new)
    if recipe.model.weights is not None and is_new:
        session.say(begin_with(network, recipe.model.weights, recipe, dataset))
    elif "val" in recipe.data.train_splits and is_new:
        session.say("begins with random weights, not with any that were scored on val before")
    return network


def _finish(
    recipe: Recipe, folder: RunFolder, session: RunSession, dataset: Dataset, device: str
) -> None:
    """What follows the last step: logit adjustment where it is asked for, and the scores."""
    if recipe.training.logit_adjustment:
        phases = session.counted("predict"), session.counted("adjust")
        if outcome := adjust_run(folder, dataset, device, *phases):
            session.say(outcome)
    if "val" not in recipe.data.train_splits:
        score_run(folder, dataset, device, session.counted("score"))


def _seconds_to_finish(recipe: Recipe, dataset: Dataset, image_s: float) -> float:
    """An estimate for `_finish`, from the seconds that the network takes for an image."""
    seconds = 0.0
    if recipe.training.logit_adjustment:
        images, classes = len(dataset.pairs("train")), len(dataset.labels.names)
        seconds += seconds_to_adjust(image_s, images, classes)
    if "val" not in recipe.data.train_splits:
        seconds += (len(dataset.pairs("val")) + 2 * EXAMPLES) * image_s
    return seconds


def _padding(recipe: Recipe, dataset: Dataset) -> str:
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
    samples: TrainingSamples

    def with_length(self, recipe: Recipe, machine: Machine) -> Data:
        """The same data for a run of another length, by which samples grow."""
        training = recipe.training
        self.samples.epochs = training.epochs_of_all(len(self.batches))
        train, val = self.loaders
        if not isinstance(train, GpuCachedTraining):  # loading processes have a copy of the samples
            workers = machine.workers(training.workers)
            train = training_loader(self.samples, self.batches, workers)
        return replace(self, loaders=(train, val))


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
        write_whole(RunFolder(run).class_counts, json.dumps(counts.to_json()) + "\n")
    share = machine.processes.rank, machine.processes.world
    batches = EpochBatches(len(train_store), training.batch, training.seed, *share)
    red, green, blue = (round(255 * mean) for mean in recipe.data.mean)
    augmenter = Augmenter(recipe.augment, (red, green, blue))
    epochs = training.epochs_of_all(len(batches))
    samples = TrainingSamples(train_store, augmenter, size_hw, training.seed, epochs)
    val_samples = ValidationSamples(val_store, size_hw, *share)
    train: Iterable[Batch]
    val: Iterable[Batch]
    if use_gpu_cache(recipe.data.gpu_cache, samples, val_samples, machine.device):
        train = GpuCachedTraining(samples, batches, machine.device)
        val = GpuCachedValidation(val_samples, machine.device)
    else:
        workers = machine.workers(training.workers)
        train = training_loader(samples, batches, workers)
        val = validation_loader(val_samples, workers)
    return Data(counts, batches, (train, val), samples)


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


def make_task(recipe: Recipe, dataset: Dataset, data: Data, network: Network) -> SegmentationTask:
    """The network with its stages and their class weights."""
    stages = plan_stages(recipe.training, len(data.batches))
    weights = [torch.from_numpy(class_weights(s.class_weights, data.counts)) for s in stages]
    return SegmentationTask(network, recipe, dataset.labels, stages, weights, len(data.batches))


def make_outputs(
    recipe: Recipe, folder: RunFolder, dataset: Dataset, network: Network
) -> SegmentationOutputs:
    """What validations leave in the run folder."""
    names = [pair.name for pair in dataset.pairs("val")]
    shown = names[:: max(1, math.ceil(len(names) / FILM_IMAGES))]
    card = make_card(recipe, dataset, network.options)
    keeps_last = "val" in recipe.data.train_splits
    snapshots = recipe.training.snapshots
    return SegmentationOutputs(folder, card, dataset.labels, shown, snapshots, keeps_last)
