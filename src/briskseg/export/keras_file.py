"""A network as a Keras 3 file: the same layers and weights, of Keras' own standard layers only.

The file loads with `keras.saving.load_model(FILE)` on the torch, JAX or TensorFlow backend, without
this package, in the version of Keras that wrote it and later ones: Keras itself refuses files of a
later version than its own. What goes in is the plain image (N, H, W, 3), RGB, 0 to 255, uint8 or
float, of the one size that the file was made for; mean and standard deviation are in a
Normalization layer. What comes out are the logits (N, H, W, classes), with no softmax.

The layers follow from the operations of the network's export form, as `torch.export` lists them:
each has an entry in OPERATIONS, or is computed here where no image goes into it. Batch norms and
dropout stay layers, so that the file can be trained on. Keras pads "same" convolutions of stride 2
and enlarges by deconvolution otherwise than torch, so these are written as explicit padding and
cropping. What is linear along an axis and no layer has (cell averages, repeated borders,
align_corners) is a matrix in an EinsumDense.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.card import Card
from briskseg.core.errors import ExportError, MissingExtraError
from briskseg.core.exported import Exported
from briskseg.core.types import Array
from briskseg.export import Infer, Runs
from briskseg.export.keras_reader import KINDS, add_beside, layer_name
from briskseg.models.network import Network, extended_side

# Layers that ask where the channels are; the user's own setting must not decide.
_WITH_CHANNELS = {
    *("Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "MaxPooling2D", "ZeroPadding2D"),
    *("Cropping2D", "Resizing", "SpatialDropout2D"),
}
_KERAS_AXIS = {0: 0, 1: 3, 2: 1, 3: 2}  # of each axis of (N,C,H,W) in (N,H,W,C)


def write_keras(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, for images of one size; return the file, loaded.

    Raises ExportError for a network with an operation that has no entry in OPERATIONS,
    MissingExtraError without Keras.
    """
    keras = import_keras()
    assert exported.size is not None
    with keras.device("cpu"):
        writer = Writer(keras, type(network).__name__)
        image = keras.Input((*exported.size, 3), name="image", dtype="float32")
        mean = [255 * value for value in card.input.mean]
        variance = [(255 * value) ** 2 for value in card.input.std]
        x = writer.add("Normalization", image, axis=-1, mean=mean, variance=variance)
        model = keras.Model(image, writer.write(_operations(network, exported.size), x))
        for name, arrays in writer.arrays.items():
            model.get_layer(name).set_weights(arrays)
        model.save(path)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    add_beside(path, {k: v for k, v in state.items() if k not in writer.used}, card)
    return Runs(_open(keras, path))


class Logits(nn.Module):
    """Normalized images (1,3,H,W) of one size -> logits (1,classes,H,W), by the export form."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.form = network.export_form()
        self.extends, self.factor = network.extends, network.factor
        self.align_corners = network.align_corners

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        for axis, size in ((2, height), (3, width)):
            wanted = extended_side(size, *self.extends)
            if wanted > size:
                images = images.index_select(axis, torch.arange(wanted).clamp(max=size - 1))
        logits: Tensor = self.form(images)
        if self.factor == 1:
            return logits[:, :, :height, :width]
        size_hw = (height, width)
        if self.factor is not None:
            size_hw = (logits.shape[2] * self.factor, logits.shape[3] * self.factor)
        full = F.interpolate(logits, size_hw, mode="bilinear", align_corners=self.align_corners)
        return full[:, :, :height, :width]


def _operations(network: Network, size_hw: tuple[int, int]) -> Any:
    """The `torch.export.ExportedProgram` of its logits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own packages
        logits = Logits(network).eval().requires_grad_(False)
        return torch.export.export(logits, (torch.zeros(1, 3, *size_hw),))


def import_keras() -> Any:
    """Keras, on torch unless this process has it already on another backend."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"  # read once, when Keras is imported
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "keras", "exporting to Keras", "keras") from error
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    return keras


def _open(keras: Any, path: Path) -> Infer:
    with keras.device("cpu"):
        model = keras.saving.load_model(path, compile=False)

    def infer(image_hwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with keras.device("cpu"):
            logits_nhwc = model.predict(image_hwc[None], verbose=0)
        return np.moveaxis(np.asarray(logits_nhwc[0], np.float32), -1, 0)

    return infer


class Weight(str):
    """The name of a tensor of the network, in place of the tensor."""


class Writer:
    """Appends a Keras layer for each operation of a network.

    arrays: by layer, what its weights are to be. used: the names of the network's tensors in them.
    """

    def __init__(self, keras: Any, network: str) -> None:
        self._layers, self._network = keras.layers, network
        self._keras_tensor = keras.KerasTensor
        self._numbers: Counter[str] = Counter()
        self._state: dict[str, Tensor] = {}
        self.arrays: dict[str, list[Array]] = {}
        self.used: set[str] = set()

    def write(self, program: Any, image: Any) -> Any:
        """What the exported program gives for `image`."""
        values = dict[Any, Any]()
        signature = program.graph_signature
        weights = signature.inputs_to_parameters | signature.inputs_to_buffers
        self._state = {**program.state_dict, **program.constants}
        for node in program.graph.nodes:
            if node.op == "placeholder":
                if node.name in weights:
                    values[node] = Weight(weights[node.name])
                elif node.name in signature.inputs_to_lifted_tensor_constants:
                    name = signature.inputs_to_lifted_tensor_constants[node.name]
                    values[node] = program.constants[name]
                else:
                    values[node] = image
            elif node.op == "output":
                return values[node.args[0][0]]
            else:
                self._write(node, values)
        raise AssertionError("a program without output")

    def _write(self, node: Any, values: dict[Any, Any]) -> None:
        look_up = lambda part: torch.fx.node.map_arg(part, values.__getitem__)  # noqa: E731
        args, options = look_up(node.args), look_up(node.kwargs)
        inputs = [values[one] for one in node.all_input_nodes]
        operation = node.target.overloadpacket.__name__
        if not any(isinstance(one, self._keras_tensor) for one in inputs):
            plain = [self._state[one] if isinstance(one, Weight) else one for one in inputs]
            found = dict(zip(node.all_input_nodes, plain, strict=True))
            replaced = torch.fx.node.map_arg((node.args, node.kwargs), found.__getitem__)
            values[node] = node.target(*replaced[0], **replaced[1])
            return
        known = OPERATIONS.get(operation.removesuffix("_"))
        if known is None:
            raise ExportError(
                f"{self._network} has the operation '{operation}', for which there is no layer of "
                f"Keras here, expected one of: {', '.join(OPERATIONS)}; export it --to onnx"
            )
        values[node] = known(self, *args, **options)
        if operation.endswith("_"):  # in place
            values[node.args[0]] = values[node]

    def add(self, layer: str, x: Any, name: str | None = None, **options: Any) -> Any:
        """The output of a new Keras layer of this class on `x`."""
        name = name or self._number(layer.lower())
        if layer in _WITH_CHANNELS:
            options["data_format"] = "channels_last"
        return getattr(self._layers, layer)(name=name, dtype="float32", **options)(x)

    def add_weighted(
        self, layer: str, x: Any, weights: list[Weight | None], **options: Any
    ) -> Any:
        """As `add`, of a layer that has tensors and is named by their module."""
        present = [name for name in weights if name is not None]
        ours = [name.removeprefix("form.network.") for name in present]
        name = layer_name(ours[0].rpartition(".")[0])
        self.arrays[name] = [KINDS[layer].to_keras(self._state[n].numpy()) for n in present]
        self.used.update(ours)
        return self.add(layer, x, name, **options)

    def along(self, x: Any, axis: int, matrix: Tensor) -> Any:
        """Multiply `x` along an axis of (N,C,H,W) by `matrix` (before, after)."""
        at = _KERAS_AXIS[axis % 4]
        shape = [*x.shape[1:]]
        shape[at - 1] = matrix.shape[1]
        axes = "nhwc"
        name = self._number("resample")
        self.arrays[name] = [matrix.float().numpy()]
        equation = f"{axes},{axes[at]}v->{axes.replace(axes[at], 'v')}"
        return self.add(
            "EinsumDense", x, name, equation=equation, output_shape=shape, trainable=False
        )

    def _number(self, layer: str) -> str:
        self._numbers[layer] += 1
        return f"{layer}_{self._numbers[layer]}"


def _convolution(
    writer: Writer,
    x: Any,
    weight: Weight,
    bias: Weight | None = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> Any:
    out_channels, _, *kernel = writer._state[weight].shape
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    same = [*stride] == [1, 1] and [2 * p for p in padding] == reach
    if not same and any(padding):
        x = writer.add("ZeroPadding2D", x, padding=tuple(padding))
    options: dict[str, Any] = {
        "kernel_size": tuple(kernel),
        "strides": tuple(stride),
        "dilation_rate": tuple(dilation),
        "padding": "same" if same else "valid",
        "use_bias": bias is not None,
    }
    if groups == x.shape[3] > 1:
        return writer.add_weighted("DepthwiseConv2D", x, [weight, bias], **options)
    return writer.add_weighted(
        "Conv2D", x, [weight, bias], filters=out_channels, groups=groups, **options
    )


def _deconvolution(
    writer: Writer,
    x: Any,
    weight: Weight,
    bias: Weight | None = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
) -> Any:
    _, out_channels, *kernel = writer._state[weight].shape
    y = writer.add_weighted(
        "Conv2DTranspose",
        x,
        [weight, bias],
        filters=out_channels,
        kernel_size=tuple(kernel),
        strides=tuple(stride),
        padding="valid",
        use_bias=bias is not None,
    )
    return writer.add("Cropping2D", y, cropping=tuple(padding)) if any(padding) else y


def _batch_norm(
    writer: Writer,
    x: Any,
    weight: Weight,
    bias: Weight,
    mean: Weight,
    variance: Weight,
    training: bool,
    momentum: float,
    epsilon: float,
    *_: Any,
) -> Any:
    weights: list[Weight | None] = [weight, bias, mean, variance]
    options = {"axis": -1, "momentum": 1 - momentum, "epsilon": epsilon}
    return writer.add_weighted("BatchNormalization", x, weights, **options)


def _slice(writer: Writer, x: Any, axis: int, start: int, end: int, step: int = 1) -> Any:
    """Rows or columns of (N,C,H,W); others are left whole."""
    at = _KERAS_AXIS[axis]
    size = x.shape[at]
    if at in (1, 2) and step == 1:
        before, after = start, max(size - end, 0)
        cropping = ((before, after), (0, 0)) if at == 1 else ((0, 0), (before, after))
        return writer.add("Cropping2D", x, cropping=cropping) if before or after else x
    if start == 0 and (size is None or end >= size) and step == 1:
        return x
    raise ExportError("a Keras file cannot hold a network that takes some of its channels apart")


def _matmul(writer: Writer, left: Any, right: Any) -> Any:
    """By a constant matrix: along H from the left, along W from the right."""
    if isinstance(left, Tensor):
        return writer.along(right, 2, left.T)
    return writer.along(left, 3, right)


def _index_select(writer: Writer, x: Any, axis: int, index: Tensor) -> Any:
    size = x.shape[_KERAS_AXIS[axis]]
    return writer.along(x, axis, F.one_hot(index, size).T)


def _bilinear(writer: Writer, x: Any, size_hw: Any, align_corners: bool, *_: Any) -> Any:
    height, width = size_hw
    if x.shape[1:3] == (height, width):
        return x
    if not align_corners:
        return writer.add("Resizing", x, height=height, width=width, interpolation="bilinear")
    for axis, wanted in ((2, height), (3, width)):
        size = x.shape[_KERAS_AXIS[axis]]
        each = torch.eye(size)[None]  # a pixel in each channel, so a row is how it spreads
        matrix = F.interpolate(each, wanted, mode="linear", align_corners=True)[0]
        x = writer.along(x, axis, matrix)
    return x


def _concatenate(writer: Writer, xs: Any, axis: int = 0) -> Any:
    return writer.add("Concatenate", list(xs), axis=_KERAS_AXIS[axis])


def _max_pool(writer: Writer, x: Any, kernel: Any, stride: Any = (), *_: Any) -> Any:
    return writer.add("MaxPooling2D", x, pool_size=tuple(kernel), strides=tuple(stride or kernel))


def _dropout(layer: str) -> Callable[..., Any]:
    return lambda writer, x, p, _: writer.add(layer, x, rate=p, seed=0) if p else x


OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _deconvolution,
    "batch_norm": _batch_norm,
    "relu": lambda writer, x: writer.add("ReLU", x),
    "add": lambda writer, x, y: writer.add("Add", [x, y]),
    "cat": _concatenate,
    "max_pool2d": _max_pool,
    "slice": _slice,
    "clone": lambda writer, x: x,
    "matmul": _matmul,
    "index_select": _index_select,
    "upsample_bilinear2d": _bilinear,
    "dropout": _dropout("Dropout"),
    "feature_dropout": _dropout("SpatialDropout2D"),
}
