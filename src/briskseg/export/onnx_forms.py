"""What each torch module here is in ONNX: the order of the calls, as in its `forward`.

A network's blocks are found by the name of their class; `erfnet` and `erfnet_fcn` share theirs.
`x` is always the name of a tensor (N,C,H,W).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from briskseg.core.types import Array
from briskseg.models.fast_scnn import POOLED

if TYPE_CHECKING:
    from briskseg.export.onnx_file import Graph


def _erfnet(graph: Graph, net: Any, x: str) -> None:
    """Its last deconvolution (2x2, stride 2) does not overlap, so it is a 1x1 convolution to four
    times the classes at half size. Labels are taken there, of each of the four pixels, and only
    these bytes are rearranged."""
    for part in (net.encoder.initial_block, net.encoder.layers, net.decoder.layers):
        x = graph(part, x)
    last = net.decoder.output_conv
    assert last.stride == last.kernel_size == (2, 2)
    # Channel (2 i + j) * classes + c is the pixel (2 y + i, 2 x + j).
    weight, bias = _array(last.weight), np.tile(_array(last.bias), 4)
    weight = weight.transpose(2, 3, 1, 0).reshape(4 * net.classes, -1, 1, 1)
    four = graph.add("Conv", x, graph.constant(weight), graph.constant(bias))
    classes = graph.constant([0, 4, net.classes])
    shape = graph.add("Concat", classes, graph.shape(four, 2, 4), axis=0)
    each = graph.add("Reshape", four, shape)  # (N,4,classes,h,w)
    labels = graph.cast(graph.add("ArgMax", each, axis=2, keepdims=0), "UINT8")
    labels = graph.add("DepthToSpace", labels, blocksize=2)
    labels = graph.crop(labels, 2)
    graph.add("Squeeze", labels, graph.constant([1]), out="labels")
    graph.crop(graph.add("DepthToSpace", four, blocksize=2), 2, out="logits")


def _erfnet_fcn(graph: Graph, net: Any, x: str) -> None:
    for part in (net.encoder, net.decoder, net.head):
        x = graph(part, x)
    x = graph.add("Identity", x, out="logits")
    twice = graph.add("Mul", graph.shape(x, 2, 4), graph.constant([2, 2]))
    _labels(graph, graph.resize(x, twice, net.align_corners))


def _fast_scnn(graph: Graph, net: Any, x: str) -> None:
    fine = graph(net.learning_to_downsample, x)
    coarse = graph(net.global_feature_extractor, fine)
    fusion = net.feature_fusion
    coarse = graph.resize(coarse, graph.shape(fine, 2, 4), net.align_corners)
    coarse = graph(fusion.coarse, graph(fusion.depthwise, coarse))
    fused = graph.add("Relu", graph.add("Add", graph(fusion.fine, fine), coarse))
    logits = graph.add("Identity", graph(net.classifier, fused), out="logits")
    _labels(graph, graph.resize(logits, graph.numbers(graph.size_hw), net.align_corners))


def _labels(graph: Graph, full: str) -> None:
    labels = graph.add("ArgMax", full, axis=1, keepdims=0)
    graph.crop(graph.cast(labels, "UINT8"), 1, out="labels")


def _downsampler(graph: Graph, block: Any, x: str) -> str:
    scale, shift = _scale_and_shift(block.bn)
    channels = block.conv.out_channels
    y = _conv(graph, block.conv, x, scale[:channels], shift[:channels])
    pooled = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    pooled = graph.add("Mul", pooled, graph.constant(scale[channels:].reshape(-1, 1, 1)))
    pooled = graph.add("Add", pooled, graph.constant(shift[channels:].reshape(-1, 1, 1)))
    return graph.add("Relu", graph.add("Concat", y, pooled, axis=1))


def _upsampler(graph: Graph, block: Any, x: str) -> str:
    return graph.add("Relu", _conv(graph, block.conv, x, *_scale_and_shift(block.bn)))


def _non_bottleneck(graph: Graph, block: Any, x: str) -> str:
    y = graph.add("Relu", graph(block.conv3x1_1, x))
    y = _conv(graph, block.conv1x3_1, y, *_scale_and_shift(block.bn1))
    y = graph.add("Relu", graph(block.conv3x1_2, graph.add("Relu", y)))
    y = _conv(graph, block.conv1x3_2, y, *_scale_and_shift(block.bn2))
    return graph.add("Relu", graph.add("Add", x, y))


def _bottleneck(graph: Graph, block: Any, x: str) -> str:
    y = graph(block.project, graph(block.depthwise, graph(block.expand, x)))
    return graph.add("Add", x, y) if block.residual else y


def _pyramid_pooling(graph: Graph, pooling: Any, x: str) -> str:
    """All levels' averages in two matrix products: the rows of all levels' cells against their
    columns, of which each level is a block on the diagonal."""
    rows, columns = (_cell_weights(graph, graph.shape(x, axis, axis + 1)) for axis in (2, 3))
    averages = graph.add("MatMul", rows, x)  # (N,C,12,W)
    columns = graph.add("Transpose", columns, perm=[1, 0])
    averages = graph.add("MatMul", averages, columns)  # (N,C,12,12)
    size_hw, axes = graph.shape(x, 2, 4), graph.constant([2, 3])
    pyramid, first = [x], 0
    for level, cells in zip(pooling.levels, POOLED, strict=True):
        starts, ends = graph.constant([first] * 2), graph.constant([first + cells] * 2)
        level_x = graph(level, graph.add("Slice", averages, starts, ends, axes))
        pyramid.append(graph.resize(level_x, size_hw, pooling.align_corners))
        first += cells
    return graph(pooling.out, graph.add("Concat", *pyramid, axis=1))


def _cell_weights(graph: Graph, size: str) -> str:
    """(12, size): a row averages the pixels of a cell along one axis, as adaptive average pooling:
    cell i of n goes from floor(i size / n) to ceil((i + 1) size / n)."""
    of = np.concatenate([np.full(cells, cells) for cells in POOLED])[:, None]
    cell = np.concatenate([np.arange(cells) for cells in POOLED])[:, None]
    n = graph.constant(of)
    start = graph.add("Div", graph.add("Mul", size, graph.constant(cell)), n)
    end = graph.add("Add", graph.add("Mul", size, graph.constant(cell + 1)), graph.constant(of - 1))
    end = graph.add("Div", end, n)
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    pixel = graph.add("Range", zero, graph.add("Squeeze", size), one)
    inside = graph.add(
        "And", graph.add("GreaterOrEqual", pixel, start), graph.add("Less", pixel, end)
    )
    length = graph.cast(graph.add("Sub", end, start), "FLOAT")
    return graph.add("Div", graph.cast(inside, "FLOAT"), length)


def _sequential(graph: Graph, parts: Any, x: str) -> str:
    modules = [m for m in parts if not isinstance(m, nn.Dropout | nn.Dropout2d)]
    for module, following in pairwise([*modules, None]):
        if isinstance(following, nn.BatchNorm2d) and isinstance(module, nn.Conv2d):
            x = _conv(graph, module, x, *_scale_and_shift(following))
        elif not isinstance(module, nn.BatchNorm2d):
            x = graph(module, x)
    return x


def _convolution(graph: Graph, conv: Any, x: str) -> str:
    return _conv(graph, conv, x, np.ones(1), np.zeros(1))


def _conv(graph: Graph, conv: Any, x: str, scale: Array, shift: Array) -> str:
    """The convolution or deconvolution, its output times `scale` plus `shift` by channel."""
    transposed = isinstance(conv, nn.ConvTranspose2d)
    weight = _array(conv.weight) * scale.reshape((1, -1, 1, 1) if transposed else (-1, 1, 1, 1))
    bias = (_array(conv.bias) if conv.bias is not None else 0) * scale + shift
    inputs = [x, graph.constant(weight)]
    if bias.any():
        inputs.append(graph.constant(bias * np.ones(conv.out_channels)))
    options = {
        "kernel_shape": conv.kernel_size,
        "strides": conv.stride,
        "dilations": conv.dilation,
        "pads": [*conv.padding, *conv.padding],
        "group": conv.groups,
    }
    if not transposed:
        return graph.add("Conv", *inputs, **options)
    return graph.add("ConvTranspose", *inputs, output_padding=conv.output_padding, **options)


def _scale_and_shift(norm: Any) -> tuple[Array, Array]:
    """Batch norm in eval mode: x * scale + shift, in float64."""
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return scale, _array(norm.bias) - _array(norm.running_mean) * scale


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)


HEADS: dict[str, Callable[[Graph, Any, str], None]] = {
    "ERFNet": _erfnet,
    "ERFNetFCN": _erfnet_fcn,
    "FastSCNN": _fast_scnn,
}

FORMS: dict[str, Callable[[Graph, Any, str], str]] = {
    "Downsampler": _downsampler,
    "Upsampler": _upsampler,
    "NonBottleneck1d": _non_bottleneck,
    "Bottleneck": _bottleneck,
    "PyramidPooling": _pyramid_pooling,
    "Sequential": _sequential,
    "Conv2d": _convolution,
    "ConvTranspose2d": _convolution,
    "ReLU": lambda graph, _, x: graph.add("Relu", x),
}
