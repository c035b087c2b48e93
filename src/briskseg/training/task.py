"""What is trained, and how it is scored: the part of a run that `loop.Loop` knows nothing of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from briskseg.recipe import LengthPart
from briskseg.training.machine import Machine
from briskseg.training.processes import Processes
from briskseg.training.samples.loader import Batch
from briskseg.training.schedules import factor
from briskseg.training.stages import Stage, stage_index


class Task(nn.Module, ABC):
    """A network with its losses and its validation scores.

    Args:
        network: what is trained.
        training: how long, and with which schedule.
        stages: what is trained when.
        steps_per_epoch: optimizer steps of an epoch.

    Subclasses say `score`, what the best weights have most of as its column and its name, and
    `columns`, what a validation fills in metrics.csv.
    """

    score: tuple[str, str]
    columns: Sequence[str]

    def __init__(
        self,
        network: nn.Module,
        training: LengthPart,
        stages: Sequence[Stage],
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.training_part = training
        self.stages = tuple(stages)
        self.steps_per_epoch = steps_per_epoch

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.stages[-1].first + self.stages[-1].steps

    def end_at(self, steps: int) -> None:
        """Let the last stage, and its schedule, end after so many steps of the whole run."""
        last = self.stages[-1]
        self.stages = (*self.stages[:-1], replace(last, steps=steps - last.first))

    def stage(self, step: int) -> int:
        """Which stage (0, 1, ...) the step belongs to that is taken after `step` others."""
        return stage_index(self.stages, step)

    def begins_stage(self, step: int) -> bool:
        """Whether a stage after the first begins with the step that is taken after `step` others:
        as a new run would, with an optimizer and an average that have seen nothing."""
        return step in [stage.first for stage in self.stages[1:]]

    def prepare(self, optimizer: torch.optim.Optimizer, step: int, epoch: int) -> float:
        """Give the optimizer the learning rate of a step, and return it."""
        part, stage = self.training_part, self.stages[self.stage(step)]
        rate = part.optimizer.lr * factor(
            part.schedule, step - stage.first, stage.steps, self.steps_per_epoch
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate

    @property
    def trains_all(self) -> bool:
        """Whether every step trains every parameter, which processes must know of each other."""
        return True

    def compile_for(self, images: Tensor, machine: Machine) -> bool:
        """Compile what the steps compute on images of this shape; False where that fails."""
        return False

    @abstractmethod
    def forward(self, images: Tensor, labels: Tensor, stage: int) -> Tensor:
        """Images (N,3,H,W) uint8 and their labels -> the loss of this stage, a scalar."""

    @abstractmethod
    def begin_validation(self, device: torch.device) -> None: ...

    @abstractmethod
    def validate(self, batch: Batch, stage: int) -> Tensor | None:
        """Count a batch; returns the predicted labels (N,H,W) uint8 where there are any."""

    @abstractmethod
    def end_validation(self, processes: Processes) -> Mapping[str, float]:
        """The scores over what all processes have counted, by `columns`."""


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


def weights_of(network: nn.Module) -> dict[str, Any]:
    """The network's tensors as numpy arrays by their names, copied."""
    return {name: t.detach().cpu().numpy().copy() for name, t in network.state_dict().items()}
