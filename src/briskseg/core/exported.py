"""What an exported file says of itself besides its card, and reading both from ONNX and OpenVINO.

An .onnx file is a protobuf message (https://onnx.ai/onnx/repo-docs/IR.html): its field 14 holds
`metadata_props`, pairs of strings. An .xml file is OpenVINO's description of a model, whose
`rt_info` holds such pairs as elements. Reading takes neither package, executes nothing and trusts
no length in the file.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Annotated, Literal
from xml.parsers import expat

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from briskseg.core.card import CARD_KEY, Card, fits
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.contents import other_content
from briskseg.core.files.limits import check_size
from briskseg.core.onnx_outside import keeps_numbers_outside
from briskseg.core.protobuf import fields

EXPORT_KEY = "briskseg.export"

# In files that resize images themselves: the tensor (N,h,w,3) uint8 of what the network sees. What
# runs a file and has resized the image already begins there.
NETWORK_IMAGES = "network_images"

# A card longer than this, or a description of a network, is damage.
_MAX_TEXT_BYTES = 16 * 1024 * 1024
_MAX_XML_BYTES = 64 * 1024 * 1024
_MAX_ONNX_BYTES = 2 * 1024 * 1024 * 1024  # protobuf's own bound

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


def read_exported(path: Path) -> tuple[Card, Exported]:
    """The card of an .onnx or .xml file, and what it says of itself.

    Raises RequestError if there is no such file, WeightsError if it is damaged or has no card.
    """
    pairs = _pairs(path)
    if CARD_KEY not in pairs or EXPORT_KEY not in pairs:
        raise WeightsError(
            f"{path} has no card, so its classes and its input are unknown: `briskseg export` did "
            "not write it; export the weights file with: briskseg export MODEL --to onnx|openvino"
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


def has_card(path: Path) -> bool:
    """Whether an .onnx or .xml file has a card: `briskseg export` wrote it. Raises as
    `read_exported` for what is not there, damaged, or keeps its numbers elsewhere."""
    return CARD_KEY in _pairs(path)


def _pairs(path: Path) -> dict[str, str]:
    if not path.exists():
        raise RequestError(f"{path} is not there, expected an .onnx or .xml file")
    is_xml = path.suffix.lower() == ".xml"
    if content := other_content(path, expected=("xml",) if is_xml else ()):
        raise WeightsError(content.sentence(path, f"a model's {path.suffix} file"))
    try:
        check_size(path, _MAX_XML_BYTES if is_xml else _MAX_ONNX_BYTES, WeightsError)
        return _xml_pairs(path) if is_xml else _onnx_pairs(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, expat.ExpatError) as error:
        raise WeightsError(
            f"{path} is damaged or no {path.suffix} file ({error}); copy it or export it again"
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
