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
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

import torch

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import write_whole
from briskseg.core.wording import counted
from briskseg.recipe import AnyRecipe
from briskseg.runs.run_folder import RunFolder
from briskseg.training.machine import Machine
from briskseg.training.samples.loader import Batch
from briskseg.training.session import RunSession, with_steps
from briskseg.training.task import Task
from briskseg.training.train_step import TrainStep

MARGIN = 0.9  # of the time left that is planned with: a machine's pace wavers
WARM, TIMED = 2, 4  # steps, or images, before the clock runs and while it does
MOST_TIMED = 0.05  # of the time left, that timing a stage's steps may take
SCORING = 1.5  # an image takes that much longer to score than to validate: it is read and decoded
LEAST_END_S = 4.0  # for what every run does in the end: saving, the report, closing files


@dataclass(frozen=True)
class Costs:
    """Seconds of a step of each stage, of validating once, and of what follows the last one."""

    steps: tuple[float, ...]
    validation: float
    end: float


@dataclass
class Deadline:
    """When a run that begins now must have ended (`time.monotonic`), of which `end` seconds are for
    what follows the last validation, and `validation` for one, as it is known so far."""

    at: float
    end: float
    validation: float
    began: float = field(default_factory=time.monotonic)
    validating: float = 0.0  # seconds so far

    def count_validation(self, seconds: float) -> None:
        self.validation = seconds
        self.validating += seconds

    def steps_left(self, done: int, per_validation: int) -> int:
        """The steps that still fit with their validations, at the pace of those done."""
        now = time.monotonic()
        step = (now - self.began - self.validating) / done
        left = self.at - now - self.end - self.validation
        return max(0, int(left / (step + self.validation / per_validation)))


def decide_length(
    recipe: AnyRecipe, task: Task, machine: Machine, folder: RunFolder, session: RunSession
) -> tuple[AnyRecipe, Deadline]:
    """The recipe with the length that fits into the session's minutes, recorded in the run folder;
    the task is as the run begins. Raises RequestError where not one step fits."""
    assert session.minutes is not None
    assert session.began is not None
    deadline = session.began + 60 * session.minutes
    costs = measure(task, machine, deadline - time.monotonic())
    per_epoch = len(task.batches)
    per_validation = per_epoch * recipe.training.validate_every
    left = deadline - time.monotonic()
    possible = steps_within(left, costs, per_validation, task.work(1.0))
    steps = machine.processes.from_first(possible)
    decided = with_steps(recipe, steps)
    if machine.is_first:
        write_whole(folder.recipe, decided.to_yaml())
        length = {"minutes": session.minutes, "steps": steps}
        write_whole(folder.length, json.dumps(length) + "\n")
        whole = steps * len(costs.steps)
        session.say(
            f"{session.minutes:g} minutes are enough for {counted(whole, 'step')}, "
            f"{whole / per_epoch:.1f} epochs"
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


def measure(task: Task, machine: Machine, seconds: float) -> Costs:
    """Time what a run does; each part takes `MOST_TIMED` of the seconds left, or a little more."""
    task.to(machine.device)
    before = copy.deepcopy(task.network.state_dict())
    step, (train, val) = TrainStep(task, machine), task.loaders
    most = MOST_TIMED * seconds
    steps = []
    for stage in range(len(task.stages)):

        def take(batch: Batch, stage: int = stage) -> None:
            step(batch.images, batch.labels, stage).item()  # waits for the device

        steps.append(_median_s(take, train, machine, most, together=True))
    task.network.load_state_dict(before)
    task.eval()
    last = len(task.stages) - 1

    def validate(batch: Batch, exact: bool) -> None:
        with torch.no_grad(), machine.autocast(enabled=not exact):
            task.validate(batch, last)
            if machine.device.type == "cuda":
                torch.cuda.synchronize(machine.device)

    task.begin_validation(machine.device)
    image_s = _median_s(lambda b: validate(b, False), val, machine, most)
    exact_s = _median_s(lambda b: validate(b, True), val, machine, most)  # as scoring is
    task.train()
    end = LEAST_END_S + task.seconds_to_finish(exact_s * SCORING)
    return Costs(tuple(steps), image_s * len(cast(Sized, val)), end)


def _median_s(
    take: Callable[[Batch], None],
    batches: Iterable[Batch],
    machine: Machine,
    most: float,
    together: bool = False,
) -> float:
    """Seconds that a batch takes to come and to be worked on, once caches are filled.

    together: processes wait for one another in each batch, so all must stop at the same one.
    """
    seconds = []
    began = last = time.monotonic()
    for batch in islice(batches, WARM + TIMED):
        take(batch.to(machine.device))
        now = time.monotonic()
        seconds.append(now - last)
        last = now
        is_late = now - began > most and len(seconds) > 1
        if machine.processes.any(is_late)[0] if together else is_late:
            break
    timed = sorted(seconds[WARM:] or seconds[-1:])
    return timed[len(timed) // 2] if timed else 0.0  # a process may have no image of a small val
