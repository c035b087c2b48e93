"""The training loop, one for every kind of run.

    for each epoch:
        for each batch:   seed, forward, loss, backward, clip, optimizer, average; log; save where
                          it is due; stop where a signal asked for it
        validate, keep the best weights, save

A step is a function of (seed, step, process) and its batch, and a batch of (seed, epoch, number),
so `Loop.state_dict` is all that a run needs to go on with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from briskseg.models.weights.own_file import weights_of
from briskseg.runs.run_folder import RunFolder
from briskseg.training.checkpoint_files import (
    Checkpoint,
    Position,
    save_checkpoint,
    step_of,
)
from briskseg.training.compiling import pays
from briskseg.training.length import Deadline
from briskseg.training.log import Log, check_weights
from briskseg.training.loggers import make_loggers
from briskseg.training.machine import Machine
from briskseg.training.moving_average import MovingAverage
from briskseg.training.samples.loader import Batch
from briskseg.training.session import RunSession
from briskseg.training.sync_batch_norm import synced
from briskseg.training.task import Task
from briskseg.training.train_step import TrainStep

# A validation of at least so long may be left by a signal: a checkpoint is saved before it.
LONG_VALIDATION_S = 10.0
# Several processes agree on what to do; that waits for all of them, so not at every step.
AGREE_EVERY = 10
PACE_EVERY = 20  # steps from one look at the deadline to the next


class Loop:
    """Trains a task to its end, from where a run is.

    deadline: the run becomes shorter where it would end later.
    """

    def __init__(
        self,
        task: Task,
        machine: Machine,
        folder: RunFolder,
        session: RunSession,
        deadline: Deadline | None = None,
    ) -> None:
        self.task, self.machine, self.folder, self.session = task, machine, folder, session
        self.training, self.deadline = task.training_part, deadline
        self.processes, self.stop = machine.processes, session.stop
        task.to(machine.device)
        task.network = synced(task.network, machine)
        self.step = TrainStep(task, machine)
        self.optimizer = self.step.optimizer
        self.average = None if task.ema is None else MovingAverage(task.network, task.ema)
        self.at = Position()
        self.best, self.without = float("-inf"), 0  # validations since the best, for `stop_after`
        self.scores: Mapping[str, float] = {}  # the last validation's, as in metrics.csv
        self.log = Log(folder, task.columns, self.training.log_every, machine)
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self._validation_s: float | None = None
        self.compiles = pays(task.compiled, machine.device, task.steps)
        self._compiled_for: set[tuple[int, ...]] = set()

    def run(self, resume: Checkpoint | None) -> None:
        """Train, and leave the last weights validated and everything saved."""
        try:
            self._begin(resume)
            while not self._is_done():
                self._train_epoch()
                if self._validation_is_due():
                    self._validate()
                self.at.epoch, self.at.batch = self.at.epoch + 1, 0
                self._save()
                if self.processes.any(bool(self.stop.asked))[0]:
                    self._stop_saved()
        finally:
            self.stop.waits = False
            self.log.close()

    def _train_epoch(self) -> None:
        """Take the steps of the epoch, or what is left of them."""
        if self._epoch_is_over():
            return
        self.log.wait()
        self.task.batches.start_at(self.at.epoch, self.at.batch)
        for loaded in self.task.loaders[0]:
            batch = loaded.to(self.machine.device)
            self.log.begin_step()
            self._take_step(batch)
            self._meet_deadline()  # at the last step of an epoch too: with few steps all that count
            is_over = self._epoch_is_over()
            if not is_over:
                self._save_where_due()
            self._tell("train", names=batch.names)
            if is_over:
                return
            self.log.wait()

    def _take_step(self, batch: Batch) -> None:
        at, task = self.at, self.task
        if self.compiles and batch.images.shape not in self._compiled_for:
            self._compile_for(batch.images)
        if task.begins_stage(at.step):
            self.optimizer.state.clear()
            if self.average is not None:
                self.average.restart()
        rate = self.step.prepare(at.step, at.epoch)
        loss = self.step(batch.images, batch.labels, task.stage(at.step))
        if self.average is not None:
            self.average.update()
        at.step, at.batch = at.step + 1, at.batch + 1
        self.log.step(at.step, at.epoch, loss, batch.names, rate)

    def _epoch_is_over(self) -> bool:
        return self.at.step >= self.task.steps or self.at.batch >= len(self.task.batches)

    def _validation_is_due(self) -> bool:
        at = self.at
        if at.validated == at.step:
            return False
        # the last time that a whole epoch ends within a stage: it leaves its weights
        epoch = len(self.task.batches)
        closes = any(0 <= stage.first - at.step < epoch for stage in self.task.stages[1:])
        is_last = at.step >= self.task.steps
        return closes or is_last or (at.epoch + 1) % self.training.validate_every == 0

    def _is_done(self) -> bool:
        at = self.at
        patience = self.task.stop_after
        if patience is not None and self.without >= patience:
            return True
        return at.step >= self.task.steps and at.validated == at.step

    def _validate(self) -> None:
        """Score the weights, or their average, and keep them where they are the best."""
        may_take_long = self._validation_s is None or self._validation_s > LONG_VALIDATION_S
        if may_take_long and self.processes.world == 1:
            self._save()  # so that a signal may leave the validation, and lose no step
        self._tell("validate")
        began, at, task = time.monotonic(), self.at, self.task
        stage, epoch = task.stage(at.step - 1), self.epochs_begun
        average = nullcontext() if self.average is None else self.average.applied()
        task.eval()
        with average, torch.no_grad(), self.machine.autocast():
            task.begin_validation(self.machine.device)
            for loaded in task.loaders[1]:
                batch = loaded.to(self.machine.device)
                if (predicted := task.validate(batch, stage)) is not None:
                    task.show(batch, predicted, epoch)
                if self.stop.asked and self._saved_step == at.step:
                    self.stop.now(" while validating", "all steps are saved")
            weights = weights_of(task.network) if self.machine.is_first else {}
        task.train()
        self.scores = task.end_validation(self.processes)
        self.log.check()  # before weights are kept that a NaN had spoiled
        if self.machine.is_first:
            task.keep(weights, self.scores, at.step, epoch)
        self.log.validation(at.step, epoch, self.scores)
        score = self.scores[task.score[0]]
        score = 0.0 if score != score else score
        self.without = 0 if score > self.best else self.without + 1
        self.best = max(self.best, score)
        at.validated = at.step
        self._validation_s = time.monotonic() - began
        if self.deadline is not None:
            self.deadline.count_validation(self._validation_s)
        self._tell("validated")

    @property
    def epochs_begun(self) -> int:
        return -(-self.at.step // len(self.task.batches))

    def _begin(self, resume: Checkpoint | None) -> None:
        if self.machine.is_first:
            since = step_of(resume) if self.session.resume else None
            self.log.loggers = make_loggers(self.training.loggers, self.folder, since)
        if resume is not None:
            self.load_state_dict(resume)
        self.task.train()
        if self.processes.world > 1:
            self.step.model = nn.parallel.DistributedDataParallel(
                self.task, find_unused_parameters=not self.task.trains_all
            )
        self.log.open(self.at.step)
        self._saved_at = time.monotonic()
        if self.stop.asked:
            self.stop.now("", "what was saved before is kept")
        self.stop.waits = True

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on, and what its steps were cut from."""
        return {
            "position": asdict(self.at),
            "images": self.task.batches.samples,
            "processes": self.processes.world,
            "steps": self.task.steps,
            "learns_from": self.task.learns_from,
            "classes": list(self.task.class_names),
            "network": self.task.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.step.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "outputs": self.task.best,
            "patience": {"best": self.best, "without": self.without},
            "log": self.log.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.at = Position(**state["position"])
        self.task.end_at(state["steps"])
        self.task.network.load_state_dict(state["network"])
        for group in state["optimizer"]["param_groups"]:
            group["fused"] = True  # runs with a clip were begun without
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # none of a run that went without, on another device
            self.step.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.task.best = state["outputs"]
        self.best, self.without = state["patience"]["best"], state["patience"]["without"]
        self.log.load_state_dict(state["log"])

    def _compile_for(self, images: Tensor) -> None:
        """Compiling takes minutes, so it is for a signal to interrupt; everything is saved."""
        if self._saved_step != self.at.step > 0:
            self._save()
        self.stop.waits = False
        self.compiles = self.task.compile_for(images, self.machine)
        self._compiled_for.add(tuple(images.shape))
        if self.stop.asked:
            self.stop.now("", "what was saved before is kept")
        self.stop.waits = True

    def _save_where_due(self) -> None:
        """Within an epoch: where a signal asks the run to stop, and where time has passed."""
        if self.processes.world > 1 and self.at.step % AGREE_EVERY:
            return
        is_late = time.monotonic() - self._saved_at > 60 * self.training.save_every
        asked, is_late = self.processes.any(bool(self.stop.asked), is_late)
        if asked or is_late:
            self._save()
        if asked:
            self._stop_saved()

    def _stop_saved(self) -> None:
        self.stop.now(f" at step {self.at.step}", "everything is saved")

    def _meet_deadline(self) -> None:
        """Let the run end earlier where it has turned out slower than it was planned."""
        at, task = self.at, self.task
        if self.deadline is None or at.step % PACE_EVERY:
            return
        if not task.stages[-1].first < at.step < task.steps:
            return
        per_validation = len(task.batches) * self.training.validate_every
        end = at.step + max(1, self.deadline.steps_left(at.step, per_validation))
        task.end_at(min(task.steps, self.processes.from_first(end)))

    def _save(self) -> None:
        """Save a checkpoint; what else is in the folder is synced first, so it is never behind."""
        self.log.check()
        check_weights(self.task.network, self.at.step)
        self.log.sync()
        if self.machine.is_first:
            save_checkpoint(self.folder, self.state_dict())
        self._saved_at, self._saved_step = time.monotonic(), self.at.step

    def _tell(self, phase: str, **more: Any) -> None:
        if not self.machine.is_first:
            return
        (column, name), steps = self.task.score, self.task.steps
        self.session.listener(
            {
                "phase": phase,
                "step": self.at.step,
                "steps": steps,
                "done": self.task.work(self.at.step / steps) / self.task.work(1.0),
                "epoch": self.epochs_begun,
                "score": (name, self.scores.get(column)),
                "images": self.training.batch * self.processes.world,
                **more,
            }
        )
