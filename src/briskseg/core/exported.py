"""What an exported file says of itself besides its card, and reading both from every format.

An .onnx file is a protobuf message (https://onnx.ai/onnx/repo-docs/IR.html): its field 14 holds
`metadata_props`, pairs of strings. An .xml file is OpenVINO's description of a model, whose
`rt_info` holds such pairs as elements. A .tflite file is a FlatBuffer, whose root lists `metadata`
by name and the buffers that hold it; a zip archive with `labels.txt` follows. A .ncnn.param file is
text, with lines of ours at its end. Reading takes none of their packages, executes nothing and
trusts no length in the file.
"""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from xml.parsers import expat

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from briskseg.core.card import CARD_KEY, Card, fits
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.limits import check_size
from briskseg.core.flatbuffer import Table
from briskseg.core.ncnn_param import read_param
from briskseg.core.onnx_outside import keeps_numbers_outside
from briskseg.core.protobuf import fields

EXPORT_KEY = "briskseg.export"

# In files that resize images themselves: the tensor (N,h,w,3) uint8 of what the network sees. What
# runs a file and has resized the image already begins there.
NETWORK_IMAGES = "network_images"

# A card longer than this, or a description of a network, is damage.
_MAX_TEXT_BYTES = 16 * 1024 * 1024
_MAX_ENTRIES = 1024  # of a .tflite file's metadata

_Side = Annotated[int, Field(ge=1)]


class Exported(BaseModel):
    """What runs the file must know.

    factor: by how much "logits" are smaller than the image that the network saw, extended to what
        its strides divide: 1, 2 ...; None where they are stretched to the image's size whatever it
        is. align_corners: how they are enlarged. size: (height, width) of the images that the file
        takes, None for any. precision: what its convolutions compute in. weights: the SHA-256 of
        the weights file that it was made from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: Annotated[int, Field(ge=1, le=64)] | None
    align_corners: bool
    size: Annotated[tuple[_Side, _Side], AfterValidator(fits)] | None
    precision: Literal["float32", "int8"]
    weights: str

    @property
    def enlarging(self) -> str:
        """What is left to be done with the logits, in words."""
        corners = f"align_corners={self.align_corners}"
        if self.factor is None:
            return f"to be stretched to the image's size, {corners}"
        if self.factor == 1:
            return "as large as the image"
        return f"to be enlarged {self.factor} times, {corners}, and cropped to the image's size"


def read_exported(path: Path) -> tuple[Card, Exported]:
    """The card of an exported file, and what it says of itself.

    Raises RequestError if there is no such file, WeightsError if it is damaged or has no card.
    """
    pairs = _pairs(path)
    if CARD_KEY not in pairs or EXPORT_KEY not in pairs:
        formats = {".tflite": "litert", ".ncnn.param": "ncnn"}.get(suffix_of(path), "onnx|openvino")
        raise WeightsError(
            f"{path} has no card, so its classes and its input are unknown: `briskseg export` did "
            f"not write it; export the weights file with: briskseg export MODEL --to {formats}"
        )
    try:
        exported = Exported.model_validate_json(pairs[EXPORT_KEY])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise WeightsError(
            f"{path}: what it says of its outputs does not fit "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}); export it again"
        ) from None
    return Card.from_json(pairs[CARD_KEY], path), exported


def suffix_of(path: Path) -> str:
    """The end of a file's name that says what it is, in lower case: of .ncnn.param both words."""
    return ".ncnn.param" if path.name.lower().endswith(".ncnn.param") else path.suffix.lower()


def files_of(path: Path) -> list[Path]:
    """An exported file, and the one beside it that OpenVINO and ncnn keep its numbers in."""
    has_numbers_beside = suffix_of(path) in (".xml", ".ncnn.param")
    return [path, path.with_suffix(".bin")] if has_numbers_beside else [path]


def has_card(path: Path) -> bool:
    """Whether an exported file has a card: `briskseg export` wrote it. Raises as
    `read_exported` for what is not there, damaged, or keeps its numbers elsewhere."""
    return CARD_KEY in _pairs(path)


def _pairs(path: Path) -> dict[str, str]:
    if not path.exists():
        *some, last = _READERS
        raise RequestError(f"{path} is not there, expected a {', '.join(some)} or {last} file")
    suffix = suffix_of(path)
    suffix = suffix if suffix in _READERS else ".onnx"
    refuse_other(
        path, f"a model's {suffix} file", WeightsError, ("xml",) if suffix == ".xml" else ()
    )
    read, bound = _READERS[suffix]
    try:
        check_size(path, bound, WeightsError)
        return read(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, expat.ExpatError) as error:
        raise WeightsError(
            f"{path} is damaged or no {suffix} file ({error}); copy it or export it again"
        ) from None


def _onnx_pairs(path: Path) -> dict[str, str]:
    """`metadata_props`; everything else is skipped, not read."""
    pairs = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number, _, start, end in fields(data, 0, len(data)):
            if number == 14:
                if end - start > _MAX_TEXT_BYTES:
                    raise ValueError(f"metadata of {end - start} bytes")
                entry = {n: data[a:b].decode() for n, _, a, b in fields(data, start, end)}
                pairs[entry.get(1, "")] = entry.get(2, "")
        if keeps_numbers_outside(data):
            raise WeightsError(
                f"{path} keeps numbers in other files, which could be any of yours; export it "
                "again, into one file"
            )
    return pairs


def _xml_pairs(path: Path) -> dict[str, str]:
    """The elements of `rt_info` that are ours: <rt_info><briskseg><card value="..."/>."""
    pairs: dict[str, str] = {}
    open_elements: list[str] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(name)
        if open_elements[:-1] == ["net", "rt_info", "briskseg"] and "value" in attributes:
            pairs[f"briskseg.{name}"] = attributes["value"]

    def doctype(*_: object) -> None:  # entities could name files, or grow without end
        raise ValueError("it declares a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(path.read_bytes(), True)
    return pairs


# The fields of a .tflite file's Model and of its Metadata and Buffer, by number (schema.fbs).
_BUFFERS, _METADATA = 4, 6
_NAME, _BUFFER, _DATA = 0, 1, 0


def _tflite_pairs(path: Path) -> dict[str, str]:
    """The metadata that is ours; everything else is skipped."""
    pairs: dict[str, str] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        model = Table.root(data, b"TFL3")
        entries = model.tables(_METADATA, _MAX_ENTRIES)
        for entry in entries:
            name = entry.content(_NAME, _MAX_TEXT_BYTES).decode()
            if name in (CARD_KEY, EXPORT_KEY):
                buffer = model.element(_BUFFERS, entry.number(_BUFFER))
                pairs[name] = buffer.content(_DATA, _MAX_TEXT_BYTES).decode()
        if pairs and not zipfile.is_zipfile(file):
            raise ValueError("its end is missing")
    return pairs


_READERS: dict[str, tuple[Callable[[Path], dict[str, str]], int]] = {
    ".onnx": (_onnx_pairs, 2 * 1024**3),  # protobuf's own bound, and FlatBuffers'
    ".xml": (_xml_pairs, 64 * 1024**2),
    ".tflite": (_tflite_pairs, 2 * 1024**3),
    # of which the layers before our lines are checked
    ".ncnn.param": (lambda path: read_param(path.read_text("utf-8")).ours, _MAX_TEXT_BYTES),
}
READABLE = (*_READERS,)  # the ends of the names of exported files that have a card
