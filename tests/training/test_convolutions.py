"""Convolutions that learn by matrix products: the same gradients as torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from briskseg.models import create_model
from briskseg.training.convolutions import FactorizedConv2d, use_matrix_gradients


def gradients(conv: nn.Module, x: torch.Tensor, g: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    y = conv(x)
    return [y, *torch.autograd.grad(y, [x, *conv.parameters()], g)]


@pytest.mark.parametrize("kernel", [(3, 1), (1, 3), (5, 1), (1, 5)])
@pytest.mark.parametrize("dilation", [1, 2, 9])  # 9 reaches beyond the image
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_torchs(kernel: tuple[int, int], dilation: int, bias: bool) -> None:
    torch.manual_seed(0)
    padding = tuple(n // 2 * (dilation if n > 1 else 1) for n in kernel)
    steps = tuple(dilation if n > 1 else 1 for n in kernel)
    conv = nn.Conv2d(32, 48, kernel, padding=padding, dilation=steps, bias=bias).double()
    net = nn.Sequential(copy.deepcopy(conv))
    use_matrix_gradients(net)
    assert type(net[0]) is FactorizedConv2d
    x, g = (torch.randn(2, c, 8, 7, dtype=torch.double) for c in (32, 48))
    x, g = (each.to(memory_format=torch.channels_last) for each in (x, g))
    for one, other in zip(gradients(conv, x, g), gradients(net[0], x, g), strict=True):
        torch.testing.assert_close(one, other)


def test_convolutions_of_another_kind_are_left_alone() -> None:
    net = nn.Sequential(
        nn.Conv2d(32, 32, 3, padding=1),
        nn.Conv2d(32, 32, (3, 1), stride=2, padding=(1, 0)),
        nn.Conv2d(32, 32, (3, 1), padding=(1, 0), groups=32),
        nn.Conv2d(32, 32, (3, 1)),
        nn.Conv2d(16, 16, (3, 1), padding=(1, 0)),
    )
    use_matrix_gradients(net)
    assert {type(module) for module in net} == {nn.Conv2d}


def test_a_network_learns_the_same_and_keeps_its_files() -> None:
    torch.manual_seed(0)
    plain = create_model("erfnet", 3, dropout_64=0.0, dropout_128=0.0).train().double()
    other = copy.deepcopy(plain)
    use_matrix_gradients(other)
    assert other.state_dict().keys() == plain.state_dict().keys()
    kinds = [type(module) for module in other.modules()]
    assert kinds.count(FactorizedConv2d) == 4 * (5 + 8 + 2)  # blocks of 64 and 128 channels
    images = torch.randn(2, 3, 24, 40, dtype=torch.double)
    images = images.to(memory_format=torch.channels_last)
    for net in (plain, other):
        net.to(memory_format=torch.channels_last)
        net(images).square().mean().backward()
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, two.grad)
