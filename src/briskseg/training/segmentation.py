"""A segmentation network in training: its losses by stage, and its scores on val."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.models.network import Network
from briskseg.recipe import Recipe
from briskseg.training.compiling import compile_network
from briskseg.training.losses import SegmentationLoss
from briskseg.training.machine import Machine
from briskseg.training.processes import Processes
from briskseg.training.samples.loader import Batch
from briskseg.training.stages import Stage
from briskseg.training.task import Normalize, Task

_VALUES = 256  # that a label can have


class SegmentationTask(Task):
    """Args: as `Task`, and

    labels: the data's classes.
    class_weights: (classes,) float, one tensor a stage.
    """

    score = ("val_miou", "val mIoU")

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        labels: LabelSet,
        stages: Sequence[Stage],
        class_weights: Sequence[Tensor],
        steps_per_epoch: int,
    ) -> None:
        super().__init__(network, recipe.training, stages, steps_per_epoch)
        self.columns = ["val_loss", "val_miou", "val_pixel_accuracy"]
        self.columns += [f"val_iou/{name}" for name in labels.names]
        self.classes = network.classes
        self.auxiliary = recipe.training.loss.auxiliary
        self.losses = nn.ModuleList(
            SegmentationLoss(recipe.training.loss, weights, stage.output, network.outputs)
            for stage, weights in zip(stages, class_weights, strict=True)
        )
        self.normalize = Normalize(recipe.data.mean, recipe.data.std)
        self._compiled: dict[str, Callable[..., Any]] = {}  # methods of the network, by name

    @property
    def trains_all(self) -> bool:
        return len(self.stages) == 1 and self.auxiliary > 0

    def compile_for(self, images: Tensor, machine: Machine) -> bool:
        names = sorted({self._method(stage.output) for stage in self.stages})
        how = tuple(images.shape), machine.device, machine.autocast()
        self._compiled = compile_network(self.network, names, *how)
        return bool(self._compiled)

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
        return loss

    def _method(self, output: str) -> str:
        """The network's method that gives no more than the loss of this output reads."""
        if output == "encoder":
            return "forward_encoder"
        return "forward" if self.auxiliary == 0 else "forward_train"

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
        scores = ConfusionMatrix(self.classes)
        scores.add_pairs(pairs)
        mean_loss = loss / images if images else math.nan
        values = [mean_loss, scores.miou, scores.pixel_accuracy, *map(float, scores.iou)]
        return dict(zip(self.columns, values, strict=True))
