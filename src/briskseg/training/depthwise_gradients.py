"""The gradients of depthwise convolutions on a CPU in bf16, by convolutions it is fast at.

oneDNN, which torch calls there, has no kernel for two of them: the gradient of the images where the
stride is 2, and that of the weights where the kernel is larger than 3x3. It falls back to one that
takes tens of times as long as the convolution itself, which in a network of MBConv blocks is half
of a step. Each equals a convolution that it does have a kernel for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]  # rows, columns

LARGEST_KERNEL = 3  # that oneDNN has gradients of the weights for
LANES = 16  # channels that a vector instruction takes


def fast_depthwise_gradients(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """While it is entered, depthwise convolutions get their gradients as said above, if this device
    and precision are those that need it; what they compute is the same but for rounding."""
    needed = device.type == "cpu" and precision == "bf16"
    return _ReplaceConv2d() if needed else nullcontext()


class _ReplaceConv2d(TorchFunctionMode):
    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        # nn.Conv2d passes all seven by place
        if function is not torch.conv2d or len(args) != 7 or not _is_slow(*args):
            return function(*args, **(kwargs or {}))
        x, weight, bias, *how, _ = args
        x, weight = x.bfloat16(), weight.bfloat16()  # as autocast has it
        y: Tensor = _Depthwise.apply(x, weight, *how)  # type: ignore[no-untyped-call]
        return y if bias is None else y + bias.bfloat16()[:, None, None]


def _is_slow(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair | str,
    dilation: Pair,
    groups: int,
) -> bool:
    """Whether this is a depthwise convolution in bf16, one of whose gradients oneDNN is slow at."""
    if torch.compiler.is_compiling() or not torch.is_autocast_enabled("cpu"):
        return False
    if x.device.type != "cpu":  # "meta", of which shapes alone are wanted: not autocast's
        return False
    if groups == 1 or tuple(weight.shape[:2]) != (groups, 1) or x.dim() != 4:
        return False
    if isinstance(padding, str):
        return False
    kernel = weight.shape[2:]
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    is_usual = all(p <= r for p, r in zip(padding, reach, strict=True))
    return is_usual and (max(stride) > 1 or max(kernel) > LARGEST_KERNEL)


class _Depthwise(torch.autograd.Function):
    """conv2d with groups = channels. (N,C,H,W) and (C,1,k,l) -> (N,C,h,w)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding, dilation
        return F.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, *_ = ctx.needs_input_grad
        return (
            gradient_of_images(gradient, weight, x.shape, *ctx.how) if of_x else None,
            gradient_of_weight(gradient, x, weight, *ctx.how) if of_weight else None,
            *(None, None, None),
        )


def gradient_of_images(
    gradient: Tensor,
    weight: Tensor,
    shape: Sequence[int],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """With the strides' gaps filled by zeros it is a convolution with the kernel turned around."""
    reach = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    spread = gradient
    if max(stride) > 1:
        sides = [n + 2 * p - r for n, p, r in zip(shape[2:], padding, reach, strict=True)]
        size = (*shape[:2], *sides)
        spread = torch.empty(size, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
        spread[:, :, :: stride[0], :: stride[1]] = gradient
    around = [r - p for r, p in zip(reach, padding, strict=True)]
    return F.conv2d(spread, weight.flip(2, 3), None, 1, around, dilation, len(weight))


def gradient_of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Larger than 3x3: between all channels of blocks of 16, by matrix instructions; of these the
    diagonal is wanted."""
    channels, _, *kernel = weight.shape
    block = math.gcd(channels, LANES) if max(kernel) > LARGEST_KERNEL else 1
    blocks = weight.new_empty(channels, block, *kernel)  # only its shape is read
    _, found, _ = torch.ops.aten.convolution_backward(
        gradient, x, blocks, None, stride, padding, dilation, False, (0, 0), channels // block,
        (False, True, False),
    )  # fmt: skip
    diagonal = found.view(-1, block, block, *kernel).diagonal(0, 1, 2)
    # in the weight's own layout: as what several processes sum up, and the optimizer reads
    return torch.empty_like(weight).copy_(diagonal.movedim(-1, 1).reshape(weight.shape))
