"""The optimizer of a recipe, and which parameters its weight decay spares."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import nn

from briskseg.recipe import OptimizerPart


def make_optimizer(part: OptimizerPart, network: nn.Module, fused: bool) -> torch.optim.Optimizer:
    """The optimizer with two groups, the parameters that decay and those that do not.

    A fused optimizer is faster and rules out clipping.
    """
    spared: Collection[str] = ("bias", "norm") if part.name == "adamw" else ()
    if part.no_decay is not None:
        spared = part.no_decay
    kinds = list(_kinds(network))
    groups = [
        {
            "params": [p for kind, p in kinds if kind not in spared],
            "weight_decay": part.weight_decay,
        },
        {"params": [p for kind, p in kinds if kind in spared], "weight_decay": 0.0},
    ]
    if part.name == "sgd":
        return torch.optim.SGD(groups, part.lr, part.momentum, fused=fused)
    adam = torch.optim.Adam if part.name == "adam" else torch.optim.AdamW
    return adam(groups, part.lr, part.betas, part.eps, fused=fused)


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
