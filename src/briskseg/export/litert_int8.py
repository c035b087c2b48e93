"""A .tflite file in int8: ai-edge-quantizer rounds the float32 file's convolutions and what lies
between them, weights by channel, after running calibration images through it.

In float stay the normalization of images, matrix products, which are averages over the pyramid's
cells, enlarging and attention, and what lies between those. Images stay uint8 and logits float32,
so that whoever runs the one file runs the other.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import needs
from briskseg.core.process_settings import standard_error_silenced
from briskseg.core.wording import first_line
from briskseg.export.int8 import CannotRoundError, Quantizer
from briskseg.export.litert_file import compilers_quiet
from briskseg.export.litert_metadata import IMAGES, SIGNATURE, with_card
from briskseg.runtime.backends.litert_backend import LiteRTBackend

with compilers_quiet(), needs("exporting in int8", "litert-export"):
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import get_op_scope

ALL = "*"  # kinds of operations
LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
# What is rounded between layers. Norms, softmax and quotients have no place here: where rounding
# makes a 0 of a small number, LiteRT divides by it. HARD_SWISH is slow in int8.
BETWEEN = (
    *("ADD", "SUB", "MUL", "RELU", "LOGISTIC"),
    *("MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    *("CONCATENATION", "SPLIT", "SLICE", "STRIDED_SLICE", "PAD", "PADV2", "RESHAPE", "TRANSPOSE"),
)


class LiteRTQuantizer(Quantizer):
    """Files are the bytes of .tflite files."""

    backend = LiteRTBackend
    otherwise = ", or export it --to openvino"

    @staticmethod
    def read(path: Path) -> bytes:
        return path.read_bytes()

    def rounded(self, in_float: Sequence[str]) -> bytes:
        return self._quantized([name for name in self._operations if name not in in_float])

    def rounded_alone(self, rounded: bytes) -> Iterator[tuple[str, bytes]]:
        return (
            (layer, self._quantized([layer]))
            for layer, is_layer in self._operations.items()
            if is_layer
        )

    def write(self, file: bytes, card: Card, path: Path) -> None:
        path.write_bytes(with_card(file, card, self.exported))

    @cached_property
    def _operations(self) -> dict[str, bool]:
        return between_layers(self.float32, self._ranges)

    def _quantized(self, operations: Sequence[str]) -> bytes:
        """The file with these operations rounded."""
        with _rounding():
            pattern = f"^({'|'.join(map(re.escape, operations))})$"
            result = self._quantizer(pattern).quantize(
                self._ranges, enable_progress_bar=False, enable_progress_report=False
            )
        return bytes(result.quantized_model)

    @cached_property
    def _ranges(self) -> Any:
        """Of every tensor, on the calibration images."""
        calls = [{IMAGES: image[None]} for image in self.images]
        with _rounding():
            return self._quantizer(".*").calibrate({SIGNATURE: calls}, num_threads=1)

    def _quantizer(self, pattern: str) -> Any:
        made = quantizer.Quantizer(self.float32)
        made.add_static_config(pattern, ALL, activation_num_bits=8, weight_num_bits=8)
        skip = algorithm_manager.AlgorithmName.NO_QUANTIZE
        for kind in ("INPUT", "OUTPUT"):
            made.update_quantization_recipe(".*", kind, algorithm_key=skip)
        return made


def between_layers(model: bytes, ranges: Mapping[str, Any]) -> dict[str, bool]:
    """The operations of a .tflite file that are rounded, as the quantizer names them, and whether
    each is a layer: layers, and what takes nothing but rounded numbers and gives them to what is
    rounded, or is the last.

    ranges: of each tensor. An operation on infinite numbers, as those put around an image before
    the largest pixels are taken, stays as it is.
    """
    read = qtyping.ModelT.InitFromPackedBuf(model, 0)
    kinds = {number: name for name, number in vars(qtyping.BuiltinOperator).items()}
    graph = read.subgraphs[read.signatureDefs[0].subgraphIndex]
    infinite = {
        number
        for number, tensor in enumerate(graph.tensors)
        if not all(np.isfinite(end).all() for end in ranges.get(tensor.name.decode(), {}).values())
    }
    rounded = dict.fromkeys(graph.inputs, False)  # by tensor; constants are not in here
    candidates = []
    for operator in graph.operators:
        kind = kinds[read.operatorCodes[operator.opcodeIndex].builtinCode]
        sources = [rounded[tensor] for tensor in operator.inputs if tensor in rounded]
        lies_between = kind in BETWEEN and sources != [] and all(sources)
        is_finite = infinite.isdisjoint([*operator.inputs, *operator.outputs])
        is_rounded = (kind in LAYERS or lies_between) and is_finite
        rounded |= dict.fromkeys(operator.outputs, is_rounded)
        if is_rounded:
            candidates.append((operator, kind in LAYERS))
    wanted, found = {*graph.outputs}, {}
    for operator, is_layer in reversed(candidates):
        if is_layer or not wanted.isdisjoint(operator.outputs):
            wanted.update(operator.inputs)
            found[get_op_scope(operator, graph.tensors)] = is_layer
    return dict(reversed(found.items()))


@contextlib.contextmanager
def _rounding() -> Iterator[None]:
    """Within, the package is quiet, which draws bars, and its errors are one kind."""
    with compilers_quiet(), standard_error_silenced(), contextlib.redirect_stderr(io.StringIO()):
        try:
            yield
        except (RuntimeError, ValueError, KeyError, NotImplementedError) as error:
            raise CannotRoundError(first_line(error)) from error
