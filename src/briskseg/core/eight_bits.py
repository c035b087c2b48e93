"""Weights that eight bits hold: whole multiples, of up to 127, of a scale for each output channel.

A .safetensors file has the weights NAME of such a convolution as its multiples, int8, and beside
them NAME.scale, float16, of shape (channels, 1, 1, 1): `load_weights` gives their product in
float32. An .onnx file computes the same product when it is loaded. Shipped weights are rounded to
such numbers once, by `benchmarks/ship.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from briskseg.core.types import Array, Floats32

MOST_MULTIPLE = 127
SCALE = ".scale"  # the end of its name

_SMALLEST = 2.0**-24  # of float16, whose numbers are all multiples of it


def as_float16(values: Array) -> npt.NDArray[np.float16] | None:
    """The same numbers, or None where float16 does not hold them, or they are no floats."""
    if values.dtype not in (np.float16, np.float32):
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None


def as_int8(
    weight: npt.NDArray[np.float16],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]] | None:
    """(O,I,h,w) -> the multiples, and the scales (O,1,1,1), whose product is `weight`; None where a
    channel is no such product. Of a transposed convolution the first axis is the input's."""
    if not np.isfinite(weight).all():
        return None
    whole = (weight.astype(np.float64) / _SMALLEST).astype(np.int64)
    divisors = np.maximum(np.gcd.reduce(whole, axis=(1, 2, 3), keepdims=True), 1)
    multiples = whole // divisors
    if np.abs(multiples).max(initial=0) > MOST_MULTIPLE:
        return None
    # a divisor of float16's numbers is one
    return multiples.astype(np.int8), (divisors * _SMALLEST).astype(np.float16)


def packed(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors as a file stores them: weights of convolutions in eight bits where that loses
    nothing."""
    stored: dict[str, Array] = {}
    for name, tensor in tensors.items():
        half = as_float16(tensor) if tensor.ndim == 4 and name + SCALE not in tensors else None
        eight = None if half is None else as_int8(half)
        if eight is None:
            stored[name] = tensor
        else:
            stored[name], stored[name + SCALE] = eight
    return stored


def unpacked(stored: Mapping[str, Array]) -> dict[str, Array]:
    """What `packed` was given, float32 where the file has eight bits.

    Raises ValueError for multiples without a scale that fits them.
    """
    tensors: dict[str, Array] = {}
    for name, tensor in stored.items():
        of = name.removesuffix(SCALE)
        if of != name and of in stored and _are_multiples(stored[of]):
            continue
        tensors[name] = _product(name, stored) if _are_multiples(tensor) else tensor
    return tensors


def _are_multiples(tensor: Array) -> bool:
    return tensor.dtype == np.int8 and tensor.ndim == 4


def _product(name: str, stored: Mapping[str, Array]) -> Floats32:
    multiples, scale = stored[name], stored.get(name + SCALE)
    expected = f"float16 of ({len(multiples)}, 1, 1, 1), finite"
    if scale is None:
        raise ValueError(f"{name} is int8 without {name + SCALE}, expected {expected}")
    if scale.dtype != np.float16 or scale.shape != (len(multiples), 1, 1, 1):
        raise ValueError(f"{name + SCALE} is {scale.dtype} of {scale.shape}, expected {expected}")
    if not np.isfinite(scale).all():
        raise ValueError(f"{name + SCALE} has numbers that are not, expected {expected}")
    product: Floats32 = multiples.astype(np.float32) * scale.astype(np.float32)
    return product
