"""From a pretraining recipe to a run folder: an encoder that has learned to classify images.

The run folder holds recipe.yaml, metrics.csv (with val_top1 and val_top5), checkpoints/last.ckpt
and encoder.safetensors, the best by top-1, for a later run's `model.encoder`; in the end also
encoder.json, its scores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
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
from briskseg.training.callbacks import ProgressCallback, weights_of
from briskseg.training.checkpoint_files import ResumePoint
from briskseg.training.checkpoints import Checkpoints
from briskseg.training.divergence import RecipeRate
from briskseg.training.encoder_file import FACTS, FILE, read_facts, save_encoder
from briskseg.training.log import Log, epochs_done
from briskseg.training.machine import Machine, choose_machine
from briskseg.training.module import Normalize, seed_step
from briskseg.training.optimizers import make_optimizer
from briskseg.training.preflight import refuse_dataless
from briskseg.training.run_folder import RunSession, opened_run, seek_batches
from briskseg.training.samples.loader import Batch, EpochBatches, training_loader, validation_loader
from briskseg.training.schedules import factor
from briskseg.training.trainer import make_trainer, train


def pretrain(recipe: PretrainingRecipe, run: Path, session: RunSession | None = None) -> Path:
    """Train as the recipe says and leave everything in the folder `run`.

    Arguments and errors are those of `fit`; the data are images in a folder a class.
    """
    root = refuse_dataless(recipe)
    session = session or RunSession()
    with session.stop:
        folders = open_class_folders(root)
        machine = choose_machine(recipe.training.precision, session.devices)
        with opened_run(run, recipe, session, machine.is_first) as kept:
            _pretrain(recipe, run, session, folders, machine, kept)
    return run


def _pretrain(
    recipe: PretrainingRecipe,
    run: Path,
    session: RunSession,
    folders: ClassFolders,
    machine: Machine,
    kept: ResumePoint | None,
) -> None:
    training, data = recipe.training, recipe.data
    torch.manual_seed(training.seed)
    place = (machine.rank, machine.world)
    batches = EpochBatches(len(folders.train), training.batch, training.seed, *place)
    seek_batches(batches, kept)
    classifier = create_classifier(recipe.model.name, len(folders.classes), **recipe.model.options)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = ClassificationModule(classifier, recipe, len(batches))
    log = Log(run / "metrics.csv", module.columns, training.log_every)
    callbacks = [
        BestEncoder(run, {"recipe": recipe.name, "images": len(folders.train)}),
        RecipeRate(training),
        log,
        Checkpoints(run, batches, log, session.stop, 60 * training.save_every),
        ProgressCallback(session.listener),
    ]
    since = session.since(kept)
    trainer = make_trainer(training, run, machine, callbacks, module.steps, since)
    workers = machine.workers(training.workers)
    samples = CroppedSamples(folders.train, recipe.augment, data.size, training.seed)
    middles = MiddleSamples(folders.val, data.shorter_side, data.size, *place)
    loaders = (
        training_loader(samples, batches, workers),
        validation_loader(middles, workers, training.batch),
    )
    train(trainer, module, loaders, log, kept)
    if trainer.is_global_zero:
        write_whole(run / FACTS, json.dumps(read_facts(run / FILE), indent=1) + "\n")


class ClassificationModule(LightningModule):
    """A classifier with its loss, its optimizer and its validation scores.

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
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        training = recipe.training
        self.steps = training.steps or (training.epochs or 1) * steps_per_epoch
        self.normalize = Normalize(recipe.data.mean, recipe.data.std)
        self.validation: dict[str, float] = {}  # the last validation's scores, as in metrics.csv
        self._sums = torch.zeros(4)  # of a validation: loss, right, right among five, images

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        last = self.recipe.training.weight_decay_epochs
        if last is not None and self.current_epoch >= last:
            for group in self.trainer.optimizers[0].param_groups:
                group["weight_decay"] = 0.0

    def training_step(self, batch: Batch, _: int) -> Tensor:
        seed_step(self.recipe.training.seed, self.global_step, self.global_rank)
        logits = self.network(self.normalize(batch.images))
        return functional.cross_entropy(logits.float(), batch.labels)

    def on_validation_epoch_start(self) -> None:
        self._sums = torch.zeros(4, device=self.device)

    def validation_step(self, batch: Batch, _: int) -> None:
        logits = self.network(self.normalize(batch.images)).float()
        loss = functional.cross_entropy(logits, batch.labels, reduction="sum")
        first = logits.topk(min(5, logits.shape[1])).indices == batch.labels[:, None]
        right, among_five = first[:, 0].sum(), first.sum()
        self._sums += torch.stack([loss, right, among_five, torch.ones_like(right) * len(logits)])

    def on_validation_epoch_end(self) -> None:
        """Add up the processes' sums and keep the scores under metrics.csv's names."""
        sums = self._sums
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
        self.validation = dict(zip(self.columns, (sums[:3] / sums[3]).tolist(), strict=True))

    def configure_optimizers(self) -> Any:
        training = self.recipe.training
        optimizer = make_optimizer(training.optimizer, self.network, fused=training.clip is None)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: factor(training.schedule, step, self.steps, self.steps_per_epoch),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class BestEncoder(Callback):
    """encoder.safetensors: the encoder with the best top-1 so far, and its classifier."""

    def __init__(self, run: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = run / FILE, facts
        self.best = -1.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        top1 = pl_module.validation["val_top1"]
        if trainer.is_global_zero and top1 > self.best:
            self.best = top1
            facts = {
                **self.facts,
                **pl_module.validation,
                "epoch": epochs_done(trainer),
                "briskseg": __version__,
                "torch": torch.__version__,
            }
            save_encoder(self.path, weights_of(pl_module.network), facts)
