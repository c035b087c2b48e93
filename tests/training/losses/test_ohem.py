"""Hard pixel mining against each published form, written out pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from briskseg.training.losses.ohem import ohem_by_loss, ohem_by_probability

WEIGHTS = torch.tensor([0.5, 2.0, 1.0])


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 3, 8, 9, generator=generator)
    labels = torch.randint(0, 4, (2, 8, 9), generator=generator)
    return logits.requires_grad_(), torch.where(labels == 3, 255, labels)


def pixels(logits: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, float]]:
    """(probability of the true class, weighted loss) of every labeled pixel, hardest first."""
    x = logits.detach().double().numpy()
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    truth = labels.numpy()
    found = []
    for n, i, j in np.argwhere(truth != 255):
        probability = p[n, truth[n, i, j], i, j]
        found.append((probability, -math.log(probability) * WEIGHTS[truth[n, i, j]].item()))
    return sorted(found)


@pytest.mark.parametrize(("threshold", "least"), [(0.4, 5), (0.4, 90), (0.05, 40), (0.9, 1000)])
@pytest.mark.parametrize("rule", ["pidnet", "mmsegmentation", "paddle"])
def test_by_probability(rule: str, threshold: float, least: int) -> None:
    logits, labels = drawn(1)
    ordered = pixels(logits, labels)
    probabilities = [p for p, _ in ordered]
    if rule == "pidnet":
        bound = max(threshold, probabilities[min(least, len(ordered) - 1)])
    elif rule == "mmsegmentation":
        bound = max(threshold, probabilities[min(2 * least, len(ordered) - 1)])
    elif least < len(ordered):
        bound = max(threshold, probabilities[least - 1])
    else:
        bound = 2
    kept = [loss for p, loss in ordered if p < bound]
    expected = sum(kept) / (labels.numel() if rule == "mmsegmentation" else len(kept))
    loss = ohem_by_probability(logits, labels, WEIGHTS, threshold=threshold, least=least, rule=rule)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("threshold", [0.7, 0.05, 0.001])
@pytest.mark.parametrize("least", [1 / 16, 0.5, 3, 100, 1000])
def test_by_loss(threshold: float, least: float) -> None:
    logits, labels = drawn(2)
    losses = sorted((loss for _, loss in pixels(logits, labels)), reverse=True)
    few = int(least * len(losses)) if least <= 1 else min(least, labels.numel())
    losses += [0.0] * (labels.numel() - len(losses))  # ignored pixels have no loss
    kept = [loss for loss in losses if loss > -math.log(threshold)]
    if len(kept) < few:
        kept = losses[:few]
    loss = ohem_by_loss(logits, labels, WEIGHTS, threshold=threshold, least=least)
    assert loss.item() == pytest.approx(sum(kept) / len(kept), rel=1e-5)


@pytest.mark.parametrize("mined", [ohem_by_probability, ohem_by_loss])
def test_nothing_labeled_gives_zero_and_no_gradient(mined) -> None:
    logits, labels = drawn(3)
    loss = mined(logits, torch.full_like(labels, 255), WEIGHTS)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("mined", [ohem_by_probability, ohem_by_loss])
def test_only_hard_pixels_get_a_gradient(mined) -> None:
    logits, labels = drawn(4)
    mined(logits, labels, WEIGHTS, threshold=0.5, least=2).backward()
    p = logits.detach().softmax(1).gather(1, labels.where(labels != 255, 0)[:, None])[:, 0]
    weighted = -p.log() * WEIGHTS[labels.where(labels != 255, 0)]
    hard = (p < 0.5) if mined is ohem_by_probability else (weighted > math.log(2))
    assert torch.equal(logits.grad.abs().sum(1) > 0, hard & (labels != 255))
