"""A network in int8 for OpenVINO: NNCF quantizes convolutions, weights by channel, after running
calibration images through the network. Averages over the pyramid's cells are always in float."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from briskseg.core.card import Card
from briskseg.core.errors import needs
from briskseg.core.exported import Exported
from briskseg.core.process_settings import silenced
from briskseg.core.telemetry import no_telemetry
from briskseg.core.types import Image
from briskseg.export.int8 import (
    RANKING_STEP,
    Int8,
    Scored,
    calibration_images,
    fewest_in_float,
    squared_change,
    with_score,
)
from briskseg.export.openvino_file import folded, import_openvino, save, to_openvino

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation
    from briskseg.models.network import Network

FLOAT_TYPES = ("MatMul",)
FAKE, CONSTANT = "FakeQuantize", "Constant"


def write_int8(
    network: Network, card: Card, exported: Exported, path: Path, int8: Int8, told: Path
) -> Scored:
    """As `write_openvino`, in int8; `told` is the file that errors name. Raises as
    `fewest_in_float`, and MissingExtraError without nncf."""
    import_nncf()  # where it is missing, that is said before the network is traced
    exported = exported.model_copy(update={"precision": "int8"})
    float32 = to_openvino(network, card, exported)
    images = calibration_images(int8.dataset, card.input.size)
    quantizer = OpenVINOQuantizer(float32, images, card, exported, path, int8)
    model, scored = fewest_in_float(float32, quantizer, len(images), int8, told)
    save(model, with_score(card, scored), exported, path)
    return scored


class OpenVINOQuantizer:
    """Files are `openvino.Model`s; to be scored they are written beside `path`."""

    def __init__(
        self,
        float32: Any,
        images: Sequence[Image],
        card: Card,
        exported: Exported,
        path: Path,
        int8: Int8,
    ) -> None:
        # NNCF takes only constants for biases: else it corrects none, and rounds between a
        # convolution and its bias, which makes the file slower than float32.
        self._float32 = folded(float32)
        self._images, self._card, self._exported = images, card, exported
        self._path, self._int8 = path, int8

    def rounded(self, in_float: Sequence[str]) -> Any:
        return _quantized(self._float32, self._images, in_float)

    def ranked(self, rounded: Any) -> list[str]:
        return sensitive_layers(self._float32, rounded, self._images[::RANKING_STEP])

    def score(self, file: Any) -> Evaluation:
        from briskseg.evaluation.accuracy import evaluate
        from briskseg.runtime.backends.openvino_backend import OpenVINOBackend
        from briskseg.runtime.predictor import Predictor

        with tempfile.TemporaryDirectory(dir=self._path.parent) as folder:
            written = Path(folder) / self._path.name
            save(file, self._card, self._exported, written)
            predictor = Predictor(*OpenVINOBackend.open(written))
            return evaluate(predictor, self._int8.dataset, "val", progress=self._int8.progress)


def _quantized(model: Any, images: Sequence[Image], in_float: Sequence[str]) -> Any:
    nncf = import_nncf()
    name = model.input(0).any_name
    data = nncf.Dataset([*images], lambda image: {name: image[None]})
    with silenced():  # NNCF logs what it does, and draws bars of its own
        return nncf.quantize(
            model.clone(),
            data,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(
                names=[*in_float], types=[*FLOAT_TYPES], validate=False
            ),
        )


def sensitive_layers(model: Any, quantized: Any, images: Sequence[Image]) -> list[str]:
    """The layers of `model` that `quantized` rounds; first that which, rounded alone, changes the
    logits of `images` most."""
    rounded = {node.get_friendly_name(): node for node in quantized.get_ops()}
    exact, changes = _logits(model, images), {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if name in rounded and _rounds(node, rounded[name]):
            logits = _logits(_rounded_alone(model, name, rounded[name]), images)
            changes[name] = squared_change(logits, exact)
    return sorted(changes, key=lambda name: -changes[name])


def _rounds(node: Any, rounded: Any) -> bool:
    """Whether `rounded`, the same layer of the quantized network, rounds an input or weights."""
    pairs = zip(_kinds(node), _kinds(rounded), strict=True)
    return any(kind == FAKE or (own == CONSTANT and kind != CONSTANT) for own, kind in pairs)


def _rounded_alone(model: Any, name: str, rounded: Any) -> Any:
    """A copy of `model` whose layer `name` rounds what `rounded` rounds."""
    opset = import_openvino().opset1
    copied = model.clone()
    node = next(node for node in copied.get_ops() if node.get_friendly_name() == name)
    for index, (own, kind) in enumerate(zip(_kinds(node), _kinds(rounded), strict=True)):
        value = rounded.input_value(index)
        if kind == FAKE:
            source = value.get_node()
            ranges, levels = source.input_values()[1:], source.get_attributes()["levels"]
            value = opset.fake_quantize(node.input_value(index), *ranges, levels).output(0)
        elif own != CONSTANT:  # neither a rounded input nor weights
            continue
        node.input(index).replace_source_output(value)
    return copied


def _kinds(node: Any) -> list[str]:
    """Of the nodes that its inputs come from."""
    return [value.get_node().get_type_name() for value in node.input_values()]


def _logits(model: Any, images: Sequence[Image]) -> list[npt.NDArray[np.float32]]:
    """Of each image, in float32 on every processor."""
    openvino = import_openvino()
    from briskseg.runtime.backends.openvino_backend import core

    shown = openvino.Model([model.output("logits")], model.get_parameters(), "shown")
    network = core().compile_model(shown, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(network(image[None])[0]) for image in images]


def import_nncf() -> Any:
    """The nncf package."""
    with no_telemetry(), silenced(), needs("exporting in int8", "export"):
        import nncf
    return nncf
