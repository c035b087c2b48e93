"""One optimizer step: the learning rate, forward, loss, backward, clip, update."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from briskseg.core.errors import RequestError, nearest
from briskseg.recipe import OptimizerPart, SchedulePart
from briskseg.training.depthwise_gradients import fast_depthwise_gradients
from briskseg.training.machine import Machine
from briskseg.training.task import Task

_T = TypeVar("_T", bound=torch.optim.Optimizer)


class TrainStep:
    """One optimizer step: a function of the batch alone, and of the network, the optimizer and the
    random state, which it changes. Itself it waits for nothing on the device; Lovász' loss does,
    leaving out images without labels, and a teacher in an .onnx file."""

    def __init__(self, task: Task, machine: Machine) -> None:
        self.task = task
        self.model: nn.Module = task  # or what wraps it for several processes
        self.machine, self.clip = machine, task.training_part.clip
        self.depthwise = fast_depthwise_gradients(machine.device, machine.precision)
        self.optimizer = make_optimizer(task.training_part.optimizer, task.network)
        # fp16 gradients would vanish unscaled; for other precisions the scaler does nothing
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")

    def prepare(self, step: int, epoch: int) -> float:
        """Give the optimizer the learning rate of this step, from 0 on, and return it.

        The step's random numbers (dropout) come from (seed, step, process) alone: an interrupted
        run goes on with the same ones.
        """
        seed = hash((self.task.training_part.seed, step, self.machine.processes.rank))
        torch.manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)
        training, stage = self.task.training_part, self.task.stages[self.task.stage(step)]
        done, per_epoch = step - stage.first, len(self.task.batches)
        rate = training.optimizer.lr * factor(training.schedule, done, stage.steps, per_epoch)
        decays_until = self.task.decays_until
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_factor", 1.0)
            if decays_until is not None and epoch >= decays_until:
                group["weight_decay"] = 0.0
        return rate

    def __call__(self, images: Tensor, labels: Tensor, stage: int) -> Tensor:
        """The loss before the step, a scalar on the device."""
        self.optimizer.zero_grad()
        # torch compiles anew within a mode, and what is compiled has gradients of its own
        depthwise = nullcontext() if self.task.is_compiled else self.depthwise
        with self.machine.autocast(), depthwise:
            loss: Tensor = self.model(images, labels, stage)
        torch.autograd.backward(self.scaler.scale(loss))
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()


def make_optimizer(part: OptimizerPart, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer with two groups, the parameters that decay and those that do not; of both one
    for each factor in `lr_factors`, which a group keeps as "lr_factor" and `TrainStep` applies."""
    spared: Collection[str] = ("bias", "norm") if part.name == "adamw" else ()
    if part.no_decay is not None:
        spared = part.no_decay
    factors = parameter_factors(part, network)
    groups: list[dict[str, Any]] = []
    for own in dict.fromkeys((1.0, *part.lr_factors.values())):
        chosen = [(kind, p) for name, kind, p in _kinds(network) if factors[name] == own]
        decaying = [p for kind, p in chosen if kind not in spared]
        others = [p for kind, p in chosen if kind in spared]
        rate = {"lr": part.lr * own, "lr_factor": own}
        groups.append({"params": decaying, "weight_decay": part.weight_decay, **rate})
        groups.append({"params": others, "weight_decay": 0.0, **rate})
    if part.name == "sgd":
        return _uncompiled(torch.optim.SGD)(groups, part.lr, part.momentum, fused=True)
    adam = torch.optim.Adam if part.name == "adam" else torch.optim.AdamW
    return _uncompiled(adam)(groups, part.lr, part.betas, part.eps, fused=True)


def _uncompiled(optimizer: type[_T]) -> type[_T]:
    """The class without what torch wraps these methods in for torch.compile: their first call would
    load torch._dynamo, which takes 1.6 s, and here networks alone are compiled, no optimizers."""
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    methods["step"] = torch.no_grad()(methods["step"])  # which its wrapper did too
    return type(f"Uncompiled{optimizer.__name__}", (optimizer,), methods)


def parameter_factors(part: OptimizerPart, network: nn.Module) -> dict[str, float]:
    """The factor of the learning rate of every parameter, by its name: of the beginnings in
    `lr_factors` that fit, the longest counts.

    Raises RequestError for a beginning that no parameter has.
    """
    factors = dict.fromkeys((name for name, _, _ in _kinds(network)), 1.0)
    for beginning in sorted(part.lr_factors, key=len):
        fitting = [n for n in factors if n == beginning or n.startswith(f"{beginning}.")]
        if not fitting:
            parts = [name for name, _ in network.named_children()]
            raise RequestError(
                f"training.optimizer.lr_factors: no parameter of {type(network).__name__} is in "
                f"'{beginning}'; {nearest(beginning, parts)}"
            )
        factors |= dict.fromkeys(fitting, part.lr_factors[beginning])
    return factors


def _kinds(network: nn.Module) -> Iterator[tuple[str, str, nn.Parameter]]:
    """Every parameter with its name and what it is: "norm" (scale or shift), "bias", "depthwise" or
    "weight"."""
    for module_name, module in network.named_modules():
        is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm)
        is_depthwise = isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{module_name}.{name}".removeprefix(".")
            if is_norm:
                yield full, "norm", parameter
            elif name == "bias":
                yield full, "bias", parameter
            else:
                yield full, "depthwise" if is_depthwise else "weight", parameter


def factor(part: SchedulePart, step: int, steps: int, steps_per_epoch: int) -> float:
    """The factor of the optimizer's learning rate for a step.

    Args:
        part: the recipe's schedule.
        step: optimizer steps done, 0 .. steps.
        steps: of the whole run, or of a stage.
        steps_per_epoch: `by: epoch` counts whole epochs of this many.

    Returns:
        poly: least + (1 - least) (1 - t) ** power with t the share of the run that is done (Chen et
        al., DeepLab, 2017, section 4.1; ERFNet's official code counts whole epochs; the floor as in
        MMSegmentation). step: the factor of the last milestone passed, before the first one 1.
        exponential: the factor to the power of the epochs, or steps, after the milestone.
        constant: 1. During the first `warmup` steps the result rises evenly from 1 / warmup of
        itself; with `warmup_from` it is a rise from that factor to 1, and all else comes after it.
        It takes a quarter of the steps at most: with few images a recipe's are few.
    """
    warmup = min(part.warmup, max(1, steps // 4))
    warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if part.warmup_from is not None and step < warmup:
        left = 1 - step / warmup
        if part.warmup_rise == "exponential":
            return float(part.warmup_from**left)
        return 1 - (1 - part.warmup_from) * left
    if part.warmup_from is not None:
        warm, step, steps = 1.0, step - warmup, max(1, steps - warmup)
    by_epoch = part.by == "epoch"
    done = step // steps_per_epoch if by_epoch else step
    value = 1.0
    if part.name == "poly":
        whole = max(1, -(-steps // steps_per_epoch) if by_epoch else steps)
        left = float(max(0.0, 1 - done / whole) ** part.power)
        value = part.least + (1 - part.least) * left
    elif part.name == "step":
        passed = [f for m, f in zip(part.milestones, part.factors, strict=True) if done >= m]
        value = passed[-1] if passed else 1.0
    elif part.name == "exponential":
        value = float(part.factors[0] ** max(0, done - part.milestones[0]))
    return warm * value
