"""STDC's detail target and loss against the published formula in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from briskseg.training.losses.detail import detail, detail_target


def laplacian(labels: np.ndarray, stride: int) -> np.ndarray:
    padded = np.pad(labels.astype(np.int64), 1)
    height, width = labels.shape
    return np.array(
        [
            [9 * padded[i + 1, j + 1] - padded[i : i + 3, j : j + 3].sum() for j in columns]
            for i, columns in ((i, range(0, width, stride)) for i in range(0, height, stride))
        ]
    )


def published(labels: np.ndarray) -> np.ndarray:
    """Three strides, each above 0.1, resized to the nearest, weighted, above 0.1 in float32."""
    height, width = labels.shape
    total = np.zeros(labels.shape, np.float32)
    for stride, weight in ((1, 0.6), (2, 0.3), (4, 0.1)):
        edges = laplacian(labels, stride) > 0.1
        rows = np.arange(height) * edges.shape[0] // height
        columns = np.arange(width) * edges.shape[1] // width
        total += np.float32(weight) * edges[rows][:, columns]
    return total > np.float32(0.1)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (5, 9)])
def test_the_target_is_the_published_one(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size))
    coarse = rng.choice([0, 1, 2, 7, 255], (size[0] // 5 + 1, size[1] // 5 + 1))
    labels = np.kron(coarse, np.ones((5, 5))).astype(np.uint8)[: size[0], : size[1]]
    expected = published(labels)
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(detail_target(torch.from_numpy(labels)[None])[0].numpy(), expected)


def test_the_loss_is_cross_entropy_plus_dice() -> None:
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(3, 1, 6, 8)), rng.random((3, 6, 8)) < 0.3
    p = 1 / (1 + np.exp(-x[:, 0]))
    cross_entropy = -np.where(t, np.log(p), np.log(1 - p)).mean()
    dice = [
        1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, t, strict=True)
    ]
    loss = detail(torch.from_numpy(x), torch.from_numpy(t))
    assert loss.item() == pytest.approx(cross_entropy + np.mean(dice), rel=1e-5)
