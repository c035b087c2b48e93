"""What lies in a .keras file of ours, and back from it to our tensors, with h5py alone.

A .keras file is a zip: `config.json` describes the layers, `model.weights.h5` holds their arrays.
`briskseg export` adds BESIDE, which Keras ignores: a weights file of ours with the card, and with
the tensors that have no layer (heads that only training uses, batch norm's counters). A layer that
has arrays is named as its module in our network, so that a tensor is found by its name.

Reading is reading: Keras is not imported, no class that `config.json` names is looked up, and no
link in the HDF5 file is followed.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from briskseg.core.card import Card, load_weights, save_weights
from briskseg.core.errors import BriskError, RequestError, WeightsError, needs
from briskseg.core.files.limits import parse_json
from briskseg.core.types import Array
from briskseg.models.weights.comparison import check_finite, network_of, shapes_of
from briskseg.models.weights.convert import new_file

with needs("reading a .keras file", "keras"):
    import h5py

BESIDE = "briskseg.safetensors"
FIXED = "fixed_"  # how layers are named whose arrays are no tensors of ours

# Unpacked, no member is longer than this, and all arrays together neither: the largest network here
# takes 50 MB.
_MAX_BYTES = 256 * 1024 * 1024
_MAX_CONFIG_BYTES = 16 * 1024 * 1024


class Kind(NamedTuple):
    """A Keras layer with arrays. group: what Keras calls it in the HDF5 file; tensors: our names,
    in the order of its arrays; axes: of our weight, in the order of its kernel's axes."""

    group: str
    tensors: tuple[str, ...]
    axes: tuple[int, ...]

    def to_keras(self, tensor: Array) -> Array:
        """One of our tensors as Keras has it."""
        return tensor.transpose(self.axes) if tensor.ndim == len(self.axes) else tensor

    def from_keras(self, array: Array) -> Array:
        """One of Keras' arrays as we have it."""
        return array.transpose(np.argsort(self.axes)) if array.ndim == len(self.axes) else array


KINDS = {
    "Conv2D": Kind("conv2d", ("weight", "bias"), (2, 3, 1, 0)),
    "Conv2DTranspose": Kind("conv2d_transpose", ("weight", "bias"), (2, 3, 1, 0)),
    "DepthwiseConv2D": Kind("depthwise_conv2d", ("weight", "bias"), (2, 3, 0, 1)),
    "BatchNormalization": Kind(
        "batch_normalization", ("weight", "bias", "running_mean", "running_var"), ()
    ),
}


def layer_name(module: str) -> str:
    """The Keras layer of a module; on torch, Keras takes no dots in names."""
    return module.replace(".", "-")


def convert_keras(path: Path, out: Path | None = None) -> tuple[Card, Path]:
    """Write the weights and the card in the .keras file `path` to `out`; return card and `out`.

    `out` is by default `path` with the suffix .safetensors; a file that is there already is not
    overwritten. Raises RequestError if there is no such file or `out` is there, WeightsError if it
    is damaged, has no card, or holds other tensors than the card's network has.
    """
    out = new_file(path, out)
    tensors, card = read_keras(path)
    with torch.device("meta"):  # shapes without memory
        network = network_of(card.network, shapes_of(tensors), path, "export it again")
    for name, array in tensors.items():
        check_finite(name, torch.from_numpy(array), path)
    counters = {name: np.zeros((), np.int64) for name in network.state_dict()}
    save_weights(out, {name: (counters | tensors)[name] for name in counters}, card)
    return card, out


def add_beside(path: Path, tensors: Mapping[str, Array], card: Card) -> None:
    """Put the card, and the tensors that have no layer, into the .keras file `path`."""
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder) / BESIDE, tensors, card)
        with zipfile.ZipFile(path, "a") as archive:
            archive.write(Path(folder) / BESIDE, BESIDE)


def read_keras(path: Path) -> tuple[dict[str, Array], Card]:
    """Our tensors by name, and the card, of a file that `briskseg export` wrote.

    The arrays may have been trained on since; that the names and shapes are those of the card's
    network is for the caller to check. Raises RequestError if there is no such file, WeightsError
    if it is damaged or has no card.
    """
    if not path.is_file():
        raise RequestError(f"{path} is not there or is no file, expected a .keras file")
    try:
        with zipfile.ZipFile(path) as archive:
            tensors, card = _read_beside(archive, path)
            layers = parse_json(_read(archive, "config.json", path, _MAX_CONFIG_BYTES))
            layers = layers["config"]["layers"]
            weights = _read(archive, "model.weights.h5", path)
        return tensors | dict(_tensors(layers, weights)), card
    except BriskError:
        raise
    except Exception as error:  # damage shows as any of a dozen types, zipfile's and h5py's
        raise WeightsError(
            f"{path} is damaged or no .keras file ({type(error).__name__}: {error}); "
            "copy it or export it again"
        ) from None


def _read(archive: zipfile.ZipFile, member: str, path: Path, bound: int = _MAX_BYTES) -> bytes:
    """A member's content, of which no more is unpacked than the bound, whatever its header says."""
    with archive.open(member) as file:
        data = file.read(bound + 1)
    if len(data) > bound:
        raise WeightsError(
            f"{path}: its member '{member}' is larger than {bound} bytes unpacked; no file that "
            "`briskseg export` wrote is: export it again"
        )
    return data


def _read_beside(archive: zipfile.ZipFile, path: Path) -> tuple[dict[str, Array], Card]:
    if BESIDE not in archive.namelist():
        raise WeightsError(
            f"{path} has no card, so its network and classes are unknown: `briskseg export` did "
            "not write it, or another program saved it since; in the latter case put the card of "
            f"the exported file back: unzip EXPORTED.keras {BESIDE} && zip {path} {BESIDE}"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / BESIDE
        file.write_bytes(_read(archive, BESIDE, path))
        try:
            return load_weights(file)
        except WeightsError as error:
            raise WeightsError(str(error).replace(str(file), f"{path}, in it {BESIDE}")) from None


def _tensors(layers: list[dict[str, Any]], weights: bytes) -> Iterator[tuple[str, Array]]:
    """Our tensors by name; Keras numbers the layers of a kind in the order of `layers`."""
    seen: Counter[str] = Counter()
    total = 0
    with h5py.File(io.BytesIO(weights), "r") as file:
        for layer in layers:
            kind = KINDS.get(layer["class_name"])
            if kind is None:
                continue
            number = seen[kind.group]
            seen[kind.group] += 1
            if layer["config"]["name"].startswith(FIXED):
                continue
            group = f"layers/{kind.group}_{number}" if number else f"layers/{kind.group}"
            for index, array in enumerate(_arrays(file, f"{group}/vars")):
                total += array.nbytes
                if total > _MAX_BYTES:
                    raise ValueError(f"arrays of more than {_MAX_BYTES} bytes")
                module = layer["config"]["name"].replace("-", ".")  # as `layer_name` named it
                yield f"{module}.{kind.tensors[index]}", kind.from_keras(array)


def _arrays(file: Any, group: str) -> Iterator[Array]:
    place = file
    for name in group.split("/"):
        place = _member(place, name)
    for index in range(len(place)):
        array = _member(place, str(index))
        if array.is_virtual or array.external:
            raise ValueError(f"{group}/{index} lies in another file")
        if array.dtype != np.float32 or array.nbytes > _MAX_BYTES:
            raise ValueError(f"{group}/{index} is {array.dtype}, expected float32")
        yield np.asarray(array[()])


def _member(place: Any, name: str) -> Any:
    if not isinstance(place.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{place.name}/{name} is a link")
    return place[name]
