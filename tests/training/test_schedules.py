"""Learning rates against torch's schedulers and the published formulas."""

from __future__ import annotations

import pytest
import torch

from briskseg.recipe import SchedulePart
from briskseg.training.train_step import factor


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
    assert [factor(part, step, 10, 5) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


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
