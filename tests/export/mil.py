"""What a Core ML program computes, by the documentation of its operations, with torch in the place
of Core ML: enough operations for the networks here. Written from the operations' reference alone,
so that it is an independent reading of what an .mlpackage holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def run(package: Path, image_nchw: Tensor) -> Tensor:
    """The program's output for its image (1,3,H,W), from 0 to 255."""
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = coremltools.utils.load_spec(str(package))
    weights = package / "Data" / "com.apple.CoreML" / "weights"
    program = load(spec, spec.specificationVersion, str(weights))
    (main,) = program.functions.values()
    (name,) = main.inputs
    values: dict[str, Any] = {name: image_nchw}
    for operation in main.operations:
        inputs = {key: _value(one, values) for key, one in operation.inputs.items()}
        if operation.op_type == "const":
            found = operation.outputs[0].val
            found = torch.from_numpy(np.array(found)) if isinstance(found, np.ndarray) else found
        else:
            found = OPERATIONS[operation.op_type](**inputs)
        found = (
            found if isinstance(found, tuple | list) and operation.op_type == "split" else [found]
        )
        for output, value in zip(operation.outputs, found, strict=True):
            values[output.name] = value
            if isinstance(value, Tensor) and operation.op_type != "const":
                assert tuple(value.shape) == tuple(output.shape), (operation.op_type, output.name)
    return values[main.outputs[0].name]


def _value(variable: Any, values: dict[str, Any]) -> Any:
    if isinstance(variable, tuple | list):
        return [_value(one, values) for one in variable]
    return None if variable is None else values[variable.name]


def _ints(value: Any) -> list[int]:
    return [int(x) for x in np.atleast_1d(np.asarray(value))]


def _padded(x: Tensor, kind: str, pad: Any) -> Tensor:
    """conv's and the pools' `pad` counts (before, after) an axis."""
    if kind == "valid":
        return x
    assert kind == "custom", kind
    top, below, left, right = _ints(pad)
    return F.pad(x, (left, right, top, below))


def conv(x, weight, strides, pad_type, pad, dilations, groups, bias=None):
    x = _padded(x, pad_type, pad)
    return F.conv2d(x, weight, bias, _ints(strides), dilation=_ints(dilations), groups=int(groups))


def conv_transpose(
    x, weight, strides, pad_type, pad, dilations, groups, bias=None, output_shape=None
):
    y = F.conv_transpose2d(x, weight, bias, _ints(strides), groups=int(groups))
    assert _ints(dilations) == [1, 1]
    top, below, left, right = _ints(pad) if pad_type == "custom" else (0, 0, 0, 0)
    return y[:, :, top : y.shape[2] - below, left : y.shape[3] - right]


def pool(of):
    def pooled(
        x, kernel_sizes, strides, pad_type, pad, ceil_mode, exclude_padding_from_average=True
    ):
        assert not ceil_mode
        kernel, stride, (top, below, left, right) = _ints(kernel_sizes), _ints(strides), _ints(pad)
        assert pad_type == "valid" or (top, left) == (below, right)
        padding = (top, left) if pad_type == "custom" else (0, 0)
        if of == "max":
            return F.max_pool2d(x, kernel, stride, padding)
        count = not exclude_padding_from_average
        return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=count)

    return pooled


def upsample_bilinear(
    x, scale_factor_height, scale_factor_width, align_corners, half_pixel_centers=None
):
    assert not align_corners
    assert half_pixel_centers in (None, True)
    size = [
        int(np.floor(side * np.float32(scale) + 1e-4))
        for side, scale in zip(x.shape[2:], (scale_factor_height, scale_factor_width), strict=True)
    ]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def upsample_nearest_neighbor(x, scale_factor_height, scale_factor_width):
    size = [
        round(s * float(f))
        for s, f in zip(x.shape[2:], (scale_factor_height, scale_factor_width), strict=True)
    ]
    return F.interpolate(x, size, mode="nearest")


def slice_by_index(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    rank = x.dim()
    steps = [1] * rank if stride is None else _ints(stride)
    firsts = [False] * rank if begin_mask is None else np.asarray(begin_mask).tolist()
    lasts = [False] * rank if end_mask is None else np.asarray(end_mask).tolist()
    assert squeeze_mask is None or not np.any(np.asarray(squeeze_mask))
    found = [
        slice(None if no_first else first, None if no_last else last, step)
        for first, last, step, no_first, no_last in zip(
            _ints(begin), _ints(end), steps, firsts, lasts, strict=True
        )
    ]
    return x[tuple(found)]


def pad(x, pad, mode="constant", constant_val=0.0):
    pairs = np.reshape(_ints(pad), (-1, 2))[::-1].reshape(-1).tolist()
    if mode == "constant":
        return F.pad(x, pairs, value=float(constant_val))
    while len(pairs) > 4:
        assert pairs[-2:] == [0, 0]
        pairs = pairs[:-2]
    return F.pad(x, pairs, mode={"replicate": "replicate", "reflect": "reflect"}[mode])


def matmul(x, y, transpose_x=False, transpose_y=False):
    x = x.transpose(-1, -2) if transpose_x else x
    return x @ (y.transpose(-1, -2) if transpose_y else y)


def reduce(of):
    def reduced(x, axes, keep_dims):
        return of(x, tuple(_ints(axes)), bool(keep_dims))

    return reduced


def batch_norm(x, mean, variance, gamma, beta, epsilon):
    return F.batch_norm(x, mean, variance, gamma, beta, eps=float(epsilon))


def layer_norm(x, axes, gamma, beta, epsilon):
    assert _ints(axes) in ([-1], [x.dim() - 1])
    return F.layer_norm(x, x.shape[-1:], gamma, beta, float(epsilon))


def split(x, axis, num_splits=None, split_sizes=None):
    if split_sizes is None:
        return torch.chunk(x, int(num_splits), int(axis))
    return torch.split(x, _ints(split_sizes), int(axis))


def gelu(x, mode="EXACT"):
    assert mode == "EXACT"
    return F.gelu(x)


OPERATIONS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "relu": lambda x: F.relu(x),
    "sigmoid": lambda x: torch.sigmoid(x),
    "sigmoid_hard": lambda x, alpha, beta: (x * float(alpha) + float(beta)).clamp(0, 1),
    "clip": lambda x, alpha, beta: x.clamp(float(alpha), float(beta)),
    "thresholded_relu": lambda x, alpha: torch.where(x >= float(alpha), x, torch.zeros_like(x)),
    "softmax": lambda x, axis: torch.softmax(x, int(axis)),
    "gelu": gelu,
    "concat": lambda values, axis, interleave=False: torch.cat(values, int(axis)),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
    "matmul": matmul,
    "max_pool": pool("max"),
    "avg_pool": pool("mean"),
    "reduce_mean": reduce(torch.mean),
    "reduce_max": reduce(torch.amax),
    "reduce_sum": reduce(torch.sum),
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "reshape": lambda x, shape: x.reshape(_ints(shape)),
    "transpose": lambda x, perm: x.permute(_ints(perm)),
    "split": split,
    "pad": pad,
    "pixel_shuffle": lambda x, upscale_factor: F.pixel_shuffle(x, int(upscale_factor)),
    "slice_by_index": slice_by_index,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
