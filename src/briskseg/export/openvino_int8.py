"""A network in int8 for OpenVINO: NNCF quantizes convolutions, weights by channel, after running
calibration images through the network. Averages over the pyramid's cells are always in float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import needs
from briskseg.core.exported import Exported
from briskseg.core.process_settings import silenced
from briskseg.core.telemetry import no_telemetry
from briskseg.core.types import Image, Logits
from briskseg.export.int8 import (
    Int8,
    Quantizer,
    Scored,
    calibration_images,
    write_fewest_in_float,
)
from briskseg.export.openvino_file import folded, import_openvino, save, to_openvino

if TYPE_CHECKING:
    from briskseg.models.network import Network
    from briskseg.runtime.predictor import Predictor

FLOAT_TYPES = ("MatMul",)
FAKE, CONSTANT = "FakeQuantize", "Constant"


def write_int8(
    network: Network, card: Card, exported: Exported, path: Path, int8: Int8, told: Path
) -> Scored:
    """As `write_openvino`, in int8; `told` is the file that errors name. Raises as
    `write_fewest_in_float`, and MissingExtraError without nncf."""
    import_nncf()  # where it is missing, that is said before the network is traced
    # NNCF takes only constants for biases: else it corrects none, and rounds between a convolution
    # and its bias, which makes the file slower than float32.
    float32 = folded(to_openvino(network, card, exported))
    images = calibration_images(int8.dataset, card.input.size)
    quantizer = OpenVINOQuantizer(float32, images, card, exported, path, int8)
    return write_fewest_in_float(quantizer, told)


class OpenVINOQuantizer(Quantizer):
    """Files are `openvino.Model`s."""

    def rounded(self, in_float: Sequence[str]) -> Any:
        nncf = import_nncf()
        name = self.float32.input(0).any_name
        data = nncf.Dataset([*self.images], lambda image: {name: image[None]})
        kept = nncf.IgnoredScope(names=[*in_float], types=[*FLOAT_TYPES], validate=False)
        with silenced():  # NNCF logs what it does, and draws bars of its own
            return nncf.quantize(
                self.float32.clone(), data, subset_size=len(self.images), ignored_scope=kept
            )

    def rounded_alone(self, rounded: Any) -> Iterator[tuple[str, Any]]:
        nodes = {node.get_friendly_name(): node for node in rounded.get_ops()}
        for node in self.float32.get_ordered_ops():
            name = node.get_friendly_name()
            if name in nodes and _rounds(node, nodes[name]):
                yield name, _rounded_alone(self.float32, name, nodes[name])

    def logits(self, file: Any, images: Sequence[Image]) -> list[Logits]:
        """In float32 on every processor."""
        openvino = import_openvino()
        from briskseg.runtime.backends.openvino_backend import core

        shown = openvino.Model([file.output("logits")], file.get_parameters(), "shown")
        network = core().compile_model(shown, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return [np.array(network(image[None])[0]) for image in images]

    def predictor(self, written: Path) -> Predictor:
        from briskseg.runtime.backends.openvino_backend import OpenVINOBackend
        from briskseg.runtime.predictor import Predictor

        return Predictor(*OpenVINOBackend.open(written))

    def write(self, file: Any, card: Card, path: Path) -> None:
        save(file, card, self.exported, path)


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


def import_nncf() -> Any:
    """The nncf package."""
    with no_telemetry(), silenced(), needs("exporting in int8", "export"):
        import nncf
    return nncf
