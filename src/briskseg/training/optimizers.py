"""The optimizer of a recipe, and which parameters its weight decay spares."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import nn

from briskseg.core.errors import RequestError
from briskseg.recipe import OptimizerPart


def make_optimizer(part: OptimizerPart, network: nn.Module, fused: bool) -> torch.optim.Optimizer:
    """The optimizer with two groups, the parameters that decay and those that do not; where the
    encoder has another rate, with two more for it, whose "lr_factor" schedules keep.

    A fused optimizer is faster and rules out clipping. Raises RequestError where a network without
    an encoder of its own is to have another rate for it.
    """
    spared: Collection[str] = ("bias", "norm") if part.name == "adamw" else ()
    if part.no_decay is not None:
        spared = part.no_decay
    slow = _encoder_parameters(network) if part.encoder_lr_factor != 1 else set()
    groups: list[dict[str, Any]] = []
    for factor in (1.0, part.encoder_lr_factor) if slow else (1.0,):
        chosen = [(kind, p) for kind, p in _kinds(network) if (p in slow) == (factor != 1)]
        rate = {"lr": part.lr * factor, "lr_factor": factor}
        decaying = [p for kind, p in chosen if kind not in spared]
        others = [p for kind, p in chosen if kind in spared]
        groups.append({"params": decaying, "weight_decay": part.weight_decay, **rate})
        groups.append({"params": others, "weight_decay": 0.0, **rate})
    if part.name == "sgd":
        return torch.optim.SGD(groups, part.lr, part.momentum, fused=fused)
    adam = torch.optim.Adam if part.name == "adam" else torch.optim.AdamW
    return adam(groups, part.lr, part.betas, part.eps, fused=fused)


def _encoder_parameters(network: nn.Module) -> set[nn.Parameter]:
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise RequestError(
            f"training.optimizer.encoder_lr_factor: {type(network).__name__} has no encoder of its "
            "own; leave it out"
        )
    return set(encoder.parameters())


def _kinds(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter with what it is: "norm" (scale or shift), "bias", "depthwise" or "weight"."""
    for module in network.modules():
        is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        is_depthwise = isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
        for name, parameter in module.named_parameters(recurse=False):
            if is_norm:
                yield "norm", parameter
            elif name == "bias":
                yield "bias", parameter
            else:
                yield "depthwise" if is_depthwise else "weight", parameter
