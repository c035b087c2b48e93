"""From a pretraining recipe to a run folder: an encoder that has learned to classify images.

The run folder holds recipe.yaml, metrics.csv (with val_top1 and val_top5), checkpoints/last.ckpt
and encoder.safetensors, the best by top-1, for a later run's `model.encoder`; in the end also
encoder.json, its scores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from briskseg import __version__
from briskseg.core.files.atomic import write_whole
from briskseg.data.classification import (
    ClassFolders,
    CroppedSamples,
    MiddleSamples,
    open_class_folders,
)
from briskseg.models.encoders.classifier import EncoderClassifier, create_classifier
from briskseg.recipe import PretrainingRecipe
from briskseg.runs.run_folder import RunFolder, save_encoder
from briskseg.training.checkpoint_files import ResumePoint
from briskseg.training.length import decide_length
from briskseg.training.loop import Loop
from briskseg.training.machine import Machine, choose_machine
from briskseg.training.preflight import refuse_dataless
from briskseg.training.processes import Processes
from briskseg.training.samples.loader import Batch, EpochBatches, training_loader, validation_loader
from briskseg.training.session import (
    RunSession,
    opened_run,
    refuse_other_batches,
    with_recorded_length,
)
from briskseg.training.stages import Stage
from briskseg.training.task import Normalize, Task


def pretrain(recipe: PretrainingRecipe, run: Path, session: RunSession | None = None) -> Path:
    """Train as the recipe says and leave everything in the folder `run`.

    Arguments and errors are those of `fit`; the data are images in a folder a class.
    """
    root, folder = refuse_dataless(recipe), RunFolder(run)
    session = session or RunSession()
    session = replace(session, began=session.began or time.monotonic())
    with session.stop:
        folders = open_class_folders(root)
        machine = choose_machine(recipe.training.precision, session.devices, session.placed())
        with opened_run(folder, recipe, session, machine, pretrain) as resume:
            _train(recipe, folder, session, folders, machine, resume)
            machine.processes.leave()
            if machine.is_first:
                scores = json.dumps(folder.read_encoder_card(), indent=1)
                write_whole(folder.encoder_scores, scores + "\n")
    return run


def _train(
    recipe: PretrainingRecipe,
    folder: RunFolder,
    session: RunSession,
    folders: ClassFolders,
    machine: Machine,
    resume: ResumePoint | None,
) -> None:
    is_decided = machine.processes.from_first(folder.length.is_file())
    if is_decided:
        recipe = with_recorded_length(recipe, folder, session.minutes)
    training, data, deadline = recipe.training, recipe.data, None
    torch.manual_seed(training.seed)
    share = machine.processes.rank, machine.processes.world
    batches = EpochBatches(len(folders.train), training.batch, training.seed, *share)
    refuse_other_batches(batches, resume)
    classifier = create_classifier(recipe.model.name, len(folders.classes), **recipe.model.options)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    workers = machine.workers(training.workers)
    samples = CroppedSamples(folders.train, recipe.augment, data.size, training.seed)
    middles = MiddleSamples(folders.val, data.shorter_side, data.size, *share)
    loaders = (
        training_loader(samples, batches, workers),
        validation_loader(middles, workers, training.batch),
    )
    task = ClassificationTask(classifier, recipe, len(batches))
    if session.minutes is not None and not is_decided:
        recipe, deadline = decide_length(recipe, task, loaders, machine, folder, session)
        task = ClassificationTask(classifier, recipe, len(batches))
    outputs = EncoderOutputs(folder, {"recipe": recipe.name, "images": len(folders.train)})
    training = recipe.training
    loop = Loop(
        task, training, batches, loaders, machine, folder, session, outputs, deadline=deadline
    )
    loop.run(resume)


class ClassificationTask(Task):
    """A classifier with its loss and its validation scores.

    Args:
        network: what is trained.
        recipe: the whole run.
        steps_per_epoch: optimizer steps of an epoch.
    """

    score = ("val_top1", "val top-1")
    columns = ("val_loss", "val_top1", "val_top5")

    def __init__(
        self, network: EncoderClassifier, recipe: PretrainingRecipe, steps_per_epoch: int
    ) -> None:
        training = recipe.training
        steps = training.steps or (training.epochs or 1) * steps_per_epoch
        super().__init__(network, training, [Stage("encoder", "none", 0, steps)], steps_per_epoch)
        self.decays_until = training.weight_decay_epochs
        self.normalize = Normalize(recipe.data.mean, recipe.data.std)

    def prepare(self, optimizer: torch.optim.Optimizer, step: int, epoch: int) -> float:
        if self.decays_until is not None and epoch >= self.decays_until:
            for group in optimizer.param_groups:
                group["weight_decay"] = 0.0
        return super().prepare(optimizer, step, epoch)

    def forward(self, images: Tensor, labels: Tensor, stage: int) -> Tensor:
        logits = self.network(self.normalize(images))
        return functional.cross_entropy(logits.float(), labels)

    def begin_validation(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, device=device)  # loss, right, right among five, images

    def validate(self, batch: Batch, stage: int) -> None:
        logits = self.network(self.normalize(batch.images)).float()
        loss = functional.cross_entropy(logits, batch.labels, reduction="sum")
        first = logits.topk(min(5, logits.shape[1])).indices == batch.labels[:, None]
        right, among_five = first[:, 0].sum(), first.sum()
        self._sums += torch.stack([loss, right, among_five, torch.ones_like(right) * len(logits)])

    def end_validation(self, processes: Processes) -> dict[str, float]:
        sums = processes.reduced(self._sums)
        return dict(zip(self.columns, (sums[:3] / sums[3]).tolist(), strict=True))


class EncoderOutputs:
    """encoder.safetensors: the encoder with the best top-1 so far, and its classifier."""

    def __init__(self, folder: RunFolder, card: Mapping[str, Any]) -> None:
        self.folder, self.card = folder, card
        self.best = -1.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]

    def show(self, batch: Batch, predicted: Tensor | None, epoch: int) -> None:
        """A classification has no pictures."""

    def keep(
        self,
        weights: Mapping[str, Any],
        scores: Mapping[str, float],
        step: int,
        epoch: int,
        stage: Stage,
    ) -> None:
        if scores["val_top1"] > self.best:
            self.best = scores["val_top1"]
            versions = {"briskseg": __version__, "torch": torch.__version__}
            card = {**self.card, **scores, "epoch": epoch, **versions}
            save_encoder(self.folder.encoder, weights, card)
