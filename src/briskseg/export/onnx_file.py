"""A network as an ONNX file: plain images in, labels and logits out; the card inside.

images (N,H,W,3) uint8 RGB -> labels (N,H,W) uint8 and logits (N,classes,h,w) float32, as large as
the network computes them: enlarging to full size is done for "labels" alone, and who reads only the
logits need not pay for it. `torch.onnx.export` writes the graph of `briskseg.export.deployed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from briskseg.core.card import CARD_KEY, Card
from briskseg.core.eight_bits import as_float16, as_int8
from briskseg.core.errors import ExportError, needs
from briskseg.core.exported import EXPORT_KEY, NETWORK_IMAGES, Exported
from briskseg.core.process_settings import quiet
from briskseg.core.types import Array
from briskseg.core.wording import first_cause
from briskseg.export.deployed import Deployed
from briskseg.export.formats import Runs
from briskseg.models.network import Network
from briskseg.runtime.backends.onnx_backend import OnnxBackend

with needs("exporting to ONNX or OpenVINO", "export"):
    import onnx
    import onnxscript  # noqa: F401  torch.onnx.export needs it

OPSET = 18
IR_VERSION = 10  # what ONNX Runtime 1.18 and later read
INPUT, LABELS, LOGITS = "images", "labels", "logits"
TRACED = (2, 67, 93)  # any number and size would do; not 1, which torch.export takes for a constant


def write_onnx(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU; return the file, loaded.

    Raises ExportError for a network that has no form in ONNX.
    """
    path.write_bytes(to_onnx(network, card, exported, compact=True).SerializeToString())
    backend = OnnxBackend(path)
    return Runs(backend.infer, backend.labels)


def to_onnx(network: Network, card: Card, exported: Exported, compact: bool = False) -> Any:
    """The `onnx.ModelProto`; raises as `write_onnx`.

    compact: weights that float16, or eight bits with a scale a channel, hold exactly, as those of
    shipped weights, are stored so and become float32 when the file is loaded; nothing is computed
    in fewer bits.
    """
    resized_hw = card.input.size if exported.size is None else None
    deployed = Deployed(network, card.input, resized_hw).eval()
    model = _traced(deployed, exported.size, type(network).__name__)
    if resized_hw is not None:
        _join(model.graph)
    _tidy(model, exported.size)
    if compact:
        _compact(model.graph, deployed)
    for key, value in ((CARD_KEY, card.to_json()), (EXPORT_KEY, exported.model_dump_json())):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    return model


def _traced(deployed: Deployed, size_hw: tuple[int, int] | None, name: str) -> Any:
    """The `onnx.ModelProto` that torch makes of it."""
    dynamic = torch.export.Dim.DYNAMIC
    shape = TRACED if size_hw is None else (TRACED[0], *size_hw)
    axes = (0, 1, 2) if size_hw is None else (0,)
    images: tuple[torch.Tensor, ...] = (torch.zeros(*shape, 3, dtype=torch.uint8),)
    if deployed.size_hw is not None:  # of a size of its own, which nothing may tie to the first's
        n, height, width = TRACED
        images += (torch.zeros(n, height + 24, width + 40, 3, dtype=torch.uint8),)
    names = [INPUT, NETWORK_IMAGES][: len(images)]
    with quiet():  # torch logs each step, and warns of its own packages
        try:
            program = torch.onnx.export(
                deployed,
                images,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=tuple(dict.fromkeys(axes, dynamic) for _ in images),
                input_names=names,
                output_names=[LABELS, LOGITS, "resized"][: len(images) + 1],
                verbose=False,
            )
        except Exception as error:  # torch's own, of a dozen types
            raise ExportError(
                f"{name} has an operation that torch cannot write as ONNX: {first_cause(error)}; "
                "give the network an export_form() without it"
            ) from error
    assert program is not None
    return program.model_proto


def _join(graph: Any) -> None:
    """Let the resized images be those that the network sees, which so far are an input."""
    for node in graph.node:
        node.output[:] = [NETWORK_IMAGES if name == "resized" else name for name in node.output]
    _replace(graph.input, [value for value in graph.input if value.name != NETWORK_IMAGES])
    _replace(graph.output, [value for value in graph.output if value.name != "resized"])
    # Nodes must come after those that they take from: those before the network go first.
    needed, first = {NETWORK_IMAGES}, list[Any]()
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            first.insert(0, node)
    rest = [node for node in graph.node if needed.isdisjoint(node.output)]
    _replace(graph.node, [*first, *rest])


def _replace(field: Any, values: Sequence[Any]) -> None:
    """Let a repeated field of a protobuf message hold these; some of them may be its own."""
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)


def _tidy(model: Any, size_hw: tuple[int, int] | None) -> None:
    """Name sizes as a reader would, and leave out what torch notes of this machine and of every
    tensor in between; the resized images' type is kept, so that a graph can begin with them."""
    helper, types, graph = onnx.helper, onnx.TensorProto, model.graph
    height, width = size_hw or ("height", "width")
    classes = next(o for o in graph.output if o.name == LOGITS).type.tensor_type.shape.dim[1]
    logits_hw = ["logits_height", "logits_width"]
    inner = [node for node in graph.node if NETWORK_IMAGES in node.output]
    for values, described in (
        (graph.input, [(INPUT, types.UINT8, ["batch", height, width, 3])]),
        (
            graph.output,
            [
                (LABELS, types.UINT8, ["batch", height, width]),
                (LOGITS, types.FLOAT, ["batch", classes.dim_value, *logits_hw]),
            ],
        ),
        (graph.value_info, [(NETWORK_IMAGES, types.UINT8, ["batch", "h", "w", 3]) for _ in inner]),
    ):
        _replace(values, [helper.make_tensor_value_info(*one) for one in described])
    for part in (model, graph, *graph.node, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    graph.name, model.producer_name, model.producer_version = "briskseg", "briskseg", ""
    model.ir_version = min(model.ir_version, IR_VERSION)


def _compact(graph: Any, deployed: Deployed) -> None:
    """Store convolutions' weights in eight or sixteen bits where that loses nothing: as they were
    before a batch norm was folded into them, followed by that multiplication, which runtimes do
    once, on loading.
    """
    helper, types = onnx.helper, onnx.TensorProto
    constants, nodes = [], []
    for constant in [*graph.initializer]:
        folded = deployed.unfolded.get(constant.name.removeprefix("form."))
        values = onnx.numpy_helper.to_array(constant) if folded is None else folded[0].numpy()
        half = as_float16(values) if values.ndim == 4 else None
        if half is None:
            constants.append(constant)
            continue
        stored: Array = half
        scale = None if folded is None else folded[1].numpy()
        eight = as_int8(half)
        # of a transposed convolution a batch norm's factors are along the other axis
        if eight is not None and (scale is None or scale.shape == eight[1].shape):
            stored, of_channels = eight[0], eight[1].astype(np.float32)
            scale = of_channels if scale is None else of_channels * scale
        name, stored_name = constant.name, f"{constant.name}.{stored.dtype}"
        constants.append(onnx.numpy_helper.from_array(stored, stored_name))
        out = name if scale is None else f"{name}.float32"
        nodes.append(helper.make_node("Cast", [stored_name], [out], to=types.FLOAT))
        if scale is not None:
            constants.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
            nodes.append(helper.make_node("Mul", [out, f"{name}.scale"], [name]))
    _replace(graph.initializer, constants)
    _replace(graph.node, [*nodes, *graph.node])
