"""The network in training, as Lightning runs it: one step, one validation, one optimizer."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from briskseg.core.confusion import ConfusionMatrix
from briskseg.core.labels import LabelSet
from briskseg.data.loader import Batch
from briskseg.models.network import Network
from briskseg.recipe import OptimizerPart, Recipe
from briskseg.training.losses import SegmentationLoss
from briskseg.training.schedules import factor


class SegmentationModule(LightningModule):
    """A network with its loss, its optimizer and its validation scores.

    Args:
        network: what is trained.
        recipe: the whole run.
        labels: the data's classes.
        class_weights: (classes,) float, the loss's.
        steps, steps_per_epoch: optimizer steps of the run and of an epoch.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        labels: LabelSet,
        class_weights: Tensor,
        steps: int,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.labels = labels
        self.steps, self.steps_per_epoch = steps, steps_per_epoch
        loss = recipe.training.loss
        self.loss = SegmentationLoss(class_weights, loss.auxiliary, loss.ohem)
        self.register_buffer("mean", torch.tensor(recipe.data.mean).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(recipe.data.std).view(3, 1, 1) * 255)
        self.confusion = ConfusionMatrix(network.classes)
        self.validation_losses: list[float] = []
        self.validation: dict[str, float] = {}  # the last validation's scores, as in metrics.csv

    def forward(self, images: Tensor) -> Tensor:
        """Images (N,3,H,W) uint8 RGB -> logits (N,classes,H,W)."""
        logits: Tensor = self.network(self._normalize(images))
        return logits

    def _normalize(self, images: Tensor) -> Tensor:
        # on the device, so that only bytes are copied to it
        return (images.float() - self.mean) / self.std

    def training_step(self, batch: Batch, _: int) -> Tensor:
        # Every step's random numbers (dropout) come from (seed, step, device) alone: an
        # interrupted run goes on with the same ones.
        seed = (self.recipe.training.seed, self.global_step, self.global_rank)
        torch.manual_seed(hash(seed) & 0x7FFF_FFFF_FFFF_FFFF)
        outputs = self.network.forward_train(self._normalize(batch.images))
        with torch.autocast(self.device.type, enabled=False):
            loss: Tensor = self.loss(outputs, batch.labels)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.confusion = ConfusionMatrix(self.network.classes)
        self.validation_losses = []

    def validation_step(self, batch: Batch, _: int) -> Tensor:
        """Returns the predicted labels (N,H,W) uint8, at the labels' size."""
        logits = self(batch.images).float()
        if logits.shape[-2:] != batch.labels.shape[-2:]:
            logits = torch.nn.functional.interpolate(
                logits, batch.labels.shape[-2:], mode="bilinear"
            )
        if bool((batch.labels != 255).any()):
            loss = self.loss({"logits": logits}, batch.labels)
            self.validation_losses.append(float(loss))
        predicted: Tensor = logits.argmax(1).to(torch.uint8)
        for truth_hw, predicted_hw in zip(batch.labels, predicted, strict=True):
            self.confusion.update(truth_hw.cpu().numpy(), predicted_hw.cpu().numpy())
        return predicted

    def on_validation_epoch_end(self) -> None:
        """Add up the processes' counts and keep the scores under metrics.csv's names."""
        loss = torch.tensor([sum(self.validation_losses), len(self.validation_losses)])
        counts = torch.from_numpy(self.confusion.counts)
        if self.trainer.world_size > 1:
            counts = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum").cpu()
            loss = self.trainer.strategy.reduce(loss.to(self.device), reduce_op="sum").cpu()
            self.confusion = ConfusionMatrix(self.network.classes)
            self.confusion.add(counts.numpy())
        scores = self.confusion
        self.validation = {
            "val_loss": float(loss[0] / loss[1]) if loss[1] else math.nan,
            "val_miou": scores.miou,
            "val_pixel_accuracy": scores.pixel_accuracy,
        }
        for name, iou in zip(self.labels.names, scores.iou, strict=True):
            self.validation[f"val_iou/{name}"] = float(iou)
        # for Lightning's own callbacks (early stop); all processes hold the same number
        self.log("val_miou", scores.miou if not math.isnan(scores.miou) else 0.0, logger=False)

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


def make_optimizer(part: OptimizerPart, network: Network, fused: bool) -> torch.optim.Optimizer:
    """Adam and SGD decay every parameter, as the published recipes do; AdamW decays convolution
    weights alone, not biases and batch norms. A fused optimizer is faster and rules out clipping.
    """
    parameters = list(network.parameters())
    if part.name == "adam":
        return torch.optim.Adam(
            parameters, part.lr, part.betas, part.eps, part.weight_decay, fused=fused
        )
    if part.name == "sgd":
        return torch.optim.SGD(
            parameters, part.lr, part.momentum, weight_decay=part.weight_decay, fused=fused
        )
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": part.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, part.lr, part.betas, part.eps, fused=fused)
