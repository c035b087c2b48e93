"""Learning rates against torch's schedulers and the published formulas; which parameters decay."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from tests.training.conftest import checkpoint
from torch import nn

from briskseg.models import create_model
from briskseg.recipe import OptimizerPart, SchedulePart
from briskseg.training.train_step import factor, make_optimizer


def test_poly_by_step_is_torch_polynomial_lr() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=50, power=0.9)
    part = SchedulePart(name="poly", power=0.9)
    for step in range(50):
        assert factor(part, step, 50, 10) == pytest.approx(theirs.get_last_lr()[0], abs=1e-7)
        optimizer.step()
        theirs.step()


def test_poly_by_epoch_is_erfnets_official_formula() -> None:
    part = SchedulePart(name="poly", power=0.9, by="epoch")
    for epoch in range(1, 151):
        expected = (1 - (epoch - 1) / 150) ** 0.9
        assert factor(part, (epoch - 1) * 7 + 3, 150 * 7, 7) == pytest.approx(expected)


def test_poly_falls_to_the_least_as_in_mmsegmentation() -> None:
    """Its PolyLR steps from the rate that it last gave to the next, down to eta_min."""
    part = SchedulePart(name="poly", power=0.9, least=1 / 1200)
    rate, least = 0.12, 1e-4
    for step in range(1, 161):
        rate = (rate - least) * (1 - 1 / (160 - step + 1)) ** 0.9 + least
        assert 0.12 * factor(part, step, 160, 10) == pytest.approx(rate, rel=1e-6)
    assert rate == pytest.approx(1e-4)


def test_exponential_is_the_published_pretraining() -> None:
    part = SchedulePart(name="exponential", by="epoch", milestones=(15,), factors=(0.95,))
    for epoch in range(90):
        expected = 0.95 ** (epoch - 15) if epoch > 15 else 1
        assert factor(part, epoch * 7 + 6, 90 * 7, 7) == pytest.approx(expected)


def test_steps_follow_the_milestones() -> None:
    rates = SchedulePart(
        name="step", by="epoch", milestones=(80, 160, 200), factors=(0.625, 0.25, 0.125)
    )
    epochs = [0, 79, 80, 159, 160, 199, 200, 239]
    found = [factor(rates, epoch * 5 + 4, 1200, 5) for epoch in epochs]
    assert found == [1, 1, 0.625, 0.625, 0.25, 0.25, 0.125, 0.125]


def test_warm_up_rises_to_the_schedule() -> None:
    part = SchedulePart(name="constant", warmup=4)
    assert [factor(part, step, 20, 5) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_warm_up_leaves_short_runs_three_quarters_of_their_steps() -> None:
    part = SchedulePart(name="constant", warmup=100)
    assert [factor(part, step, 8, 5) for step in range(4)] == [0.5, 1, 1, 1]
    part = SchedulePart(name="constant", warmup=100, warmup_from=0.0)
    assert [factor(part, step, 8, 5) for step in range(4)] == [0, 0.5, 1, 1]


def test_a_warm_up_from_a_factor_is_mmsegmentations_linear_one_with_poly_after_it() -> None:
    """SegFormer's: LinearLR from a factor, then PolyLR over the rest."""
    part = SchedulePart(name="poly", power=1.0, warmup=5, warmup_from=1e-6)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    linear = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-6, total_iters=5)
    for step in range(25):
        expected = linear.get_last_lr()[0] if step < 5 else 1 - (step - 5) / 20
        assert factor(part, step, 25, 10) == pytest.approx(expected, abs=1e-7)
        optimizer.step()
        linear.step()


def test_an_exponential_warm_up_is_stdcs() -> None:
    """lr0 1e-2 from warmup_start_lr 1e-5: start * (lr0 / start) ** (step / steps)."""
    how = {"warmup": 8, "warmup_from": 1e-3, "warmup_rise": "exponential"}
    part = SchedulePart(name="poly", power=0.9, **how)
    for step in range(8):
        expected = 1e-5 * (1e-2 / 1e-5) ** (step / 8)
        assert 1e-2 * factor(part, step, 48, 10) == pytest.approx(expected)
    for step in range(8, 48):
        assert factor(part, step, 48, 10) == pytest.approx((1 - (step - 8) / 40) ** 0.9)


def test_an_exponential_warm_up_without_a_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a factor above 0 in warmup_from, found None"):
        SchedulePart(warmup=5, warmup_rise="exponential")


def spared(part: OptimizerPart) -> set[str]:
    """Names of the parameters that do not decay; every parameter is in the optimizer once."""
    network = create_model("fast_scnn", 5)
    optimizer = make_optimizer(part, network)
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


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_optimizers_step_as_torchs(name: str, kind: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    part = OptimizerPart(name=name, lr=0.01, weight_decay=0.1, no_decay=())
    more = {"momentum": 0.9} if name == "sgd" else {}
    optimizers = [
        make_optimizer(part, ours),
        kind(theirs.parameters(), lr=0.01, weight_decay=0.1, **more),
    ]
    for _ in range(3):
        for layer, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            layer(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight)
    assert torch.allclose(ours.bias, theirs.bias)
    found, expected = (optimizer.state_dict()["state"] for optimizer in optimizers)
    assert {name: len(part) for name, part in found.items()} == {
        name: len(part) for name, part in expected.items()
    }


def test_a_step_does_not_load_torchs_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from briskseg.recipe import OptimizerPart\n"
        "from briskseg.training.train_step import make_optimizer\n"
        "layer = torch.nn.Linear(3, 2)\n"
        "optimizer = make_optimizer(OptimizerPart(), layer)\n"
        "layer(torch.ones(4, 3)).sum().backward()\n"
        "optimizer.step()\n"
        "optimizer.load_state_dict(optimizer.state_dict())\n"
        "optimizer.zero_grad()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_parameters_have_the_factor_of_the_longest_beginning_that_fits() -> None:
    network = create_model("bisenet_v2", 5)
    factors = {"head": 10.0, "heads": 2.0, "heads.aux3": 0.5}
    part = OptimizerPart(name="sgd", lr=0.1, lr_factors=factors, no_decay=("norm",))
    groups = make_optimizer(part, network).param_groups
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
