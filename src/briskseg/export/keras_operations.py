"""The Keras layers that stand for each operation of a network's export form.

Keras pads "same" convolutions of stride 2 and enlarges by deconvolution otherwise than torch, so
these are written as explicit padding and cropping. What is linear along an axis and no layer has,
or has otherwise (averages, repeated borders, the enlarging that `fixed_size` replaces), is a matrix
in an EinsumDense.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.errors import ExportError

if TYPE_CHECKING:
    from briskseg.export.keras_file import Writer

KERAS_AXIS = {0: 0, 1: 3, 2: 1, 3: 2}  # of each axis of (N,C,H,W) in (N,H,W,C)


class Weight(str):
    """The name of a tensor of the network, in place of the tensor."""


def _convolution(
    writer: Writer, x: Any, weight: Weight, bias: Weight | Tensor | None = None, *numbers: Any
) -> Any:
    """numbers: stride, padding, dilation, groups; those that are as usual may be missing. A bias
    that is computed from a tensor of ours stays as it is when the file is trained on."""
    if isinstance(bias, Tensor):
        x = _convolution(writer, x, weight, None, *numbers)
        arrays = [np.ones((1, 1, len(bias), 1), np.float32), bias.detach().numpy()]
        return writer.add_fixed("DepthwiseConv2D", x, arrays, kernel_size=1)
    usual: list[Any] = [(1, 1), (0, 0), (1, 1), 1]
    stride, padding, dilation, groups = [*numbers, *usual[len(numbers) :]]
    out_channels, _, *kernel = writer.state[weight].shape
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    same = [*stride] == [1, 1] and [2 * p for p in padding] == reach
    if not same and any(padding):
        x = writer.add("ZeroPadding2D", x, padding=tuple(padding))
    options: dict[str, Any] = {
        "kernel_size": tuple(kernel),
        "strides": tuple(stride),
        "dilation_rate": tuple(dilation),
        "padding": "same" if same else "valid",
        "use_bias": bias is not None,
    }
    if groups == x.shape[3] == out_channels > 1:
        return writer.add_weighted("DepthwiseConv2D", x, [weight, bias], **options)
    options |= {"filters": out_channels, "groups": groups}
    return writer.add_weighted("Conv2D", x, [weight, bias], **options)


def _deconvolution(writer: Writer, x: Any, weight: Weight, bias: Weight | None, stride: Any) -> Any:
    _, out_channels, *kernel = writer.state[weight].shape
    options = {"filters": out_channels, "kernel_size": tuple(kernel), "strides": tuple(stride)}
    options |= {"padding": "valid", "use_bias": bias is not None}
    return writer.add_weighted("Conv2DTranspose", x, [weight, bias], **options)


def _batch_norm(writer: Writer, x: Any, *numbers: Any) -> Any:
    *weights, _training, momentum, epsilon, _cudnn = numbers
    options = {"axis": -1, "momentum": 1 - momentum, "epsilon": epsilon}
    return writer.add_weighted("BatchNormalization", x, weights, **options)


def _slice(writer: Writer, x: Any, axis: int, start: int, end: int, step: int = 1) -> Any:
    """Rows or columns of (N,C,H,W); others are left whole."""
    at = KERAS_AXIS[axis]
    size = x.shape[at]
    if at in (1, 2) and step == 1:
        before, after = start, max(size - end, 0)
        cropping = ((before, after), (0, 0)) if at == 1 else ((0, 0), (before, after))
        return writer.add("Cropping2D", x, cropping=cropping) if before or after else x
    if start == 0 and (size is None or end >= size) and step == 1:
        return x
    raise ExportError("a Keras file cannot hold a network that takes some of its channels apart")


def _matmul(writer: Writer, left: Any, right: Any) -> Any:
    """By a constant matrix: along H from the left, along W from the right."""
    if isinstance(left, Tensor):
        return writer.along(right, 2, left.T)
    return writer.along(left, 3, right)


def _index_select(writer: Writer, x: Any, axis: int, index: Tensor) -> Any:
    size = x.shape[KERAS_AXIS[axis]]
    return writer.along(x, axis, F.one_hot(index, size).T)


def _bilinear(writer: Writer, x: Any, size_hw: Any, *_: Any) -> Any:
    height, width = size_hw
    if x.shape[1:3] == (height, width):
        return x
    return writer.add("Resizing", x, height=height, width=width, interpolation="bilinear")


def _nearest(writer: Writer, x: Any, size_hw: Any, scales: Any = None) -> Any:
    """By whole numbers."""
    factors = scales or [after // side for after, side in zip(size_hw, x.shape[1:3], strict=True)]
    return writer.add("UpSampling2D", x, size=tuple(map(int, factors)))


def _spread(writer: Writer, x: Any, axis: int, resample: Callable[[Tensor], Tensor]) -> Any:
    """Along an axis, what `resample` makes of (1,C,L,1); a pixel in each channel shows how."""
    size = x.shape[KERAS_AXIS[axis]]
    return writer.along(x, axis, resample(torch.eye(size)[None, :, :, None])[0, :, :, 0])


def _average_pool(
    writer: Writer, x: Any, kernel: Any, stride: Any, padding: Any = (0, 0), *how: Any
) -> Any:
    """how: ceil_mode, count_include_pad. Keras leaves padding out of the mean."""
    for axis, k, s, p in zip((2, 3), kernel, stride, padding, strict=True):

        def pooled(eye: Tensor, window: tuple[int, int, int] = (k, s, p)) -> Tensor:
            return F.avg_pool1d(eye[..., 0], *window, *how)[..., None]

        x = _spread(writer, x, axis, pooled)
    return x


def _reduced(writer: Writer, x: Any, axes: Any, keepdim: bool, *, mean: bool) -> Any:
    """The mean or sum over these axes, which stay with the length 1."""
    assert keepdim
    for axis in axes:
        size = x.shape[KERAS_AXIS[axis]]
        x = writer.along(x, axis, torch.full((size, 1), 1 / size if mean else 1.0))
    return x


def _largest_channel(writer: Writer, x: Any, axes: Any, keepdim: bool) -> Any:
    """Which Keras has along a sequence alone: the channels of each pixel are one."""
    assert [*axes] == [1]
    assert keepdim
    height, width, channels = x.shape[1:]
    x = writer.add("Reshape", x, target_shape=(height * width, channels))
    x = writer.add("GlobalMaxPooling1D", x, data_format="channels_first")
    return writer.add("Reshape", x, target_shape=(height, width, 1))


def _pixel_shuffle(writer: Writer, x: Any, factor: int) -> Any:
    height, width, channels = x.shape[1:]
    parts = (height, width, channels // factor**2, factor, factor)
    x = writer.add("Reshape", x, target_shape=parts)
    x = writer.add("Permute", x, dims=(1, 4, 2, 5, 3))
    return writer.add("Reshape", x, target_shape=(height * factor, width * factor, parts[2]))


def _pad(writer: Writer, x: Any, sides: Any) -> Any:
    """sides: left, right, above, below; with zeros."""
    left, right, above, below = sides
    return writer.add("ZeroPadding2D", x, padding=((above, below), (left, right)))


def _clipped(writer: Writer, x: Any, least: float, most: float) -> Any:
    assert least == 0
    return writer.add("ReLU", x, max_value=most)


def _activation(name: str) -> Callable[..., Any]:
    return lambda writer, x: writer.add("Activation", x, activation=name)


def _concatenate(writer: Writer, xs: Any, axis: int = 0) -> Any:
    return writer.add("Concatenate", list(xs), axis=KERAS_AXIS[axis])


def _max_pool(
    writer: Writer, x: Any, kernel: Any, stride: Any = (), padding: Any = (0, 0), *_: Any
) -> Any:
    for axis, reach in zip((2, 3), padding, strict=True):
        if reach:  # a border that is repeated changes no maximum
            size = x.shape[KERAS_AXIS[axis]]
            index = torch.arange(-reach, size + reach).clamp(0, size - 1)
            x = _index_select(writer, x, axis, index)
    return writer.add("MaxPooling2D", x, pool_size=tuple(kernel), strides=tuple(stride or kernel))


def _dropout(layer: str) -> Callable[..., Any]:
    return lambda writer, x, p, _: writer.add(layer, x, rate=p, seed=0) if p else x


OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _deconvolution,
    "batch_norm": _batch_norm,
    "relu": lambda writer, x: writer.add("ReLU", x),
    "hardtanh": _clipped,
    "sigmoid": _activation("sigmoid"),
    "hardsigmoid": _activation("hard_sigmoid"),
    "hardswish": _activation("hard_silu"),
    "mul": lambda writer, x, y: writer.add("Multiply", [x, y]),
    "rsub": lambda writer, x, y: writer.add("Rescaling", x, scale=-1.0, offset=float(y)),
    "mean": functools.partial(_reduced, mean=True),
    "sum": functools.partial(_reduced, mean=False),
    "amax": _largest_channel,
    "avg_pool2d": _average_pool,
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "upsample_nearest2d": _nearest,
    "add": lambda writer, x, y: writer.add("Add", [x, y]),
    "cat": _concatenate,
    "max_pool2d": _max_pool,
    "slice": _slice,
    "alias": lambda writer, x: x,
    "clone": lambda writer, x: x,
    "matmul": _matmul,
    "index_select": _index_select,
    "upsample_bilinear2d": _bilinear,
    "dropout": _dropout("Dropout"),
    "feature_dropout": _dropout("SpatialDropout2D"),
}
