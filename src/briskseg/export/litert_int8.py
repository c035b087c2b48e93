"""A .tflite file in int8: ai-edge-quantizer rounds the operations of the float32 file, weights by
channel, after running calibration images through it. Images stay uint8 and logits float32, so that
whoever runs the one file runs the other.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import ExportError, MissingExtraError, WeightsError
from briskseg.core.exported import Exported
from briskseg.core.process_settings import standard_error_silenced
from briskseg.core.types import Image, Logits
from briskseg.export.int8 import (
    RANKING_STEP,
    Int8,
    Scored,
    calibration_images,
    fewest_in_float,
    squared_change,
    with_score,
)
from briskseg.export.litert_file import first_line, quiet
from briskseg.export.litert_metadata import IMAGES, SIGNATURE, import_schema, with_card

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation
    from briskseg.models.network import Network
    from briskseg.runtime.backends.litert_backend import LiteRTBackend

ALL = "*"  # kinds of operations
# What multiplies by weights, or attends: left in float where its rounding costs too much.
RANKED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL")


def write_int8(
    network: Network, card: Card, exported: Exported, path: Path, int8: Int8, told: Path
) -> Scored:
    """Write the float32 file at `path` anew, in int8; `told` is the file that errors name.

    Raises as `fewest_in_float`; ExportError for a network that cannot be rounded, MissingExtraError
    without ai-edge-quantizer.
    """
    import_quantizer()  # where it is missing, that is said before anything is scored
    exported = exported.model_copy(update={"precision": "int8"})
    images = calibration_images(int8.dataset, exported.size)
    quantizer = LiteRTQuantizer(path.read_bytes(), images, card, exported, path, int8)
    try:
        model, scored = fewest_in_float(quantizer.float32, quantizer, len(images), int8, told)
    except _CannotRoundError as error:
        raise ExportError(
            f"{told} was not kept: {type(network).__name__} cannot be rounded to int8: {error}; "
            "leave --int8 out, or export it --to openvino"
        ) from error
    path.write_bytes(with_card(model, with_score(card, scored), exported))
    return scored


class _CannotRoundError(Exception):
    """The first sentence of why."""


@dataclass(frozen=True)
class LiteRTQuantizer:
    """Files are the bytes of .tflite files; to be run they are written beside `path`."""

    float32: bytes
    images: Sequence[Image]
    card: Card
    exported: Exported
    path: Path
    int8: Int8

    def rounded(self, in_float: Sequence[str]) -> bytes:
        return self._quantized(".*", in_float)

    def ranked(self, rounded: bytes) -> list[str]:
        images = self.images[::RANKING_STEP]
        exact, changes = self._logits(self.float32, images), dict[str, float]()
        for layer in _layers(self.float32):
            alone = self._quantized(_only(layer), ())
            changes[layer] = squared_change(self._logits(alone, images), exact)
        return sorted(changes, key=lambda layer: -changes[layer])

    def score(self, file: bytes) -> Evaluation:
        from briskseg.evaluation.accuracy import evaluate
        from briskseg.runtime.predictor import Predictor

        predictor = Predictor(self._backend(file), self.card)
        return evaluate(predictor, self.int8.dataset, "val", progress=self.int8.progress)

    def _quantized(self, pattern: str, in_float: Sequence[str]) -> bytes:
        """The file with the layers that the pattern fits rounded, but for those in float."""
        with _rounding():
            quantizer = self._quantizer(pattern)
            skip = import_quantizer().algorithm_manager.AlgorithmName.NO_QUANTIZE
            for layer in in_float:
                quantizer.update_quantization_recipe(_only(layer), ALL, algorithm_key=skip)
            result = quantizer.quantize(
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
        package = import_quantizer()
        quantizer = package.quantizer.Quantizer(self.float32)
        quantizer.add_static_config(pattern, ALL, activation_num_bits=8, weight_num_bits=8)
        skip = package.algorithm_manager.AlgorithmName.NO_QUANTIZE
        for kind in ("INPUT", "OUTPUT"):
            quantizer.update_quantization_recipe(".*", kind, algorithm_key=skip)
        return quantizer

    def _logits(self, file: bytes, images: Sequence[Image]) -> list[Logits]:
        backend = self._backend(file)
        return [np.array(backend.run(image, False)) for image in images]

    def _backend(self, file: bytes) -> LiteRTBackend:
        from briskseg.runtime.backends.litert_backend import LiteRTBackend

        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            written = Path(folder) / self.path.name
            written.write_bytes(with_card(file, self.card, self.exported))
            try:
                return LiteRTBackend(written)
            except WeightsError as error:
                raise _CannotRoundError(first_line(error.__context__ or error)) from error


def _only(layer: str) -> str:
    """A pattern that fits it alone."""
    return f"^{re.escape(layer)}$"


def _layers(model: bytes) -> list[str]:
    """The names under which the quantizer knows the layers that are ranked."""
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import get_op_scope

    schema, _ = import_schema()
    read = schema.ModelT.InitFromPackedBuf(model, 0)
    ranked = {getattr(schema.BuiltinOperator, name) for name in RANKED}
    (graph,) = read.subgraphs
    return [
        get_op_scope(operator, graph.tensors)
        for operator in graph.operators
        if read.operatorCodes[operator.opcodeIndex].builtinCode in ranked
    ]


@contextlib.contextmanager
def _rounding() -> Iterator[None]:
    """Within, the package is quiet, which draws bars, and its errors are one kind."""
    with quiet(), standard_error_silenced(), contextlib.redirect_stderr(io.StringIO()):
        try:
            yield
        except (RuntimeError, ValueError, KeyError, NotImplementedError) as error:
            raise _CannotRoundError(first_line(error)) from error


def import_quantizer() -> Any:
    """The ai_edge_quantizer package."""
    with quiet():
        try:
            import ai_edge_quantizer
            from ai_edge_quantizer import algorithm_manager, quantizer  # noqa: F401  of it
        except ModuleNotFoundError as error:
            package = error.name or "ai-edge-quantizer"
            raise MissingExtraError(package, "exporting in int8", "litert-export") from error
    return ai_edge_quantizer
