"""A network as a Keras 3 file: the same layers and weights, of Keras' own standard layers only.

The file loads with `keras.saving.load_model(FILE)` on the torch, JAX or TensorFlow backend, without
this package, in the version of Keras that wrote it and later ones: Keras itself refuses files of a
later version than its own. What goes in is the plain image (N, H, W, 3), RGB, 0 to 255, uint8 or
float, of the one size that the file was made for; mean and standard deviation are in a
Normalization layer. What comes out are the logits (N, H, W, classes), with no softmax.

The layers follow from the operations of the network's export form, as `torch.export` lists them:
each has an entry in `keras_operations.OPERATIONS`, or no image goes into it and it is computed
here. Batch norms and dropout stay layers, so that the file can be trained on.
"""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from briskseg.core.card import Card
from briskseg.core.errors import ExportError, needs
from briskseg.core.exported import Exported
from briskseg.core.process_settings import environment_variable
from briskseg.core.types import Array, Floats32, Image
from briskseg.export.deployed import FullLogits
from briskseg.export.fixed_size import fixed_program
from briskseg.export.formats import Infer, Runs
from briskseg.export.keras_operations import KERAS_AXIS, OPERATIONS, Weight
from briskseg.models.network import Network

# On torch, unless this process has it already on another backend: the variable is read once, when
# Keras is imported, and what it is set to need not be installed.
with (
    environment_variable("KERAS_BACKEND", "torch", replaces=True),
    needs("exporting to Keras", "keras"),
):
    import keras

    from briskseg.export.keras_reader import FIXED, KINDS, add_beside, layer_name

# Layers that ask where the channels are; the user's own setting must not decide.
_WITH_CHANNELS = {
    *("Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "MaxPooling2D"),
    *("ZeroPadding2D", "Cropping2D", "Resizing", "UpSampling2D", "SpatialDropout2D"),
}
_OURS = "form.network."  # how the program calls the network's tensors; others are constants


def write_keras(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, for images of one size; return the file, loaded.

    Raises ExportError for a network with an operation that has no entry in OPERATIONS.
    """
    assert exported.size is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own packages
        program = fixed_program(FullLogits(network).eval(), torch.zeros(1, 3, *exported.size))
    with keras.device("cpu"):
        writer = Writer(type(network).__name__, program)
        image = keras.Input((*exported.size, 3), name="image", dtype="float32")
        mean = [255 * value for value in card.input.mean]
        variance = [(255 * value) ** 2 for value in card.input.std]
        x = writer.add("Normalization", image, axis=-1, mean=mean, variance=variance)
        model = keras.Model(image, writer.write(x))
        for name, arrays in writer.arrays.items():
            model.get_layer(name).set_weights(arrays)
        model.save(path)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    add_beside(path, {k: v for k, v in state.items() if k not in writer.used}, card)
    return Runs(open_keras(path))


def open_keras(path: Path) -> Infer:
    """What runs a file: image (H, W, 3) -> logits (C, H, W), on the CPU."""
    with keras.device("cpu"):
        model = keras.saving.load_model(path, compile=False)

    def infer(image_hwc: Image) -> Floats32:
        with keras.device("cpu"):
            logits_nhwc = model.predict(image_hwc[None], verbose=0)
        return np.moveaxis(np.asarray(logits_nhwc[0], np.float32), -1, 0)

    return infer


class Writer:
    """Appends a Keras layer for each operation of a network's exported program.

    state: the program's tensors. arrays: by layer, what its weights are to be. used: the names of
    the network's tensors in them.
    """

    def __init__(self, network: str, program: fx.GraphModule) -> None:
        self._network, self._program = network, program
        self._numbers: Counter[str] = Counter()
        self.state: dict[str, Tensor] = dict(program.named_parameters())
        self.state |= dict(program.named_buffers())
        self.arrays: dict[str, list[Array]] = {}
        self.used: set[str] = set()

    def write(self, image: Any) -> Any:
        """What the program gives for `image`."""
        values = dict[Any, Any]()
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                values[node] = image
            elif node.op == "get_attr":
                is_ours = node.target.startswith(_OURS)
                values[node] = Weight(node.target) if is_ours else self.state[node.target]
            elif node.op == "call_function":
                self._write(node, values)
            elif node.op == "output":
                return values[node.args[0][0]]
        raise AssertionError("a program without output")

    def _write(self, node: Any, values: dict[Any, Any]) -> None:
        inputs = {one: values[one] for one in node.all_input_nodes}
        if not any(isinstance(value, keras.KerasTensor) for value in inputs.values()):
            for one, value in inputs.items():
                inputs[one] = self.state[value] if isinstance(value, Weight) else value
            args, options = map_arg((node.args, node.kwargs), inputs.__getitem__)
            values[node] = node.target(*args, **options)
            return
        args, options = map_arg((node.args, node.kwargs), inputs.__getitem__)
        operation = getattr(node.target, "overloadpacket", node.target).__name__
        layer = OPERATIONS.get(operation.removesuffix("_"))
        if layer is None:
            raise ExportError(
                f"{self._network} has the operation '{operation}', for which there is no layer of "
                f"Keras here, expected one of: {', '.join(OPERATIONS)}; export it --to onnx"
            )
        values[node] = layer(self, *args, **options)
        if operation.endswith("_"):  # in place
            values[node.args[0]] = values[node]

    def add(self, layer: str, x: Any, name: str | None = None, **options: Any) -> Any:
        """The output of a new Keras layer of this class on `x`."""
        name = name or self._number(layer.lower())
        if layer in _WITH_CHANNELS:
            options["data_format"] = "channels_last"
        return getattr(keras.layers, layer)(name=name, dtype="float32", **options)(x)

    def add_weighted(self, layer: str, x: Any, weights: list[Weight | None], **options: Any) -> Any:
        """As `add`, of a layer that has tensors and is named by their module."""
        present = [name for name in weights if name is not None]
        ours = [name.removeprefix(_OURS) for name in present]
        name = layer_name(ours[0].rpartition(".")[0])
        self.arrays[name] = [KINDS[layer].to_keras(self.state[n].numpy()) for n in present]
        self.used.update(ours)
        return self.add(layer, x, name, **options)

    def add_fixed(self, layer: str, x: Any, arrays: list[Array], **options: Any) -> Any:
        """As `add`, of a layer with arrays that are no tensors of ours, and are not trained."""
        name = self._number(FIXED)
        self.arrays[name] = arrays
        return self.add(layer, x, name, trainable=False, **options)

    def along(self, x: Any, axis: int, matrix: Tensor) -> Any:
        """Multiply `x` along an axis of (N,C,H,W) by `matrix` (before, after)."""
        at = KERAS_AXIS[axis % 4]
        shape, axes = [*x.shape[1:]], "nhwc"
        shape[at - 1] = matrix.shape[1]
        equation = f"{axes},{axes[at]}v->{axes.replace(axes[at], 'v')}"
        options = {"equation": equation, "output_shape": shape}
        return self.add_fixed("EinsumDense", x, [matrix.float().numpy()], **options)

    def _number(self, layer: str) -> str:
        self._numbers[layer] += 1
        return f"{layer.rstrip('_')}_{self._numbers[layer]}"
