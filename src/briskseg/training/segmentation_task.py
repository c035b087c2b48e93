"""A segmentation network in training: its data and its beginning, its losses by stage, its scores
on val, and what validations leave in the run folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from briskseg.core.card import save_weights
from briskseg.core.files.atomic import write_whole, written_whole
from briskseg.core.images import write_png
from briskseg.core.labels import IGNORED
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.data import Dataset, Pair
from briskseg.data.frequencies import PixelCounts, class_weights, count_pixels
from briskseg.models.network import Network
from briskseg.recipe import LengthPart, Recipe, StagePart
from briskseg.runs.run_folder import RunFolder, save_encoder
from briskseg.training.compiling import compile_network
from briskseg.training.few_labels.teacher import Teacher
from briskseg.training.fine_tuning import begin_network, frozen_batch_norms
from briskseg.training.logit_adjustment import adjust_run, seconds_to_adjust
from briskseg.training.losses import SegmentationLoss
from briskseg.training.machine import Machine
from briskseg.training.processes import Processes
from briskseg.training.run_card import make_card, score_before
from briskseg.training.samples.augment import Augmenter
from briskseg.training.samples.gpu_cache import (
    GpuCachedTraining,
    gpu_cached_validation,
    use_gpu_cache,
)
from briskseg.training.samples.loader import (
    Batch,
    ImageStore,
    MemoryBudget,
    TrainingSamples,
    ValidationSamples,
    find_unlabeled,
    training_loader,
    validation_loader,
)
from briskseg.training.samples.sampler import ClassBalance, EpochBatches
from briskseg.training.score_run import EXAMPLES, score_run
from briskseg.training.session import RunSession
from briskseg.training.task import Normalize, Task

FILM_IMAGES = 4
_VALUES = 256  # that a label can have


class SegmentationTask(Task):
    """Leaves in the run folder class_counts.json; model.safetensors, the weights with the best val
    mIoU so far, or the last ones, unscored, where val is trained on; snapshots when asked; and the
    film, predictions of a few images.

    A stage that trains the encoder alone leaves the best encoder in encoder.safetensors instead:
    its decoder has learned nothing yet, and a whole network would pass for one that can predict.

    Args:
        dataset: the recipe's data.
        is_new: the run begins; else a checkpoint follows, and no weights are read.
    """

    score = ("val_miou", "val mIoU")
    network: Network

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        folder: RunFolder,
        machine: Machine,
        session: RunSession,
        is_new: bool,
    ) -> None:
        super().__init__()
        self.recipe, self.dataset, self.folder = recipe, dataset, folder
        training, loss = recipe.training, recipe.training.loss
        self.columns = ["val_loss", "val_miou", "val_pixel_accuracy"]
        self.columns += [f"val_iou/{name}" for name in dataset.labels.names]
        self.class_names = dataset.labels.names
        self.ema, self.stop_after = training.ema, training.stop_after
        self.auxiliary, self.compiled = loss.auxiliary, training.compile
        plan = training.stages or (StagePart(output="logits", class_weights=loss.class_weights),)
        counts = self._read(machine, session)
        self.outputs = [part.output for part in plan]
        self.set_length(training)
        weights = [torch.from_numpy(class_weights(part.class_weights, counts)) for part in plan]
        self.network = begin_network(recipe, dataset, session, is_new)
        self.losses = nn.ModuleList(
            SegmentationLoss(
                loss,
                weights_of_part,
                part.output,
                self.network.outputs,
                self.network.align_corners,
                bool(recipe.data.unlabeled_images),
            )
            for part, weights_of_part in zip(plan, weights, strict=True)
        )
        self.teacher: Teacher | None = None
        if training.teacher is not None:
            self.teacher = Teacher(recipe, self.network, dataset, machine.device)
            self.learns_from = self.teacher.sha256
            session.say(self.teacher.said)
        self.normalize = Normalize(recipe.data.mean, recipe.data.std)
        self._compiled: dict[str, Callable[..., Any]] = {}  # methods of the network, by name
        by_output = {"encoder": -1.0, "logits": -1.0}
        self.best = {"best": by_output, "scores": score_before(recipe, dataset)}
        # The first process shows, and so some of those that it validates.
        names = [pair.name for pair in dataset.pairs("val")][:: machine.processes.world]
        shown = names[:: max(1, math.ceil(len(names) / FILM_IMAGES))] if machine.is_first else []
        self._film = {name: k for k, name in enumerate(shown)}

    def _read(self, machine: Machine, session: RunSession) -> PixelCounts:
        """Decode what fits in memory, count the classes, and set up the loaders."""
        data, training = self.recipe.data, self.recipe.training
        budget = MemoryBudget(data.cache_gb)
        unlabeled: list[Pair] = []
        if data.unlabeled_images:
            unlabeled, said = find_unlabeled(Path(data.unlabeled_images), self.dataset)
            if said:
                session.say(said)
        progress = session.counted("read")
        train_store = ImageStore(self.dataset, "train", budget, unlabeled)
        val_store = ImageStore(self.dataset, "val", budget)
        counts = count_pixels(self.dataset, "train", known=train_store.fill(progress))
        val_store.fill(progress)
        if machine.is_first:
            write_whole(self.folder.class_counts, json.dumps(counts.to_json()) + "\n")
        share = machine.processes.rank, machine.processes.world
        drawn = training.class_balanced
        balance = ClassBalance(counts, drawn) if drawn else None
        how = training.batch, training.seed, *share, balance
        self.batches = EpochBatches(len(train_store), *how)
        red, green, blue = (round(255 * mean) for mean in data.mean)
        augmenter = Augmenter(self.recipe.augment, (red, green, blue))
        self.samples = TrainingSamples(train_store, augmenter, data.size, training.seed)
        val_samples = ValidationSamples(val_store, data.size, *share)
        self.workers = machine.workers(training.workers)
        train: Iterable[Batch]
        val: Iterable[Batch]
        if use_gpu_cache(data.gpu_cache, self.samples, val_samples, machine.device):
            train = GpuCachedTraining(self.samples, self.batches, machine.device)
            val = gpu_cached_validation(val_samples, machine.device)
        else:
            train = training_loader(self.samples, self.batches, self.workers)
            val = validation_loader(val_samples, self.workers)
        self.loaders = train, val
        return counts

    def set_length(self, training: LengthPart) -> None:
        super().set_length(training)
        self.recipe = self.recipe.model_copy(update={"training": training})
        self.samples.epochs = -(-self.steps // len(self.batches))  # by which samples grow
        train, val = self.loaders
        if not isinstance(train, GpuCachedTraining):  # loading processes have a copy of the samples
            self.loaders = training_loader(self.samples, self.batches, self.workers), val

    @property
    def trains_all(self) -> bool:
        return len(self.stages) == 1 and self._method("logits") == "forward_train"

    def train(self, mode: bool = True) -> Self:
        """As every module's, but for the batch norms that keep their statistics."""
        super().train(mode)
        for module in frozen_batch_norms(self.recipe.training.frozen_batch_norm, self.network):
            module.eval()
        return self

    def work(self, share: float) -> float:
        growth = self.recipe.augment.progressive_resize
        return growth.work(share) / growth.factor(0, 1) ** 2 if growth else share

    def compile_for(self, images: Tensor, machine: Machine) -> bool:
        names = sorted({self._method(stage.output) for stage in self.stages})
        how = tuple(images.shape), machine.device, machine.autocast()
        self._compiled = compile_network(self.network, names, *how)
        self.is_compiled = bool(self._compiled)
        return self.is_compiled

    def forward(self, images: Tensor, labels: Tensor, stage: int) -> Tensor:
        output = self.stages[stage].output
        name = self._method(output)
        if name in self._compiled:  # what a captured graph put out last time is no longer read
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        outputs = self._compiled.get(name, getattr(self.network, name))(self.normalize(images))
        if not isinstance(outputs, dict):
            outputs = {output: outputs}
        with torch.autocast(images.device.type, enabled=False):
            loss: Tensor = self.losses[stage](outputs, labels)
        if self.teacher is not None and output == "logits":
            weights: Any = self.losses[stage].class_weights
            loss = loss + self.teacher.loss(outputs["logits"], images, weights)
        return loss

    def _method(self, output: str) -> str:
        """The network's method that gives no more than the loss of this output reads."""
        if output == "encoder":
            return "forward_encoder"
        has_own = any(o.loss not in ("main", "auxiliary") for o in self.network.outputs)
        return "forward_train" if self.auxiliary > 0 or has_own else "forward"

    def begin_validation(self, device: torch.device) -> None:
        # summed up on the device and fetched once
        self._pairs = torch.zeros(_VALUES * _VALUES, dtype=torch.int64, device=device)
        self._sums = torch.zeros(2, device=device)  # of the losses, and how many

    def validate(self, batch: Batch, stage: int) -> Tensor:
        output = self.stages[stage].output
        head: Any = self.network.forward_encoder if output == "encoder" else self.network
        logits = head(self.normalize(batch.images)).float()
        if logits.shape[-2:] != batch.labels.shape[-2:]:
            logits = nn.functional.interpolate(logits, batch.labels.shape[-2:], mode="bilinear")
        loss = self.losses[stage]({output: logits}, batch.labels)
        is_labeled = (batch.labels != IGNORED).any()
        self._sums += torch.stack([loss.where(is_labeled, 0), is_labeled])
        predicted: Tensor = logits.argmax(1)
        pairs = (batch.labels.long() * _VALUES + predicted).flatten()
        self._pairs.scatter_add_(0, pairs, torch.ones_like(pairs))
        return predicted.to(torch.uint8)

    def end_validation(self, processes: Processes) -> dict[str, float]:
        pairs = processes.reduced(self._pairs).view(_VALUES, _VALUES).cpu().numpy()
        loss, images = processes.reduced(self._sums).tolist()
        scores = ConfusionMatrix(self.network.classes)
        scores.add_pairs(pairs)
        mean_loss = loss / images if images else math.nan
        values = [mean_loss, scores.miou, scores.pixel_accuracy, *map(float, scores.iou)]
        return dict(zip(self.columns, values, strict=True))

    def show(self, batch: Batch, predicted: Tensor, epoch: int) -> None:
        k = self._film.get(batch.names[0])
        if k is None:
            return
        self.folder.film.mkdir(exist_ok=True)
        palette = self.dataset.labels.palette
        pictures: dict[Path, tuple[Tensor, Any]] = {}
        pictures[self.folder.film_prediction(epoch, k)] = predicted[0], palette
        if not self.folder.film_image(k).exists():
            pictures[self.folder.film_truth(k)] = batch.labels[0], palette
            pictures[self.folder.film_image(k)] = batch.images[0].permute(1, 2, 0), None
        for path, (picture, colors) in pictures.items():
            with written_whole(path) as part:
                write_png(part, picture.cpu().numpy(), palette=colors)

    def keep(
        self, weights: Mapping[str, Any], scores: Mapping[str, float], step: int, epoch: int
    ) -> None:
        score, output = scores["val_miou"], self.stages[self.stage(step - 1)].output
        keeps_last = "val" in self.recipe.data.train_splits
        scored = {"val_miou": None if score != score else score}
        card = make_card(self.recipe, self.dataset, self.network.options).model_copy(
            update={"scores": self.best["scores"] if keeps_last else scored}
        )
        card.training.update(epoch=epoch, step=step)

        def save(path: Path) -> None:
            if output == "encoder":
                encoder = {k: v for k, v in weights.items() if k.startswith("encoder.")}
                save_encoder(path, encoder, {**card.training, **card.scores})
            else:
                save_weights(path, weights, card)

        best = self.folder.encoder if output == "encoder" else self.folder.weights
        by_output = self.best["best"]
        if keeps_last or score > by_output[output] or not best.exists():
            by_output[output] = score if score > by_output[output] else by_output[output]
            save(best)
        if self.recipe.training.snapshots:
            save(self.folder.snapshot(epoch))

    def finish(self, device: str, session: RunSession) -> None:
        if self.recipe.training.logit_adjustment:
            phases = session.counted("predict"), session.counted("adjust")
            if outcome := adjust_run(self.folder, self.dataset, device, *phases):
                session.say(outcome)
        if "val" not in self.recipe.data.train_splits:
            score_run(self.folder, self.dataset, device, session.counted("score"))

    def seconds_to_finish(self, image_s: float) -> float:
        seconds = 0.0
        if self.recipe.training.logit_adjustment:
            images = len(self.dataset.pairs("train"))
            seconds += seconds_to_adjust(image_s, images, self.network.classes)
        if "val" not in self.recipe.data.train_splits:
            seconds += (len(self.dataset.pairs("val")) + 2 * EXAMPLES) * image_s
        return seconds
