"""How many steps fit into the minutes that a user gives: `train --minutes`.

Before the first step a few steps and a few validation images are timed, on a network that is
afterwards as it was. Of the time left, what validating, adjusting the logits and scoring will take
is set aside, and the rest is steps. What was decided is the run's length from then on:
`length.json` and `recipe.yaml` have it, and a resumed run goes on with it.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import write_whole
from briskseg.recipe import LengthPart
from briskseg.runs.run_folder import RunFolder
from briskseg.training.ending import Deadline
from briskseg.training.machine import Machine
from briskseg.training.optimizers import make_optimizer
from briskseg.training.samples.loader import Batch
from briskseg.training.session import AnyRecipe, RunSession, with_steps
from briskseg.training.task import Task
from briskseg.training.train_step import TrainStep

MARGIN = 0.9  # of the time left that is planned with: a machine's pace wavers
WARM, TIMED = 2, 4  # steps, or images, before the clock runs and while it does
MOST_TIMED = 0.05  # of the time left, that timing a stage's steps may take
SCORING = 1.5  # an image takes that much longer to score than to validate: it is read and decoded
LEAST_END_S = 2.0  # for what every run does in the end: saving, closing files


@dataclass(frozen=True)
class Costs:
    """Seconds of a step of each stage, of validating once, and of what follows the last one."""

    steps: tuple[float, ...]
    validation: float
    end: float


def decide_length(
    recipe: AnyRecipe,
    task: Task,
    loaders: tuple[Iterable[Batch], Iterable[Batch]],
    machine: Machine,
    folder: RunFolder,
    session: RunSession,
    end: Callable[[float], float] = lambda _: 0.0,
    work: float = 1.0,
) -> tuple[AnyRecipe, Deadline]:
    """The recipe with the length that fits into the session's minutes, recorded in the run folder.

    Args:
        task: as the run begins, on any device.
        end: from the seconds that the network takes for an image in float32, those of what follows
            the last validation.
        work: the mean cost of a step over that of the first, where samples grow.

    Raises RequestError where not one step fits.
    """
    assert session.minutes is not None
    assert session.began is not None
    deadline = session.began + 60 * session.minutes
    costs = measure(recipe.training, task, loaders, machine, deadline - time.monotonic(), end)
    per_validation = task.steps_per_epoch * recipe.training.validate_every
    left = deadline - time.monotonic()
    steps = machine.processes.from_first(steps_within(left, costs, per_validation, work))
    decided = with_steps(recipe, steps)
    if machine.is_first:
        write_whole(folder.recipe, decided.to_yaml())
        length = {"minutes": session.minutes, "steps": steps}
        write_whole(folder.length, json.dumps(length) + "\n")
        whole = steps * len(costs.steps)
        session.say(
            f"{session.minutes:g} minutes are enough for {whole} steps, "
            f"{whole / task.steps_per_epoch:.1f} epochs"
        )
    return decided, Deadline(deadline, costs.end, costs.validation)


def steps_within(seconds: float, costs: Costs, per_validation: int, work: float) -> int:
    """The steps of each stage for which training and all that follows fit into so many seconds,
    with a validation each `per_validation` steps and at the end."""
    left = seconds * MARGIN - costs.end - costs.validation
    step = sum(costs.steps) * work + len(costs.steps) * costs.validation / per_validation
    if left < step:
        needed = (costs.end + costs.validation + step) / MARGIN
        raise RequestError(
            f"--minutes: {max(0.0, seconds):.0f} s are left, and one step, validating and scoring "
            f"take {needed:.0f} s; give {(needed - seconds) / 60 + 0.1:.1f} minutes more"
        )
    return int(left / step)


def measure(
    training: LengthPart,
    task: Task,
    loaders: tuple[Iterable[Batch], Iterable[Batch]],
    machine: Machine,
    seconds: float,
    end: Callable[[float], float],
) -> Costs:
    """Time what a run does; each part takes `MOST_TIMED` of the seconds left, or a little more."""
    task.to(machine.device)
    before = copy.deepcopy(task.network.state_dict())
    optimizer = make_optimizer(training.optimizer, task.network, training.clip is None)
    step = TrainStep(task, optimizer, machine, training.clip)
    steps = []
    for stage in range(len(task.stages)):

        def take(batch: Batch, stage: int = stage) -> None:
            step(batch.images, batch.labels, stage).item()  # waits for the device

        steps.append(_median_s(take, loaders[0], machine, MOST_TIMED * seconds))
    task.network.load_state_dict(before)
    task.eval()
    last = len(task.stages) - 1

    def validate(batch: Batch, exact: bool) -> None:
        with torch.no_grad(), machine.autocast(enabled=not exact):
            task.validate(batch, last)
            _wait_for(machine.device)

    task.begin_validation(machine.device)
    image_s = _median_s(lambda b: validate(b, False), loaders[1], machine, MOST_TIMED * seconds)
    exact_s = _median_s(lambda b: validate(b, True), loaders[1], machine, MOST_TIMED * seconds)
    task.train()
    batches = len(cast(Sized, loaders[1]))
    return Costs(tuple(steps), image_s * batches, LEAST_END_S + end(exact_s * SCORING))


def _median_s(
    take: Callable[[Batch], None], batches: Iterable[Batch], machine: Machine, most: float
) -> float:
    """Seconds that a batch takes to come and to be worked on, once caches are filled."""
    seconds = []
    began = last = time.monotonic()
    for batch in islice(batches, WARM + TIMED):
        take(batch.to(machine.device))
        now = time.monotonic()
        seconds.append(now - last)
        last = now
        if now - began > most and len(seconds) > 1:
            break
    timed = seconds[WARM:] or seconds[-1:]
    return sorted(timed)[len(timed) // 2]


def _wait_for(device: Any) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
