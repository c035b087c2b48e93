"""The stages of a run: one after the other, each a span of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from briskseg.recipe import TrainingPart
from briskseg.recipe.parts import ClassWeights


@dataclass(frozen=True)
class Stage:
    """What is trained from the step `first` on, for `steps` steps."""

    output: str  # "encoder": the encoder's head alone; "logits": everything
    class_weights: ClassWeights
    first: int
    steps: int


def plan_stages(training: TrainingPart, steps_per_epoch: int) -> tuple[Stage, ...]:
    """The stages of a recipe, one where it names none; each is `epochs` or `steps` long."""
    steps = training.steps or (training.epochs or 1) * steps_per_epoch
    named = [(stage.output, stage.class_weights) for stage in training.stages]
    return tuple(
        Stage(output, weights, place * steps, steps)
        for place, (output, weights) in enumerate(
            named or [("logits", training.loss.class_weights)]
        )
    )


def stage_index(stages: Sequence[Stage], step: int) -> int:
    """Which stage (0, 1, ...) the step belongs to that is taken after `step` others."""
    return max(place for place, stage in enumerate(stages) if stage.first <= max(step, 0))
