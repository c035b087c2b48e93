"""The card: what a weights file is, carried inside the file itself, and the files that carry it.

A weights file is a safetensors file: 8 bytes of little-endian header length, a JSON header, then
the tensors (https://huggingface.co/docs/safetensors). Its header's `__metadata__` holds the card as
JSON under CARD_KEY. The safetensors library reads it, and trusts no number in the file: lengths are
bounded and checked against the file's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from briskseg.core.eight_bits import unpacked
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.atomic import write_whole, writing
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.limits import MAX_INPUT_PIXELS, MAX_WEIGHTS_BYTES, check_size, parse_json
from briskseg.core.files.safe_names import fault_of_class_name, printable
from briskseg.core.labels import LabelSet
from briskseg.core.types import Array

CARD_KEY = "briskseg.card"
CARD_VERSION: Literal[1] = 1

Byte = Annotated[int, Field(ge=0, le=255)]
Pixels = Annotated[int, Field(ge=1, le=65536)]
Option = bool | int | float | str


def fits(size: tuple[int, int]) -> tuple[int, int]:
    """The size of a network's images. Raises ValueError where one would fill the memory."""
    if size[0] * size[1] > MAX_INPUT_PIXELS:
        raise ValueError(
            f"images of {size[0]}x{size[1]}, expected at most {MAX_INPUT_PIXELS} pixels"
        )
    return size


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _own_options(options: dict[str, Option]) -> dict[str, Option]:
    """Options that are no other argument of `create_model`; raises ValueError."""
    if others := options.keys() & {"name", "classes"}:
        raise ValueError(f"'{min(others)}' is no option of a network")
    return options


class NetworkCard(_Part):
    """Which network: `create_model(name, classes, **options)` builds it."""

    name: str
    classes: int = Field(ge=1, le=255)
    options: Annotated[dict[str, Option], AfterValidator(_own_options)] = {}


class LabelsCard(_Part):
    """What the network's classes are, in the order of its outputs; colors are RGB."""

    names: tuple[str, ...]
    colors: tuple[tuple[Byte, Byte, Byte], ...]

    @model_validator(mode="after")
    def _a_color_for_each_name(self) -> Self:
        if len(self.names) != len(self.colors):
            raise ValueError(f"{len(self.names)} names but {len(self.colors)} colors")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two classes have the same name")
        for fault in filter(None, map(fault_of_class_name, self.names)):
            raise ValueError(fault)
        return self

    @classmethod
    def from_label_set(cls, labels: LabelSet) -> LabelsCard:
        """The names and colors; how label files were coded is the dataset's business."""
        return cls(names=labels.names, colors=labels.colors)

    def to_label_set(self) -> LabelSet:
        """The label set to color with, whose mask files hold class indices and 255 (ignored)."""
        return LabelSet(names=self.names, colors=self.colors)


class InputCard(_Part):
    """What the network expects of an image.

    size: (height, width) in pixels that images are resized to; None: images stay as they are.
    mean, std: per RGB channel, in units of [0, 1]; the network sees (image / 255 - mean) / std.
    """

    size: Annotated[tuple[Pixels, Pixels], AfterValidator(fits)] | None = None
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[
        Annotated[float, Field(gt=0)],
        Annotated[float, Field(gt=0)],
        Annotated[float, Field(gt=0)],
    ] = (1.0, 1.0, 1.0)


class Card(_Part):
    """Everything needed to run a weights file, and where it came from.

    training: free facts (recipe, data, epochs, seed, images seen, versions).
    scores: by name, in [0, 1]: val_miou; int8_val_miou, of the file's own int8; val_miou_before, of
        the weights that a training on train and val began with, before they saw val.
    """

    card_version: Literal[1] = CARD_VERSION
    network: NetworkCard
    labels: LabelsCard
    input: InputCard = InputCard()
    training: dict[str, JsonValue] = {}
    scores: dict[str, float | None] = {}
    source: str = ""
    license: str = ""

    @model_validator(mode="after")
    def _a_name_for_each_class(self) -> Self:
        if len(self.labels.names) != self.network.classes:
            raise ValueError(
                f"the network has {self.network.classes} classes "
                f"but labels has {len(self.labels.names)} names"
            )
        return self

    @property
    def has_seen_val(self) -> bool:
        """Whether val was trained on too, so that a score on it says nothing about new images."""
        splits = self.training.get("train_splits")
        return isinstance(splits, list) and "val" in splits

    def to_json(self) -> str:
        """The card as one line of JSON."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str, path: Path) -> Card:
        """The card in `text`; `path` is named in the WeightsError that any problem raises."""
        again = "convert" if path.suffix == ".safetensors" else "export"
        cure = f"copy it again, or make it again with `briskseg {again}`"
        try:
            raw = parse_json(text)
        except ValueError as error:
            raise WeightsError(
                f"{path}: its card is not JSON ({error}); the file is damaged: {cure}"
            ) from None
        version = raw.get("card_version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > CARD_VERSION:
            raise WeightsError(
                f"{path}: its card has version {version}, this briskseg reads up to "
                f"{CARD_VERSION}; upgrade briskseg"
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise WeightsError(
                f"{path}: its card does not fit: {_first_problem(error)}; {cure}"
            ) from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = printable(".".join(str(part)[:100] for part in first["loc"]))
    message = printable(first["msg"].removeprefix("Value error, "))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {message}{more}" if place else f"{message}{more}"


def save_weights(path: str | Path, tensors: Mapping[str, Array], card: Card) -> None:
    """Write tensors and card to `path`, or leave what was there: never half a file."""
    save_tensors(Path(path), tensors, {CARD_KEY: card.to_json()})


def save_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """As `save_weights`, with any metadata: for tensors that are no network, and have no card."""
    from safetensors.numpy import save

    # asarray, not ascontiguousarray: the latter turns a scalar into an array of one.
    plain = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    data = save(plain, metadata=dict(metadata))
    with writing(path, WeightsError):
        write_whole(path, data)


def read_card(path: str | Path) -> Card:
    """The card of a weights file, from its header alone.

    Raises RequestError if there is no such file, WeightsError if it is damaged, is not a
    safetensors file or has no card.
    """
    path = Path(path)
    text = read_metadata(path).get(CARD_KEY)
    if text is None:
        raise WeightsError(
            f"{path} has no card, so its network and classes are unknown; add one with: "
            f"briskseg convert {quote(str(path))} --labels cityscapes|camvid|FILE "
            "--out NEW.safetensors"
        )
    return Card.from_json(text, path)


def read_metadata(path: Path) -> dict[str, str]:
    """What the header of a .safetensors file says besides its tensors.

    Raises RequestError if there is no such file, WeightsError if it is damaged or something else.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise RequestError(f"{path} is not there or is no file, expected a .safetensors file")
    refuse_other(path, "a .safetensors file", WeightsError, expected=("zip",))
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except Exception as error:  # the library's own, or the system's
        raise WeightsError(_not_safetensors(path, error)) from None


def _not_safetensors(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as failure:
        return f"{path} cannot be read: {failure.strerror or failure}"
    if not start:
        return f"{path} is empty, expected a .safetensors file; copy or download it again"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        other = path.with_suffix(".pth")
        rename = f"rename it to {other.name}, and " if path.suffix == ".safetensors" else ""
        return (
            f"{path} is a PyTorch checkpoint, expected a .safetensors file with its card; {rename}"
            f"make one with: briskseg convert {quote(str(other if rename else path))} --labels "
            "cityscapes|camvid|FILE"
        )
    return f"{path} is damaged or no .safetensors file ({error}); copy or download it again"


def load_weights(path: str | Path) -> tuple[dict[str, Array], Card]:
    """The tensors by name, and the card; float16 comes back as float32, and so do
    weights that are stored in eight bits.

    Raises as `read_card` does, and WeightsError if the tensors are damaged or cut off.
    """
    from safetensors.numpy import load_file

    path = Path(path)
    card = read_card(path)
    try:
        check_size(path, MAX_WEIGHTS_BYTES, WeightsError)
        tensors = unpacked(load_file(path))
    except WeightsError:
        raise
    except Exception as error:  # the library's own error, or any of numpy's
        raise WeightsError(
            f"{path}: its tensors cannot be read ({error}); the file is damaged or holds a type "
            "that numpy has not: copy or download it again"
        ) from None
    halves = {name: t.astype(np.float32) for name, t in tensors.items() if t.dtype == np.float16}
    return tensors | halves, card
