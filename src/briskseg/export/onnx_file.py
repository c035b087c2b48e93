"""A network as an ONNX file: plain images in, labels and logits out; the card inside.

images (N,H,W,3) uint8 RGB -> labels (N,H,W) uint8 and logits (N,classes,h,w) float32, as large as
the network computes them: enlarging to full size is done for "labels" alone, and who reads only the
logits need not pay for it. Normalization is inside, batch norm is in the convolutions' weights.
Graphs are written layer by layer (`onnx_forms.py`), so they hold nothing else at any size.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from briskseg.core.card import CARD_KEY, Card, InputCard
from briskseg.core.errors import MissingExtraError, RequestError
from briskseg.core.exported import EXPORT_KEY, Exported
from briskseg.core.types import Array
from briskseg.export import Runs
from briskseg.export.onnx_forms import FORMS, HEADS
from briskseg.models.network import Network

OPSET = 18
IR_VERSION = 10  # what ONNX Runtime 1.18 and later read
INPUT, LABELS, LOGITS = "images", "labels", "logits"


def write_onnx(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU; return the file, loaded.

    Raises MissingExtraError without onnx, RequestError for a network that has no form here.
    """
    path.write_bytes(to_onnx(network, card, exported).SerializeToString())
    from briskseg.runtime.backends.onnx_backend import OnnxBackend

    backend = OnnxBackend(path)
    return Runs(backend.infer, backend.labels)


def to_onnx(network: Network, card: Card, exported: Exported) -> Any:
    """The `onnx.ModelProto`; raises as `write_onnx`."""
    onnx = import_onnx()
    graph = Graph(onnx)
    x = graph.normalized(network, card.input, exported.size)
    HEADS[type(network).__name__](graph, network, x)
    model = graph.model(network.classes, exported.size)
    for key, value in ((CARD_KEY, card.to_json()), (EXPORT_KEY, exported.model_dump_json())):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    return model


def import_onnx() -> ModuleType:
    """The onnx package."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "exporting to ONNX or OpenVINO", "export") from error
    return onnx


class Graph:
    """Appends ONNX nodes for torch modules: `y = graph(module, x)`, where x and y are names.

    size_hw: the images' height and width: two numbers, or the name of a tensor of them.
    """

    def __init__(self, onnx: ModuleType) -> None:
        self._helper, self._types = onnx.helper, onnx.TensorProto
        self._to_tensor = onnx.numpy_helper.from_array
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self.size_hw: str | tuple[int, int] = (0, 0)

    def __call__(self, module: nn.Module, x: str) -> str:
        form = FORMS.get(type(module).__name__)
        if form is None:
            raise RequestError(
                f"the layer {type(module).__name__} has no form in ONNX here; networks made of "
                f"these can be exported: {', '.join(FORMS)}"
            )
        return form(self, module, x)

    def add(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """The output of a new node."""
        out = out or f"{op.lower()}_{len(self._nodes)}"
        name = f"{op}_{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(op, inputs, [out], name, **attributes))
        return out

    def constant(self, values: Array | list[int] | list[float]) -> str:
        """Numbers: whole ones as int64, others as float32."""
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = f"constant_{len(self._constants)}"
        self._constants[name] = self._to_tensor(array, name)
        return name

    def cast(self, x: str, kind: str, out: str = "") -> str:
        """kind: FLOAT, UINT8, INT64 ..."""
        return self.add("Cast", x, out=out, to=getattr(self._types, kind))

    def shape(self, x: str, start: int, end: int) -> str:
        """The sides of x from `start` to before `end`, int64."""
        return self.add("Shape", x, start=start, end=end)

    def numbers(self, value: str | tuple[int, ...]) -> str:
        """A size as a tensor."""
        return value if isinstance(value, str) else self.constant([*value])

    def normalized(
        self, network: Network, expects: InputCard, size_hw: tuple[int, int] | None
    ) -> str:
        """The images as the network takes them, (N,3,H,W), extended as it needs."""
        self.size_hw = size_hw or self.shape(INPUT, 1, 3)
        x = INPUT
        pads = self._pads(network)
        if pads is not None:
            x = self.add("Pad", x, pads, mode="edge")
        x = self.cast(self.add("Transpose", x, perm=[0, 3, 1, 2]), "FLOAT")
        mean, std = (np.array(values).reshape(3, 1, 1) for values in (expects.mean, expects.std))
        x = self.add("Mul", x, self.constant(1 / (255 * std)))
        return self.add("Add", x, self.constant(-mean / std))

    def _pads(self, network: Network) -> str | None:
        """How many rows and columns are repeated at the bottom and at the right."""
        stride, least = network.extends
        if isinstance(self.size_hw, tuple):
            more = [max(-side % stride, least - side) for side in self.size_hw]
            return self.constant([0, 0, 0, 0, 0, *more, 0]) if any(more) else None
        if stride == least == 1:
            return None
        if stride > 1:
            size = self.add("Neg", self.size_hw)
            more_hw = self.add("Mod", size, self.constant([stride, stride]))
        else:
            size = self.add("Sub", self.constant([least, least]), self.size_hw)
            more_hw = self.add("Max", size, self.constant([0, 0]))
        zeros = self.constant([0, 0, 0, 0, 0])
        return self.add("Concat", zeros, more_hw, self.constant([0]), axis=0)

    def crop(self, x: str, first_axis: int, out: str = "") -> str:
        """x down to the images' size."""
        starts, ends = self.constant([0, 0]), self.numbers(self.size_hw)
        axes = self.constant([first_axis, first_axis + 1])
        return self.add("Slice", x, starts, ends, axes, out=out)

    def resize(self, x: str, size_hw: str, align_corners: bool) -> str:
        """Bilinear, as torch's `interpolate` is."""
        mode = "align_corners" if align_corners else "half_pixel"
        options: dict[str, Any] = {
            "mode": "linear",
            "coordinate_transformation_mode": mode,
            "axes": [2, 3],
        }
        return self.add("Resize", x, "", "", size_hw, **options)

    def model(self, classes: int, size_hw: tuple[int, int] | None) -> Any:
        """The finished `onnx.ModelProto`."""
        helper, types = self._helper, self._types
        height, width = size_hw or ("height", "width")
        graph = helper.make_graph(
            self._nodes,
            "briskseg",
            [helper.make_tensor_value_info(INPUT, types.UINT8, ["batch", height, width, 3])],
            [
                helper.make_tensor_value_info(LABELS, types.UINT8, ["batch", height, width]),
                helper.make_tensor_value_info(
                    LOGITS, types.FLOAT, ["batch", classes, "logits_height", "logits_width"]
                ),
            ],
            [*self._constants.values()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, producer_name="briskseg", opset_imports=opsets, ir_version=IR_VERSION
        )
