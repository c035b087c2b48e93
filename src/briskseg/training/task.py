"""What is trained, and how it is scored: the part of a run that `loop.Loop` knows nothing of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from briskseg.recipe import LengthPart
from briskseg.training.machine import Machine
from briskseg.training.processes import Processes
from briskseg.training.samples.loader import Batch
from briskseg.training.samples.sampler import EpochBatches
from briskseg.training.session import RunSession


class Stage(NamedTuple):
    """What is trained from the step `first` on, for `steps` steps. output: "encoder" is the
    encoder's head alone, "logits" everything."""

    output: str
    first: int
    steps: int


class Task(nn.Module, ABC):
    """A recipe with its data and its network, and what its validations leave in the run folder.

    Subclasses set the attributes below; `score` is what the best weights have most of, as its
    column and its name, and `columns` what a validation fills in metrics.csv.
    """

    score: tuple[str, str]
    columns: Sequence[str]
    class_names: Sequence[str]
    network: nn.Module
    batches: EpochBatches  # the sampler of the training batches
    loaders: tuple[Iterable[Batch], Iterable[Batch]]  # for training and for validation
    best: dict[str, Any]  # scores of what the run folder has so far; a checkpoint has them too
    outputs: Sequence[str]  # what each of the stages trains, as in `Stage`
    training_part: LengthPart
    stages: tuple[Stage, ...]
    ema: float | None = None  # decay of the weights' average; None: they themselves are validated
    stop_after: int | None = None  # validations without a new best
    learns_from: str | None = None  # the SHA-256 of what is learned from besides the data
    decays_until: int | None = None  # epochs; in those after it no weight decays
    compiled: bool | None = False  # as `training.compile`
    is_compiled = False  # since `compile_for`

    def set_length(self, training: LengthPart) -> None:
        """Plan the stages; each is `epochs` or `steps` long."""
        self.training_part = training
        steps = training.steps or (training.epochs or 1) * len(self.batches)
        self.stages = tuple(Stage(out, nth * steps, steps) for nth, out in enumerate(self.outputs))

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.stages[-1].first + self.stages[-1].steps

    def end_at(self, steps: int) -> None:
        """Let the last stage, and its schedule, end after so many steps of the whole run."""
        last = self.stages[-1]
        self.stages = (*self.stages[:-1], last._replace(steps=steps - last.first))

    def stage(self, step: int) -> int:
        """Which stage (0, 1, ...) the step belongs to that is taken after `step` others."""
        return max(i for i, stage in enumerate(self.stages) if stage.first <= max(step, 0))

    def begins_stage(self, step: int) -> bool:
        """Whether a stage after the first begins with the step that is taken after `step` others:
        as a new run would, with an optimizer and an average that have seen nothing."""
        return step in [stage.first for stage in self.stages[1:]]

    @property
    def trains_all(self) -> bool:
        """Whether every step trains every parameter, which processes must know of each other."""
        return True

    def work(self, share: float) -> float:
        """How much work this share of the steps is, where all steps as the first one are 1."""
        return share

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

    def show(self, batch: Batch, predicted: Tensor, epoch: int) -> None:
        """Add what was predicted to the film, where the batch is of its images."""

    @abstractmethod
    def keep(
        self, weights: Mapping[str, Any], scores: Mapping[str, float], step: int, epoch: int
    ) -> None:
        """Save the weights that a validation has scored where they are the best so far."""

    @abstractmethod
    def finish(self, device: str, session: RunSession) -> None:
        """What follows the last step; it leaves the scores by which a run is known as finished."""

    def seconds_to_finish(self, image_s: float) -> float:
        """An estimate for `finish`, from the seconds that the network takes for an image."""
        return 0.0


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
