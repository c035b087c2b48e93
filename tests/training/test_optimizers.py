"""Which parameters decay, on the networks themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from briskseg.models import create_model
from briskseg.recipe import OptimizerPart
from briskseg.training.train_step import make_optimizer


def spared(part: OptimizerPart) -> set[str]:
    """Names of the parameters that do not decay; every parameter is in the optimizer once."""
    network = create_model("fast_scnn", 5)
    optimizer = make_optimizer(part, network, fused=False)
    groups = optimizer.param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    resting = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    return {name for name, p in network.named_parameters() if id(p) in resting}


def named(kind: str) -> set[str]:
    network = create_model("fast_scnn", 5)
    names = set()
    for name, module in network.named_modules():
        if kind == "depthwise" and isinstance(module, nn.Conv2d) and module.groups > 1:
            names.add(f"{name}.weight")
        if kind == "norm" and isinstance(module, nn.BatchNorm2d):
            names |= {f"{name}.weight", f"{name}.bias"}
        if kind == "bias" and isinstance(module, nn.Conv2d) and module.bias is not None:
            names.add(f"{name}.bias")
    assert names
    return names


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"name": "sgd"}, set()),
        ({"name": "adam"}, set()),
        ({"name": "adamw"}, named("bias") | named("norm")),
        ({"name": "adamw", "no_decay": []}, set()),
        ({"name": "sgd", "no_decay": ["depthwise"]}, named("depthwise")),
        ({"name": "adam", "no_decay": ["bias", "norm"]}, named("bias") | named("norm")),
    ],
)
def test_weight_decay_spares_what_is_named(part: dict, expected: set[str]) -> None:
    assert spared(OptimizerPart(weight_decay=0.1, **part)) == expected


def test_adam_steps_as_torch_adam_on_all_parameters() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    part = OptimizerPart(name="adam", lr=0.01, weight_decay=0.1)
    optimizers = [
        make_optimizer(part, ours, fused=False),
        torch.optim.Adam(theirs.parameters(), 0.01, weight_decay=0.1),
    ]
    for _ in range(3):
        for layer, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            layer(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight)
    assert torch.allclose(ours.bias, theirs.bias)
