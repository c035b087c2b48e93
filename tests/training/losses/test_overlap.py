"""Dice and Lovász losses against their definitions, over sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from briskseg.training.losses.dice import dice
from briskseg.training.losses.lovasz import lovasz_softmax


def drawn() -> tuple[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray]:
    """Logits and labels, and of the labeled pixels the probabilities (P,classes) and labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, 6, generator=generator)
    labels = torch.randint(0, 4, (2, 5, 6), generator=generator)
    labels = torch.where(labels == 3, 255, labels)  # no pixel is of class 3
    labeled = labels != 255
    p = logits.double().softmax(1).movedim(1, 3)[labeled].numpy()
    return logits.requires_grad_(), labels, p, labels[labeled].numpy()


def test_dice_is_the_mean_over_classes() -> None:
    logits, labels, p, truth = drawn()
    expected = []
    for label in range(4):
        mine = truth == label
        both = p[mine, label].sum()
        expected.append(1 - (2 * both + 1) / (p[:, label].sum() + mine.sum() + 1))
    assert dice(logits, labels).item() == pytest.approx(np.mean(expected), rel=1e-5)


def jaccard_loss(mispredicted: set[int], truth: set[int]) -> float:
    """One minus the IoU of a class where those pixels are predicted wrongly, all others rightly."""
    return len(mispredicted) / len(truth | mispredicted)


def test_lovasz_is_the_extension_of_the_jaccard_loss() -> None:
    logits, labels, p, truth = drawn()
    expected = []
    for label in range(3):
        mine = set(np.flatnonzero(truth == label).tolist())
        errors = np.abs(p[:, label] - (truth == label))
        loss, wrong, before = 0.0, set(), 0.0
        for pixel in np.argsort(-errors).tolist():
            wrong.add(pixel)
            after = jaccard_loss(wrong, mine)
            loss, before = loss + errors[pixel] * (after - before), after
        expected.append(loss)
    assert lovasz_softmax(logits, labels).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_lovasz_of_certain_predictions_is_one_minus_the_iou() -> None:
    labels = torch.tensor([[[0, 0, 0, 1, 1, 255]]])
    predicted = torch.tensor([[[0, 0, 1, 1, 0, 1]]])
    logits = 100 * torch.nn.functional.one_hot(predicted, 2).movedim(3, 1).float()
    expected = 1 - (2 / 4 + 1 / 3) / 2
    assert lovasz_softmax(logits, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [dice, lovasz_softmax])
def test_nothing_labeled_gives_no_gradient(loss) -> None:
    logits, labels, *_ = drawn()
    loss(logits, torch.full_like(labels, 255)).backward()
    assert not logits.grad.any()
