"""What each torch module here is in Keras: the order of the calls, as in its `forward`.

A network's blocks are found by the name of their class; `erfnet` and `erfnet_fcn` share theirs.
`x` is always (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.types import Array
from briskseg.models.erfnet import STRIDE
from briskseg.models.fast_scnn import POOLED

if TYPE_CHECKING:
    from briskseg.export.keras_ import Writer


def _erfnet(keras: Writer, net: Any, images: Any) -> Any:
    x = keras.extend(images, *_whole_strides(images))
    for part in (net.encoder.initial_block, net.encoder.layers, net.decoder.layers):
        x = keras(part, x)
    return keras.crop(keras(net.decoder.output_conv, x), *images.shape[1:3])


def _erfnet_fcn(keras: Writer, net: Any, images: Any) -> Any:
    height, width = _whole_strides(images)
    x = keras.extend(images, height, width)
    for part in (net.encoder, net.decoder, net.head):
        x = keras(part, x)
    return keras.crop(keras.resize(x, (height, width), False), *images.shape[1:3])


def _whole_strides(images: Any) -> tuple[int, int]:
    height, width = (-(-side // STRIDE) * STRIDE for side in images.shape[1:3])
    return height, width


def _downsampler(keras: Writer, block: Any, x: Any) -> Any:
    pooled = keras.add("MaxPooling2D", x, pool_size=2)
    return keras.relu(keras(block.bn, keras.concatenate([keras(block.conv, x), pooled])))


def _upsampler(keras: Writer, block: Any, x: Any) -> Any:
    return keras.relu(keras(block.bn, keras(block.conv, x)))


def _non_bottleneck(keras: Writer, block: Any, x: Any) -> Any:
    y = keras.relu(keras(block.conv3x1_1, x))
    y = keras.relu(keras(block.bn1, keras(block.conv1x3_1, y)))
    y = keras.relu(keras(block.conv3x1_2, y))
    y = keras(block.dropout, keras(block.bn2, keras(block.conv1x3_2, y)))
    return keras.relu(keras.plus(x, y))


def _fast_scnn(keras: Writer, net: Any, images: Any) -> Any:
    x = images if net.variant.padded else keras.extend(images, 3, 3)
    fine = keras(net.learning_to_downsample, x)
    coarse = keras(net.global_feature_extractor, fine)
    fusion, corners = net.feature_fusion, net.variant.align_corners
    coarse = keras.resize(coarse, fine.shape[1:3], corners)
    coarse = keras(fusion.coarse, keras(fusion.depthwise, coarse))
    fused = keras.relu(keras.plus(keras(fusion.fine, fine), coarse))
    return keras.resize(keras(net.classifier, fused), images.shape[1:3], corners)


def _bottleneck(keras: Writer, block: Any, x: Any) -> Any:
    y = keras(block.project, keras(block.depthwise, keras(block.expand, x)))
    return keras.plus(x, y) if block.residual else y


def _pyramid_pooling(keras: Writer, pooling: Any, x: Any) -> Any:
    pyramid = [x]
    for level, cells in zip(pooling.levels, POOLED, strict=True):
        averages = keras.resample(x, *(average_weights(side, cells) for side in x.shape[1:3]))
        level_x = keras(level, averages)
        pyramid.append(keras.resize(level_x, x.shape[1:3], pooling.align_corners))
    return keras(pooling.out, keras.concatenate(pyramid))


def _sequential(keras: Writer, parts: Any, x: Any) -> Any:
    for part in parts:
        x = keras(part, x)
    return x


def _convolution(keras: Writer, conv: Any, x: Any) -> Any:
    reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    same = conv.stride == (1, 1) and [2 * p for p in conv.padding] == reach
    if not same and any(conv.padding):
        x = keras.add("ZeroPadding2D", x, padding=conv.padding)
    options = {
        "kernel_size": conv.kernel_size,
        "strides": conv.stride,
        "dilation_rate": conv.dilation,
        "padding": "same" if same else "valid",
        "use_bias": conv.bias is not None,
    }
    if conv.groups == conv.in_channels > 1:
        return keras.add_weighted("DepthwiseConv2D", conv, x, **options)
    return keras.add_weighted("Conv2D", conv, x, filters=conv.out_channels, **options)


def _deconvolution(keras: Writer, conv: Any, x: Any) -> Any:
    y = keras.add_weighted(
        "Conv2DTranspose",
        conv,
        x,
        filters=conv.out_channels,
        kernel_size=conv.kernel_size,
        strides=conv.stride,
        padding="valid",
        use_bias=conv.bias is not None,
    )
    sides = zip(conv.padding, conv.output_padding, strict=True)
    cropping = tuple((padding, padding - more) for padding, more in sides)
    return keras.add("Cropping2D", y, cropping=cropping) if any(conv.padding) else y


def _batch_norm(keras: Writer, norm: Any, x: Any) -> Any:
    return keras.add_weighted(
        "BatchNormalization", norm, x, axis=-1, momentum=1 - norm.momentum, epsilon=norm.eps
    )


def _relu(keras: Writer, _: Any, x: Any) -> Any:
    return keras.relu(x)


def _dropout(keras: Writer, dropout: Any, x: Any) -> Any:
    return keras.add("Dropout", x, rate=dropout.p, seed=0) if dropout.p else x


def _channel_dropout(keras: Writer, dropout: Any, x: Any) -> Any:
    return keras.add("SpatialDropout2D", x, rate=dropout.p, seed=0) if dropout.p else x


FORMS: dict[str, Callable[[Writer, Any, Any], Any]] = {
    "ERFNet": _erfnet,
    "ERFNetFCN": _erfnet_fcn,
    "FastSCNN": _fast_scnn,
    "Downsampler": _downsampler,
    "Upsampler": _upsampler,
    "NonBottleneck1d": _non_bottleneck,
    "Bottleneck": _bottleneck,
    "PyramidPooling": _pyramid_pooling,
    "Sequential": _sequential,
    "Conv2d": _convolution,
    "ConvTranspose2d": _deconvolution,
    "BatchNorm2d": _batch_norm,
    "ReLU": _relu,
    "Dropout": _dropout,
    "Dropout2d": _channel_dropout,
}


def average_weights(size: int, cells: int) -> Array:
    """(size, cells): a column averages the pixels of a cell along one axis, as adaptive average
    pooling: cell i goes from floor(i size / cells) to ceil((i + 1) size / cells)."""
    weights = np.zeros((size, cells), np.float32)
    for cell in range(cells):
        start, end = cell * size // cells, -(-(cell + 1) * size // cells)
        weights[start:end, cell] = 1 / (end - start)
    return weights


def corner_weights(size: int, wanted: int) -> Array:
    """(size, wanted): a column interpolates linearly along one axis, first and last pixel kept."""
    at = np.linspace(0, size - 1, wanted) if wanted > 1 else np.zeros(1)
    distance = np.abs(at[None] - np.arange(size)[:, None])
    weights: Array = np.maximum(1 - distance, 0).astype(np.float32)
    return weights
