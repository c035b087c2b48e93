"""Our networks as Keras 3 models: the same layers and weights, of Keras' own standard layers only.

The file loads with `keras.saving.load_model(FILE)` on the torch, JAX or TensorFlow backend, without
this package, in the version of Keras that wrote it and later ones: Keras itself refuses files of a
later version than its own. What goes in is the plain image (N, H, W, 3), RGB, 0 to 255, uint8 or
float, of the one size that the file was made for; mean and standard deviation are in a
Normalization layer. What comes out are the logits (N, H, W, classes), with no softmax.

Every number (kernel, stride, padding, dilation, epsilon, dropout) is read from the torch modules;
here is only in which order they are called. Keras pads "same" convolutions of stride 2 and enlarges
by deconvolution otherwise than torch, so these are written as explicit padding and cropping. Linear
resampling along an axis that no layer has (cell averages, align_corners) is a matrix in an
EinsumDense.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from briskseg.core.card import Card
from briskseg.core.errors import MissingExtraError, RequestError
from briskseg.core.exported import Exported
from briskseg.core.types import Array
from briskseg.export import Infer, Runs
from briskseg.export.keras_file import KINDS, add_beside, layer_name
from briskseg.export.keras_forms import FORMS, corner_weights
from briskseg.models.network import Network

# Layers that ask where the channels are; the user's own setting must not decide.
_WITH_CHANNELS = {
    *("Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "MaxPooling2D", "ZeroPadding2D"),
    *("Cropping2D", "UpSampling2D", "Resizing", "SpatialDropout2D"),
}


def write_keras(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, for images of one size; return the file, loaded.

    Raises RequestError for a network that has no form here, MissingExtraError without Keras.
    """
    keras = import_keras()
    assert exported.size is not None
    with keras.device("cpu"):
        writer = Writer(keras, network)
        image = keras.Input((*exported.size, 3), name="image", dtype="float32")
        mean = [255 * value for value in card.input.mean]
        variance = [(255 * value) ** 2 for value in card.input.std]
        x = writer.add("Normalization", image, axis=-1, mean=mean, variance=variance)
        model = keras.Model(image, writer(network, x), name=card.network.name)
        for name, arrays in writer.arrays.items():
            model.get_layer(name).set_weights(arrays)
        model.save(path)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    add_beside(path, {k: v for k, v in state.items() if k not in writer.placed}, card)
    return Runs(_open(keras, path))


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


class Writer:
    """Appends Keras layers for torch modules: `y = writer(module, x)`.

    arrays: by layer, what its weights are to be. placed: the names of the tensors among them.
    """

    def __init__(self, keras: Any, network: Network) -> None:
        self._layers = keras.layers
        self._names = {module: name for name, module in network.named_modules()}
        self._numbers: Counter[str] = Counter()
        self.arrays: dict[str, list[Array]] = {}
        self.placed: set[str] = set()

    def __call__(self, module: nn.Module, x: Any) -> Any:
        form = FORMS.get(type(module).__name__)
        if form is None:
            raise RequestError(
                f"the layer {type(module).__name__} has no form in Keras here; networks made of "
                f"these can be exported: {', '.join(FORMS)}"
            )
        return form(self, module, x)

    def add(self, layer: str, x: Any, name: str | None = None, **options: Any) -> Any:
        """The output of a new Keras layer of this class on `x`."""
        name = name or self._number(layer.lower())
        if layer in _WITH_CHANNELS:
            options["data_format"] = "channels_last"
        return getattr(self._layers, layer)(name=name, dtype="float32", **options)(x)

    def add_weighted(self, layer: str, module: nn.Module, x: Any, **options: Any) -> Any:
        """As `add`, of a layer that takes the module's name and tensors."""
        kind, state = KINDS[layer], module.state_dict()
        present = [tensor for tensor in kind.tensors if tensor in state]
        name = layer_name(self._names[module])
        self.arrays[name] = [kind.to_keras(state[tensor].numpy()) for tensor in present]
        self.placed |= {f"{self._names[module]}.{tensor}" for tensor in present}
        return self.add(layer, x, name, **options)

    def relu(self, x: Any) -> Any:
        return self.add("ReLU", x)

    def plus(self, x: Any, y: Any) -> Any:
        return self.add("Add", [x, y])

    def concatenate(self, xs: list[Any], axis: int = -1) -> Any:
        return self.add("Concatenate", xs, axis=axis)

    def extend(self, x: Any, height: int, width: int) -> Any:
        """Repeat the last row and column up to this size."""
        for axis, size in ((1, height), (2, width)):
            missing = size - x.shape[axis]
            if missing > 0:
                start, times = [(0, 0), (0, 0)], [1, 1]
                start[axis - 1], times[axis - 1] = (x.shape[axis] - 1, 0), missing
                last = self.add("Cropping2D", x, cropping=tuple(start))
                last = self.add("UpSampling2D", last, size=tuple(times), interpolation="nearest")
                x = self.concatenate([x, last], axis)
        return x

    def crop(self, x: Any, height: int, width: int) -> Any:
        """Drop rows at the bottom and columns at the right down to this size."""
        bottom, right = x.shape[1] - height, x.shape[2] - width
        if not (bottom or right):
            return x
        return self.add("Cropping2D", x, cropping=((0, bottom), (0, right)))

    def resize(self, x: Any, size_hw: tuple[int, int], align_corners: bool) -> Any:
        """Bilinear, as torch's `interpolate` is."""
        if x.shape[1:3] == size_hw:
            return x
        if not align_corners:
            height, width = size_hw
            return self.add("Resizing", x, height=height, width=width, interpolation="bilinear")
        rows, columns = (corner_weights(x.shape[axis], size_hw[axis - 1]) for axis in (1, 2))
        return self.resample(x, rows, columns)

    def resample(self, x: Any, rows: Array, columns: Array) -> Any:
        """Multiply every column of pixels by `rows` (H,h) and every row by `columns` (W,w)."""
        for axis, matrix, equation in ((2, columns, "nhwc,wv->nhvc"), (1, rows, "nhwc,hg->ngwc")):
            shape = [*x.shape[1:]]
            shape[axis - 1] = matrix.shape[1]
            name = self._number("resample")
            self.arrays[name] = [matrix]
            x = self.add(
                "EinsumDense", x, name, equation=equation, output_shape=shape, trainable=False
            )
        return x

    def _number(self, layer: str) -> str:
        self._numbers[layer] += 1
        return f"{layer}_{self._numbers[layer]}"
