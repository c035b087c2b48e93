"""Which parameters decay, on the networks themselves."""

from __future__ import annotations

import pytest
import torch
from tests.training.conftest import checkpoint
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


def test_parameters_have_the_factor_of_the_longest_beginning_that_fits() -> None:
    network = create_model("bisenet_v2", 5)
    factors = {"head": 10.0, "heads": 2.0, "heads.aux3": 0.5}
    part = OptimizerPart(name="sgd", lr=0.1, lr_factors=factors, no_decay=("norm",))
    groups = make_optimizer(part, network, fused=False).param_groups
    found = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(found) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        first, second = name.split(".")[:2]
        expected = 0.5 if (first, second) == ("heads", "aux3") else factors.get(first, 1.0)
        assert found[id(parameter)] == pytest.approx(0.1 * expected), name


def test_factors_follow_the_schedule_at_every_step(streets, tmp_path, command) -> None:
    run = tmp_path / "run"
    words = ["--set=training.optimizer={name: sgd, lr: 0.01, lr_factors: {classifier: 4}}"]
    words += ["--set=training.schedule={name: poly, power: 1}", "--set=training.steps=4"]
    words += ["--set=data.size=null", "--set=training.batch=4", "--no-check"]
    done = command("train", "demo", "--data", streets, "--out", run, *words)
    assert done.status == 0, done.err
    groups = checkpoint(run)["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0.0025] * 2 + [0.01] * 2)


def test_a_beginning_that_no_parameter_has_is_refused(streets, tmp_path, command) -> None:
    words = ["--data", streets, "--out", tmp_path / "run", "--no-check"]
    change = "--set=training.optimizer.lr_factors={classifer: 4}"
    done = command("train", "demo", *words, change)
    assert done.status == 2
    assert "no parameter of FastSCNN is in 'classifer'; did you mean 'classifier'?" in done.err
    assert not (tmp_path / "run").exists()
