"""ncnn's pair of files, read strictly: the text of a .ncnn.param, and what its .ncnn.bin must hold.

    7767517
    2 2                                layers and blobs
    Input        in0     0 1 in0       type, name, inputs and outputs: counts, then names
    Convolution  conv_0  1 1 in0 out0 0=5 ... 6=135    and parameters: number=value
    briskseg.card json 0 0 0={...}     ours

ncnn reads as many lines as the second says and no further: behind them the card and `Exported` lie,
each in a line that looks like a layer to programs that read all of them, so without a space or "=".
ncnn's own reader trusts the text, so what it gets is written anew from what was understood here.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from briskseg.core.files.limits import MAX_NCNN_BYTES

INPUT, OUTPUT = "in0", "out0"

_MAGIC = "7767517"
_OURS = re.compile(r"(briskseg\.\w+) json 0 0 0=(\S+)")
_NAME = re.compile(r"[\w.\-/]{1,200}", re.ASCII)
_KEY = re.compile(r"-?\d{1,5}", re.ASCII)
_VALUE = re.compile(r"[+-]?\d{1,9}|[+-]?\d{1,9}(\.\d{1,9})?(e[+-]?\d{1,2})?", re.ASCII)
_MAX_LAYERS, _MAX_BLOBS, _MAX_LISTED, _MAX_DIGITS = 4096, 64, 64, 15  # ncnn cuts longer values
_ARRAY, _PARAMETERS = -23300, 32  # arrays are numbered from the first downwards


class Layer(NamedTuple):
    """A line of the text. parameters: as the text writes them, by their number; a list's joined by
    commas."""

    type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: dict[int, str]

    def number(self, key: int, default: int = 0) -> int:
        """A parameter that is a whole number. Raises ValueError for another."""
        return int(self.parameters.get(key, default))

    def line(self) -> str:
        """As ncnn reads it."""
        counts = f"{len(self.inputs)} {len(self.outputs)}"
        values = [
            f"{key}={value}" if key >= 0 else f"{key}={value.count(',') + 1},{value}"
            for key, value in self.parameters.items()
        ]
        return " ".join([self.type, self.name, counts, *self.inputs, *self.outputs, *values])


class Param(NamedTuple):
    """layers: in the order in which they run. ours: what is said in our lines, by its key."""

    layers: list[Layer]
    ours: dict[str, str]

    def text(self) -> str:
        """The file."""
        blobs = sum(len(layer.outputs) for layer in self.layers)
        ours = [
            f"{key} json 0 0 0={value.replace(' ', _SPACE).replace('=', _EQUALS)}"
            for key, value in self.ours.items()
        ]
        lines = [_MAGIC, f"{len(self.layers)} {blobs}", *(layer.line() for layer in self.layers)]
        return "\n".join([*lines, *ours, ""])


# In JSON's texts; between values neither is found, where it is written compactly.
_SPACE, _EQUALS = r"\u0020", r"\u003d"


def compact_json(text: str) -> str:
    """The same JSON in ASCII, without a space but in its texts."""
    return json.dumps(json.loads(text), separators=(",", ":"))


def read_param(text: str) -> Param:
    """Raises ValueError for what is no such text, or one that ncnn's own reader might trip over:
    a kind of layer that `briskseg export` does not write, a blob that no earlier layer gives."""
    lines = [line.strip() for line in text.splitlines()]
    if lines[:1] != [_MAGIC]:
        raise ValueError(f"it does not begin with {_MAGIC}")
    count, blobs = _counts(lines[1].split() if len(lines) > 1 else [], _MAX_LAYERS, 1 << 16)
    if len(lines) < 2 + count:
        raise ValueError(f"of {count} layers {max(0, len(lines) - 2)} are there")
    layers = [_layer(line) for line in lines[2 : 2 + count]]
    _check_blobs(layers, blobs)
    found = [_OURS.fullmatch(line) for line in lines[2 + count :]]
    return Param(layers, {match[1]: match[2] for match in found if match})


def _counts(words: Sequence[str], *most: int) -> list[int]:
    if len(words) != len(most) or not all(re.fullmatch(r"\d{1,6}", word) for word in words):
        raise ValueError("a line has no counts")
    counts = [int(word) for word in words]
    if any(count > bound for count, bound in zip(counts, most, strict=True)):
        raise ValueError(f"a count of {max(counts)}")
    return counts


def _layer(line: str) -> Layer:
    kind, name, *rest = [*line.split(), "", ""]
    if kind not in _NUMBERS_OF:
        raise ValueError(f"no kind of layer that is known here: '{kind[:60]}'")
    rest = [word for word in rest if word]
    inputs, outputs = _counts(rest[:2], _MAX_BLOBS, _MAX_BLOBS)
    names, values = rest[2 : 2 + inputs + outputs], rest[2 + inputs + outputs :]
    if len(names) < inputs + outputs or not all(map(_NAME.fullmatch, [name, *names])):
        raise ValueError(f"the names of {name[:60]!r} are missing or none")
    parameters: dict[int, str] = {}
    for word in values:
        key, _, value = word.partition("=")
        if not _KEY.fullmatch(key):
            raise ValueError(f"a parameter of {name} without its number")
        number, listed = int(key), value.split(",")
        if number < 0:
            if listed[0] != str(len(listed) - 1) or len(listed) > _MAX_LISTED:
                raise ValueError(f"a list of {name} is not of the length that it says")
            listed = listed[1:]
        place = number if number >= 0 else _ARRAY - number
        if not (0 <= place < _PARAMETERS and listed and all(map(_is_value, listed))):
            raise ValueError(f"a parameter of {name} is no number")
        if number >= 0 and len(listed) > 1:
            raise ValueError(f"a parameter of {name} is a list")
        parameters[number] = ",".join(listed)
    return Layer(kind, name, tuple(names[:inputs]), tuple(names[inputs:]), parameters)


def _is_value(text: str) -> bool:
    return len(text) <= _MAX_DIGITS and _VALUE.fullmatch(text) is not None


def _check_blobs(layers: Sequence[Layer], blobs: int) -> None:
    """Each is given once, then taken once at most: ncnn has a layer for what is taken twice."""
    given: set[str] = set()
    taken: set[str] = set()
    for layer in layers:
        for name in layer.inputs:
            if name not in given or name in taken:
                raise ValueError(f"{layer.name} takes {name}, which no layer before gives it")
            taken.add(name)
        for name in layer.outputs:
            if name in given:
                raise ValueError(f"two layers give {name}")
            given.add(name)
    if len(given) != blobs:
        raise ValueError(f"it has {len(given)} blobs, and says {blobs}")
    inputs = [layer.outputs for layer in layers if layer.type == "Input"]
    if inputs != [(INPUT,)] or OUTPUT not in given - taken:
        raise ValueError(f"its input is not {INPUT}, or its output not {OUTPUT}")


def check_bin(path: Path, layers: Sequence[Layer]) -> None:
    """Raise ValueError where the .bin does not hold just the numbers that the layers read.

    Raises OSError where there is none."""
    with path.open("rb") as file:
        size = path.stat().st_size
        for layer in layers:
            for count, tagged in _NUMBERS_OF[layer.type](layer):
                if not 0 < count <= MAX_NCNN_BYTES // 4:
                    raise ValueError(f"{layer.name} has {count} numbers")
                file.seek(_length(file, count, tagged, layer.name), 1)
        if file.tell() != size:
            raise ValueError(f"{path.name} has {size} bytes, expected {file.tell()}")


_FLOAT16, _FLOAT32 = 0x01306B47, 0


def _length(file: BinaryIO, count: int, tagged: bool, name: str) -> int:
    """The bytes of so many numbers; before some stands what they are stored in."""
    if not tagged:
        return 4 * count
    tag = file.read(4)
    if len(tag) < 4:
        raise ValueError(f"the numbers of {name} are missing")
    (kind,) = struct.unpack("<I", tag)
    if kind not in (_FLOAT16, _FLOAT32):
        raise ValueError(f"the numbers of {name} are neither float32 nor float16")
    return 4 * count if kind == _FLOAT32 else (2 * count + 3) // 4 * 4


_Numbers = Iterator[tuple[int, bool]]  # how many, and whether a tag stands before them


def _of_none(layer: Layer) -> _Numbers:
    yield from ()


def _of_convolution(layer: Layer) -> _Numbers:
    outputs, kernel = layer.number(0), layer.number(1)
    cells = kernel * layer.number(11, kernel)
    if outputs < 1 or cells < 1 or layer.number(6) % (outputs * cells):
        raise ValueError(f"{layer.name} has {layer.number(6)} numbers for {outputs} outputs")
    if layer.number(8) or layer.number(19):
        raise ValueError(f"{layer.name} computes in int8, or with weights from elsewhere")
    yield layer.number(6), True
    if layer.number(5):
        yield outputs, False


def _of_batch_norm(layer: Layer) -> _Numbers:
    yield from [(layer.number(0), False)] * 4


def _of_layer_norm(layer: Layer) -> _Numbers:
    if layer.number(2, 1):
        yield from [(layer.number(0), False)] * 2


def _of_memory(layer: Layer) -> _Numbers:
    count = 1
    for key in (0, 1, 11, 2):  # width, height, depth, channels; 0 where there is no such axis
        count *= max(1, layer.number(key))
    yield count, not layer.number(21, 1)


def _of_gemm(layer: Layer) -> _Numbers:
    """A * B + C; constant are what the parameters 4, 5 and 6 say."""
    m, n, k, kind = (layer.number(key) for key in (7, 8, 9, 10))
    if layer.number(18):
        raise ValueError(f"{layer.name} computes in int8")
    if layer.number(4):
        yield m * k, True
    if layer.number(5):
        yield n * k, True
    if layer.number(6) and kind != -1:
        yield {0: 1, 1: m, 2: m, 3: m * n, 4: n}.get(kind, 0), True


_WITHOUT_NUMBERS = (
    "BinaryOp",
    "Clip",
    "Concat",
    "Crop",
    "GELU",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "Interp",
    "MatMul",
    "Padding",
    "Permute",
    "PixelShuffle",
    "Pooling",
    "ReLU",
    "Reduction",
    "Reshape",
    "SDPA",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
)

# The kinds of layers that networks here are made of, and the numbers that each reads of the .bin.
_NUMBERS_OF: dict[str, Callable[[Layer], _Numbers]] = {
    **dict.fromkeys(_WITHOUT_NUMBERS, _of_none),
    **dict.fromkeys(
        ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise"),
        _of_convolution,
    ),
    "BatchNorm": _of_batch_norm,
    "LayerNorm": _of_layer_norm,
    "MemoryData": _of_memory,
    "Gemm": _of_gemm,
}
