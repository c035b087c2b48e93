"""A network's encoder in pretraining: it learns to classify images, each by the folder it lies in.

It leaves in the run folder encoder.safetensors, the best by top-1 with its classifier, for a later
run's `model.encoder`; in the end also encoder.json, its scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from briskseg import __version__
from briskseg.core.files.atomic import write_whole
from briskseg.models.encoders.classifier import create_classifier
from briskseg.recipe import PretrainingRecipe
from briskseg.runs.run_folder import RunFolder, save_encoder
from briskseg.training.machine import Machine
from briskseg.training.processes import Processes
from briskseg.training.samples.class_folders import ClassFolders, CroppedSamples, MiddleSamples
from briskseg.training.samples.loader import Batch, training_loader, validation_loader
from briskseg.training.samples.sampler import EpochBatches
from briskseg.training.session import RunSession
from briskseg.training.task import Normalize, Task


class ClassificationTask(Task):
    """A classifier with its images, its loss and its validation scores."""

    score = ("val_top1", "val top-1")
    columns = ("val_loss", "val_top1", "val_top5")
    outputs = ("encoder",)

    def __init__(
        self, recipe: PretrainingRecipe, folders: ClassFolders, folder: RunFolder, machine: Machine
    ) -> None:
        super().__init__()
        self.folder, data, training = folder, recipe.data, recipe.training
        self.card = {"recipe": recipe.name, "images": len(folders.train)}
        self.best = {"best": -1.0}
        self.decays_until = training.weight_decay_epochs
        share = machine.processes.rank, machine.processes.world
        self.batches = EpochBatches(len(folders.train), training.batch, training.seed, *share)
        self.set_length(training)
        self.class_names, classes = folders.classes, len(folders.classes)
        self.network = create_classifier(recipe.model.name, classes, **recipe.model.options)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalize = Normalize(data.mean, data.std)
        workers = machine.workers(training.workers)
        samples = CroppedSamples(folders.train, recipe.augment, data.size, training.seed)
        middles = MiddleSamples(folders.val, data.shorter_side, data.size, *share)
        self.loaders = (
            training_loader(samples, self.batches, workers),
            validation_loader(middles, workers, training.batch),
        )

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

    def keep(
        self, weights: Mapping[str, Any], scores: Mapping[str, float], step: int, epoch: int
    ) -> None:
        if scores["val_top1"] > self.best["best"] or not self.folder.encoder.exists():
            self.best["best"] = max(scores["val_top1"], self.best["best"])
            versions = {"briskseg": __version__, "torch": torch.__version__}
            card = {**self.card, **scores, "epoch": epoch, **versions}
            save_encoder(self.folder.encoder, weights, card)

    def finish(self, device: str, session: RunSession) -> None:
        scores = json.dumps(self.folder.read_encoder_card(), indent=1)
        write_whole(self.folder.encoder_scores, scores + "\n")
