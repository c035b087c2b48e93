"""Batch normalization over the batches of all processes, on any device.

torch's own `SyncBatchNorm` is for GPUs alone; on CPUs each process would normalize by its few
images, and a run on two processes would be another one than on one with twice the batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from briskseg.training.machine import Machine


def synced(network: nn.Module, machine: Machine) -> nn.Module:
    """The network as it is trained by several processes; by one, unchanged."""
    if machine.processes.world == 1:
        return network
    if machine.device.type == "cuda":
        convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
        converted: nn.Module = convert(network)
        return converted
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = _SyncBatchNorm
    return network


class _Summed(torch.autograd.Function):
    """Added up over all processes, and so is its gradient; torch.distributed's own has none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _reduced(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _reduced(gradient)


def _reduced(x: Tensor) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x


class _SyncBatchNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        full = x.float()
        count = x.numel() // x.shape[1] * dist.get_world_size()  # batches are of one size
        mean: Tensor = _Summed.apply(full.sum((0, 2, 3))) / count  # type: ignore[no-untyped-call]
        # in a second pass: a mean of squares less the mean's square loses a small variance
        around = full - mean[:, None, None]
        squares = _Summed.apply(around.square().sum((0, 2, 3)))  # type: ignore[no-untyped-call]
        variance = squares / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            assert self.running_mean is not None
            assert self.running_var is not None
            self.num_batches_tracked += 1
            share = self.momentum
            if share is None:
                share = 1 / int(self.num_batches_tracked)
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        scale = self.weight * (variance + self.eps).rsqrt()
        y: Tensor = around * scale[:, None, None] + self.bias[:, None, None]
        return y.to(x.dtype)
