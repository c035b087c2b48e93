"""Batch normalization of several processes on a CPU, by the one that a single process has."""

from __future__ import annotations

import copy
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn

from briskseg.training import sync_batch_norm


@pytest.mark.parametrize("momentum", [0.1, 0.0, None])
@pytest.mark.parametrize("offset", [0.0, 15.0, 1000.0])  # of values that hardly vary around it
def test_it_is_torchs_own(
    momentum: float | None, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_batch_norm.dist, "all_reduce", lambda x: None)
    monkeypatch.setattr(sync_batch_norm.dist, "get_world_size", lambda: 1)
    torch.manual_seed(0)
    machine = MagicMock()
    machine.processes.world, machine.device = 2, torch.device("cpu")
    alone = nn.BatchNorm2d(3, momentum=momentum)
    nn.init.normal_(alone.weight)
    together = sync_batch_norm.synced(copy.deepcopy(alone), machine)
    x = offset + 1e-2 * torch.randn(4, 3, 8, 8)
    results = []
    for norm in (alone, together):
        images = x.clone().requires_grad_()
        y = norm(images)
        (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
        results.append((y.detach(), norm.running_mean, norm.running_var, images.grad))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-2 * one.abs().max().item())
