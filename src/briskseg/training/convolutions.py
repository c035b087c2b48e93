"""Convolutions that take their weights' gradient by matrix products.

For float32 in channels-last memory on processors with AVX2 at most, oneDNN's own kernel for the
gradient of a factorized convolution's weights and bias takes several times as long as the
convolution, and most of a step of ERFNet. In that memory a pixel's channels lie side by side, so
the gradient of the weights at one place of the kernel is a matrix product of the output's gradient
with the input, shifted; nothing is copied.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST_CHANNELS = 32


def use_matrix_gradients(network: nn.Module) -> None:
    """Let the network's factorized convolutions (1xn and nx1, stride 1) learn by matrix products;
    what they compute stays the same but for rounding."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _fits(module):
            module.__class__ = FactorizedConv2d


def _fits(conv: nn.Conv2d) -> bool:
    """1xn or nx1, n odd and above 1, with as many pixels out as in; of so few channels that a
    product of them is small, oneDNN is faster."""
    across, along = sorted(conv.kernel_size)
    size = zip(conv.kernel_size, conv.dilation, strict=True)
    same = tuple(n // 2 * dilation for n, dilation in size)
    return (
        across == 1 < along
        and along % 2 == 1
        and conv.groups == 1
        and min(conv.in_channels, conv.out_channels) >= LEAST_CHANNELS
        and conv.stride == (1, 1)
        and conv.padding == same
        and conv.padding_mode == "zeros"
    )


class FactorizedConv2d(nn.Conv2d):
    """A 1xn or nx1 convolution of stride 1 whose output is as large as its input."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.is_contiguous(memory_format=torch.channels_last):
            y: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, self.padding, self.dilation
            )
            return y
        return super().forward(x)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.dilation = padding, dilation
        return F.conv2d(x, weight, bias, 1, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        g = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            padding, dilation = ctx.padding, ctx.dilation
            of_x = torch.ops.aten.convolution_backward(
                g,
                x,
                weight,
                None,
                [1, 1],
                padding,
                dilation,
                False,
                [0, 0],
                1,
                [True, False, False],
            )[0]
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, g, weight.shape[-2:], ctx.dilation)
        if ctx.needs_input_grad[2]:
            of_bias = g.permute(0, 2, 3, 1).flatten(0, 2).sum(0)
        return of_x, of_weight, of_bias, None, None


def weight_gradient(
    x: Tensor, g: Tensor, kernel: tuple[int, ...], dilation: tuple[int, int]
) -> Tensor:
    """The gradient (O,C,*kernel) of a 1xn or nx1 kernel of a convolution of as many pixels.

    x: the input (N,C,H,W); g: the output's gradient (N,O,H,W), both in channels-last memory.
    """
    x, g = x.permute(0, 2, 3, 1), g.permute(0, 2, 3, 1)  # (N,H,W,channels), contiguous
    middle, vertical = max(kernel) // 2, kernel[1] == 1
    product = _vertical if vertical else _horizontal
    step = dilation[0] if vertical else dilation[1]
    taps = [product(x, g, tap * step) for tap in range(-middle, middle + 1)]
    return torch.stack(taps, dim=-1).view(g.shape[-1], x.shape[-1], *kernel)


def _vertical(x: Tensor, g: Tensor, by: int) -> Tensor:
    """Sum over pixels of g times x `by` rows below: (O,C)."""
    height = x.shape[1]
    if abs(by) >= height:
        return x.new_zeros(g.shape[-1], x.shape[-1])
    g = g[:, max(0, -by) : height - max(0, by)].flatten(1, 2)
    x = x[:, max(0, by) : height - max(0, -by)].flatten(1, 2)
    return torch.bmm(g.transpose(1, 2), x).sum(0)


def _horizontal(x: Tensor, g: Tensor, by: int) -> Tensor:
    """Sum over pixels of g times x `by` columns to the right: (O,C).

    All rows are taken as one, and what that pairs over the rows' ends is taken off again.
    """
    width = x.shape[2]
    if abs(by) >= width:
        return x.new_zeros(g.shape[-1], x.shape[-1])
    if by < 0:
        return _horizontal(g, x, -by).t()
    rows_x, rows_g = x.flatten(0, 1), g.flatten(0, 1)  # (N*H,W,channels)
    flat_x, flat_g = rows_x.flatten(0, 1), rows_g.flatten(0, 1)
    pairs = len(flat_x) - by
    total = flat_g[:pairs].t() @ flat_x[by:]
    if by == 0:
        return total
    over_x, over_g = rows_x[1:, :by].flatten(0, 1), rows_g[:-1, width - by :].flatten(0, 1)
    return total - over_g.t() @ over_x
