"""Boundaries against OpenCV's Canny, and PIDNet's losses against their formulas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from briskseg.training.losses.boundary import boundary_aware, boundary_bce, boundary_target
from briskseg.training.losses.ohem import ohem_by_probability

WEIGHTS = torch.tensor([0.5, 2.0, 1.0])


def published(labels: np.ndarray) -> np.ndarray:
    """As XuJiacong/PIDNet makes it, with OpenCV."""
    edge = cv2.Canny(labels, 0.1, 0.2)
    edge = np.pad(edge[6:-6, 6:-6], 6)
    return cv2.dilate(edge, np.ones((4, 4), np.uint8)) > 50


def areas(seed: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Labels in slanted and round areas, some of them ignored, with specks of noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    labels = np.zeros(size_hw, np.uint8)
    for label in rng.choice([*range(19), 255], 12):
        a, b = rng.uniform(-1, 1, 2)
        center = rng.uniform(0, size_hw[0]), rng.uniform(0, size_hw[1])
        band = np.abs(a * (y - center[0]) + b * (x - center[1])) < rng.uniform(1, 9)
        disc = np.hypot(y - center[0], x - center[1]) < rng.uniform(3, 15)
        labels[disc if rng.random() < 0.5 else band] = label
    specks = rng.random(size_hw) < 0.02
    labels[specks] = rng.integers(0, 19, specks.sum())
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_boundaries_are_those_of_opencv(seed: int) -> None:
    labels = np.stack([areas(seed, (67, 90)), areas(seed + 100, (67, 90))])
    expected = np.stack([published(one) for one in labels])
    assert 0.02 < expected.mean() < 0.98
    assert np.array_equal(boundary_target(torch.from_numpy(labels)).numpy(), expected)


def test_an_image_smaller_than_what_is_cleared_has_no_boundary() -> None:
    labels = torch.from_numpy(areas(0, (11, 30)))[None]
    assert not boundary_target(labels).any()


def test_both_sides_of_the_weighted_cross_entropy_weigh_the_same() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(2, 1, 7, 9)), rng.random((2, 7, 9)) < 0.1
    p = 1 / (1 + np.exp(-x[:, 0]))
    each = np.where(t, -np.log(p), -np.log(1 - p))
    weights = np.where(t, (~t).sum() / t.size, t.sum() / t.size)
    loss = boundary_bce(torch.from_numpy(x), torch.from_numpy(t))
    assert loss.item() == pytest.approx((weights * each).mean(), rel=1e-5)


def test_boundary_aware_reads_only_where_the_head_is_sure() -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 3, 8, 9, generator=generator).requires_grad_()
    boundary = (3 * torch.randn(2, 1, 8, 9, generator=generator)).requires_grad_()
    labels = torch.randint(0, 3, (2, 8, 9), generator=generator)
    sure = boundary[:, 0] > np.log(0.8 / 0.2)
    loss = boundary_aware(logits, labels, WEIGHTS, boundary)
    loss.backward()
    assert 0 < sure.sum() < sure.numel()
    assert torch.equal(logits.grad.abs().sum(1) > 0, sure)
    assert boundary.grad is None
    assert torch.equal(loss, ohem_by_probability(logits, labels.where(sure, 255), WEIGHTS))
