"""A weights file of ours -> a file that another program runs, checked against the network itself.

Importing this loads no torch and no other format's package; `export` does.
"""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from briskseg.core.card import Card, fits
from briskseg.core.errors import RequestError, WeightsError, nearest
from briskseg.core.exported import Exported
from briskseg.core.types import Image

if TYPE_CHECKING:
    from briskseg.export.int8 import Int8, Scored
    from briskseg.export.verify import Agreement
    from briskseg.models.network import Network
    from briskseg.runtime.backends.torch_backend import TorchBackend

Infer = Callable[[Image], npt.NDArray[np.float32]]


class Runs(NamedTuple):
    """A written file, loaded: image (H, W, 3) uint8 RGB -> logits (C, H, W) float32, and labels
    (H, W) uint8 where the file gives them itself."""

    logits: Infer
    labels: Callable[[Image], npt.NDArray[np.uint8]] | None = None


Writer = Callable[["Network", Card, Exported, Path], Runs]


class Format(NamedTuple):
    """A kind of file that `export` writes.

    writer: "module:function" in briskseg.export; it writes the file and returns what runs it.
    takes, gives: what goes in and comes out, to be filled with height, width, classes, `small`, the
        height and width of the logits, and `enlarging`, what they need yet.
    any_size: whether a file can take images of any size.
    beside: the suffix of a second file that belongs to it.
    """

    suffix: str
    title: str
    writer: str
    takes: str
    gives: str
    any_size: bool = False
    beside: str = ""


_TAKES = "images (N, {height}, {width}, 3), uint8, RGB"
_GIVES = "labels (N, {height}, {width}), uint8, and logits (N, {classes}, {small})"

FORMATS = {
    "onnx": Format(".onnx", "ONNX", "onnx_file:write_onnx", _TAKES, _GIVES, any_size=True),
    "openvino": Format(
        ".xml",
        "OpenVINO",
        "openvino_file:write_openvino",
        _TAKES,
        _GIVES,
        any_size=True,
        beside=".bin",
    ),
    "litert": Format(
        ".tflite",
        "LiteRT",
        "litert_file:write_litert",
        takes="images (1, {height}, {width}, 3), uint8, RGB",
        gives="logits (1, {small}, {classes}), float32, {enlarging}",
    ),
    "keras": Format(
        ".keras",
        "Keras 3",
        "keras_file:write_keras",
        takes="images (N, {height}, {width}, 3), RGB from 0 to 255",
        gives="logits (N, {height}, {width}, {classes})",
    ),
}


@dataclass(frozen=True)
class Export:
    """What `export` wrote. exported: what the file says of itself."""

    out: Path
    format: Format
    card: Card
    exported: Exported
    agreement: Agreement
    scored: Scored | None = None  # int8 beside float32

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it; scores are shares in [0, 1]."""
        scored = self.scored
        int8 = scored and {
            "layers_in_float": scored.in_float,
            "images": len(scored.int8.per_image),
            "float32": scored.float32.confusion.scores(scored.float32.names),
            "int8": scored.int8.confusion.scores(scored.int8.names),
        }
        return {
            "file": str(self.out),
            "network": self.card.network.name,
            "classes": list(self.card.labels.names),
            "size": self.exported.size and list(self.exported.size),
            "agreement": asdict(self.agreement),
            "int8": int8,
        }


def export(
    model: Path,
    to: str,
    out: Path | None = None,
    size_hw: tuple[int, int] | None = None,
    images: Sequence[Image] = (),
    int8: Int8 | None = None,
) -> Export:
    """Write the network in `model`, a run folder or a .safetensors file, in the format `to`.

    The file takes images of `size_hw`; by default of any size, or where the format needs one, of
    the card's `input.size`. `out` is by default the weights file with the format's suffix, of
    shipped weights in the working folder; a file that is there already is not overwritten. The new
    file is run beside the network, on drawn streets and on `images`, before it gets its name, so a
    file that disagrees never is there.

    int8: quantize the convolutions; the file, NAME-int8.xml, is scored on data and refused where it
    loses more than the bounds.

    Raises RequestError for an unknown format, no size, or an `out` that is there; ExportError where
    the file disagrees; MissingExtraError without the format's package; and as `briskseg.load`.
    """
    if to not in FORMATS:
        raise RequestError(f"unknown format '{to}'; {nearest(to, FORMATS)}")
    chosen = FORMATS[to]
    from briskseg.runtime.backends import EXPORTED
    from briskseg.runtime.backends.torch_backend import TorchBackend
    from briskseg.runtime.model_files import find_weights, sha256, weights_folder

    if int8 is not None and to != "openvino":
        raise RequestError(
            f"int8 files are OpenVINO's, found --to {to}; write --to openvino, or leave --int8 out"
        )
    file = find_weights(model)
    if out is None:
        folder = Path() if file.parent == weights_folder() else file.parent
        out = folder / f"{file.stem}{'' if int8 is None else '-int8'}{chosen.suffix}"
    _check_out(out, chosen)
    backend, card = TorchBackend.open(file, device="cpu")
    if size_hw is None and not chosen.any_size:
        size_hw = card.input.size
        if size_hw is None:
            raise RequestError(
                f"{file} takes images of any size, but a {chosen.title} file takes one size; name "
                "it: --size HxW, as in --size 512x1024"
            )
    try:
        size_hw = size_hw and fits(size_hw)
    except ValueError as error:
        raise RequestError(f"--size asks for {error}; name a smaller size") from None
    if size_hw is not None and chosen.suffix in EXPORTED:  # `predict` runs it, and must resize
        card = card.model_copy(update={"input": card.input.model_copy(update={"size": size_hw})})
    exported = Exported(
        factor=backend.network.factor,
        align_corners=backend.network.align_corners,
        size=size_hw,
        precision="float32",
        weights=sha256(file),
    )
    return _write(backend, card, exported, chosen, out, images, int8)


def _write(
    backend: TorchBackend,
    card: Card,
    exported: Exported,
    chosen: Format,
    out: Path,
    images: Sequence[Image],
    int8: Int8 | None,
) -> Export:
    """Write a file in a folder of its own, run it beside the network, and only then name it."""
    from briskseg.export.verify import verify, verify_resizing

    module, _, function = chosen.writer.partition(":")
    write: Writer = getattr(importlib.import_module(f"briskseg.export.{module}"), function)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            part = Path(folder) / out.name
            runs = write(backend.network, card, exported, part)
            agreement = verify(backend.infer, runs, exported.size or card.input.size, out, images)
            if exported.size is None and card.input.size is not None and runs.labels is not None:
                coarse = functools.partial(backend.run, at_own_size=False)
                verify_resizing(coarse, runs, backend.enlargement, card.input.size, out)
            del runs  # a file that is in use cannot be moved, or written over, everywhere
            scored = None
            if int8 is not None:
                from briskseg.export.int8 import write_int8

                scored = write_int8(backend.network, card, exported, part, int8, out)
            if chosen.beside:
                part.with_suffix(chosen.beside).replace(out.with_suffix(chosen.beside))
            part.replace(out)
    except OSError as error:
        raise WeightsError(f"{out} cannot be written: {error.strerror or error}") from None
    return Export(out, chosen, card, exported, agreement, scored)


def _check_out(out: Path, chosen: Format) -> None:
    if out.suffix != chosen.suffix:
        raise RequestError(
            f"--out {out} ends in '{out.suffix}', expected {chosen.suffix}, by which "
            f"{chosen.title} knows its files"
        )
    for file in (out, out.with_suffix(chosen.beside or chosen.suffix)):
        if file.exists():
            raise RequestError(
                f"{file} is there already; remove it, or name another file with --out"
            )
