"""The network in training, as Lightning runs it: one step, one validation, one optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.models.network import Network
from briskseg.recipe import Recipe
from briskseg.training.compiling import compile_network
from briskseg.training.losses import SegmentationLoss
from briskseg.training.optimizers import make_optimizer
from briskseg.training.samples.loader import Batch
from briskseg.training.schedules import factor
from briskseg.training.stages import Stage, stage_index


class SegmentationModule(LightningModule):
    """A network with its loss, its optimizer and its validation scores.

    Args:
        network: what is trained.
        recipe: the whole run.
        labels: the data's classes.
        stages: what is trained when.
        class_weights: (classes,) float, one tensor a stage.
        steps_per_epoch: optimizer steps of an epoch.
    """

    score = ("val_miou", "val mIoU")  # what the best weights have most of: its column and its name

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        labels: LabelSet,
        stages: Sequence[Stage],
        class_weights: Sequence[Tensor],
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.labels = labels
        self.stages = tuple(stages)
        self.steps = sum(stage.steps for stage in stages)
        self.steps_per_epoch = steps_per_epoch
        self.losses = nn.ModuleList(
            SegmentationLoss(recipe.training.loss, weights, stage.output, network.outputs)
            for stage, weights in zip(stages, class_weights, strict=True)
        )
        self.normalize = Normalize(recipe.data.mean, recipe.data.std)
        self._compiled: dict[str, Callable[..., Any]] = {}  # methods of the network, by name
        self.validation: dict[str, float] = {}  # the last validation's scores, as in metrics.csv
        self.columns = ["val_loss", "val_miou", "val_pixel_accuracy"]
        self.columns += [f"val_iou/{name}" for name in labels.names]

    def stage_after(self, step: int) -> Stage:
        """The stage that made the weights after this step."""
        return self.stages[stage_index(self.stages, step - 1)]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A new stage begins as a new run would, with an optimizer that has seen nothing.
        if self.global_step in [stage.first for stage in self.stages[1:]]:
            self.trainer.optimizers[0].state.clear()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        seed_step(self.recipe.training.seed, self.global_step, self.global_rank)
        place = stage_index(self.stages, self.global_step)
        outputs = self._outputs(self.normalize(batch.images), self.stages[place])
        with torch.autocast(self.device.type, enabled=False):
            loss: Tensor = self.losses[place](outputs, batch.labels)
        return loss

    def on_fit_start(self) -> None:
        wanted = self.recipe.training.compile
        if wanted or (wanted is None and self.device.type == "cuda"):
            names = tuple(sorted({self._method(stage) for stage in self.stages}))
            self._compiled = compile_network(self.network, names, self.device)

    def _method(self, stage: Stage) -> str:
        """The network's method that gives no more than the stage's loss reads."""
        if stage.output == "encoder":
            return "forward_encoder"
        return "forward" if self.recipe.training.loss.auxiliary == 0 else "forward_train"

    def _outputs(self, images: Tensor, stage: Stage) -> dict[str, Tensor]:
        name = self._method(stage)
        if name in self._compiled:  # what a captured graph put out last time is no longer read
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        outputs = self._compiled.get(name, getattr(self.network, name))(images)
        return outputs if isinstance(outputs, dict) else {stage.output: outputs}

    def on_validation_epoch_start(self) -> None:
        # summed up on the device and fetched once
        self._pairs = torch.zeros(256 * 256, dtype=torch.int64, device=self.device)
        self._losses = torch.zeros(2, device=self.device)  # sum, how many

    def validation_step(self, batch: Batch, _: int) -> Tensor:
        """Returns the predicted labels (N,H,W) uint8, at the labels' size."""
        place = stage_index(self.stages, self.global_step - 1)
        stage = self.stages[place]
        head = self.network.forward_encoder if stage.output == "encoder" else self.network
        logits = head(self.normalize(batch.images)).float()
        if logits.shape[-2:] != batch.labels.shape[-2:]:
            logits = nn.functional.interpolate(logits, batch.labels.shape[-2:], mode="bilinear")
        loss = self.losses[place]({stage.output: logits}, batch.labels)
        is_labeled = (batch.labels != IGNORED).any()
        self._losses += torch.stack([loss.where(is_labeled, 0), is_labeled])
        predicted = logits.argmax(1)
        pairs = (batch.labels.long() * 256 + predicted).flatten()
        self._pairs.scatter_add_(0, pairs, torch.ones_like(pairs))
        return predicted.to(torch.uint8)

    def on_validation_epoch_end(self) -> None:
        """Add up the processes' counts and keep the scores under metrics.csv's names."""
        pairs, loss = self._pairs, self._losses
        if self.trainer.world_size > 1:
            pairs = self.trainer.strategy.reduce(pairs, reduce_op="sum")
            loss = self.trainer.strategy.reduce(loss, reduce_op="sum")
        loss = loss.cpu()
        scores = ConfusionMatrix(self.network.classes)
        scores.add_pairs(pairs.view(256, 256).cpu().numpy())
        mean_loss = float(loss[0] / loss[1]) if loss[1] else math.nan
        values = [mean_loss, scores.miou, scores.pixel_accuracy, *map(float, scores.iou)]
        self.validation = dict(zip(self.columns, values, strict=True))
        # for Lightning's own callbacks (early stop); all processes hold the same number
        self.log("val_miou", scores.miou if not math.isnan(scores.miou) else 0.0, logger=False)

    def configure_optimizers(self) -> Any:
        training = self.recipe.training
        optimizer = make_optimizer(training.optimizer, self.network, fused=training.clip is None)

        def rate(step: int) -> float:
            stage = self.stages[stage_index(self.stages, step)]
            return factor(training.schedule, step - stage.first, stage.steps, self.steps_per_epoch)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class Normalize(nn.Module):
    """Images uint8 -> float32, (image / 255 - mean) / std by channel, on the device, so that only
    bytes are copied to it. mean, std: RGB in units of [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() - self.mean) / self.std


def seed_step(seed: int, step: int, rank: int) -> None:
    """Let a step's random numbers (dropout) come from (seed, step, device) alone: an interrupted
    run goes on with the same ones."""
    torch.manual_seed(hash((seed, step, rank)) & 0x7FFF_FFFF_FFFF_FFFF)
