"""A network in int8 for OpenVINO: NNCF quantizes convolutions, weights by channel, after running
calibration images through the network. Averages over the pyramid's cells are always in float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from briskseg.core.card import Card
from briskseg.core.errors import needs
from briskseg.core.process_settings import silenced
from briskseg.core.telemetry import no_telemetry
from briskseg.export.int8 import Quantizer
from briskseg.export.openvino_file import read_folded, save
from briskseg.runtime.backends.openvino_backend import OpenVINOBackend

with no_telemetry(), silenced(), needs("exporting in int8", "export"):
    import nncf

FLOAT_TYPES = ("MatMul",)
FAKE, CONSTANT = "FakeQuantize", "Constant"


class OpenVINOQuantizer(Quantizer):
    """Files are `openvino.Model`s."""

    backend = OpenVINOBackend

    @staticmethod
    def read(path: Path) -> Any:
        # NNCF takes only constants for biases: else it corrects none, and rounds between a
        # convolution and its bias, which makes the file slower than float32.
        return read_folded(path)

    def rounded(self, in_float: Sequence[str]) -> Any:
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
                yield name, _rounded_alone(self.float32, name, rounded)

    def write(self, file: Any, card: Card, path: Path) -> None:
        save(file, card, self.exported, path)


def _rounds(node: Any, rounded: Any) -> bool:
    """Whether `rounded`, the same layer of the quantized network, rounds an input or weights."""
    pairs = zip(_kinds(node), _kinds(rounded), strict=True)
    return any(kind == FAKE or (own == CONSTANT and kind != CONSTANT) for own, kind in pairs)


def _rounded_alone(model: Any, name: str, rounded: Any) -> Any:
    """A copy of `model` whose layer `name` rounds what it does in the model `rounded`."""
    copied, given = model.clone(), rounded.clone()  # which gives its nodes away
    node, layer = (
        next(each for each in one.get_ops() if each.get_friendly_name() == name)
        for one in (copied, given)
    )
    for index, (own, kind) in enumerate(zip(_kinds(node), _kinds(layer), strict=True)):
        value = layer.input_value(index)
        if kind == FAKE:
            value.get_node().input(0).replace_source_output(node.input_value(index))
        elif own != CONSTANT:  # neither a rounded input nor weights
            continue
        node.input(index).replace_source_output(value)
    return copied


def _kinds(node: Any) -> list[str]:
    """Of the nodes that its inputs come from."""
    return [value.get_node().get_type_name() for value in node.input_values()]
