"""A weights file of ours -> a file that another program runs, checked against the network itself.

Importing this loads no torch and no other format's package; `export` does.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from briskseg.core.card import Card
from briskseg.core.errors import RequestError, WeightsError, nearest

if TYPE_CHECKING:
    from briskseg.export.verify import Agreement
    from briskseg.models.network import Network

Infer = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
Writer = Callable[["Network", Card, tuple[int, int], Path], Infer]


class Format(NamedTuple):
    """A kind of file that `export` writes.

    writer: "module:function" in briskseg.export; it writes the file and returns what runs it: image
        (H, W, 3) uint8 RGB -> logits (C, H, W) float32.
    takes, gives: what goes in and comes out, to be filled with height, width and classes.
    """

    suffix: str
    title: str
    writer: str
    takes: str
    gives: str


FORMATS = {
    "keras": Format(
        ".keras",
        "Keras 3",
        "keras_:write_keras",
        takes="images (N, {height}, {width}, 3), RGB from 0 to 255",
        gives="logits (N, {height}, {width}, {classes})",
    )
}


@dataclass(frozen=True)
class Export:
    """What `export` wrote."""

    out: Path
    format: Format
    card: Card
    size_hw: tuple[int, int]  # of the images that the file takes
    agreement: Agreement


def export(
    model: Path, to: str, out: Path | None = None, size_hw: tuple[int, int] | None = None
) -> Export:
    """Write the network in `model`, a run folder or a .safetensors file, in the format `to`.

    The file takes images of `size_hw`, by default the card's `input.size`. `out` is by default the
    weights file with the format's suffix; a file that is there already is not overwritten. The new
    file is run beside the network before it gets its name, so a file that disagrees never is there.

    Raises RequestError for an unknown format, no size, or an `out` that is there; ExportError where
    the file disagrees; MissingExtraError without the format's package; and as `briskseg.load`.
    """
    if to not in FORMATS:
        raise RequestError(f"unknown format '{to}'; {nearest(to, FORMATS)}")
    chosen = FORMATS[to]
    from briskseg.runtime.predictor import find_weights
    from briskseg.runtime.torch_ import TorchBackend

    file = find_weights(model)
    out = file.with_suffix(chosen.suffix) if out is None else out
    _check_out(out, chosen)
    backend, card = TorchBackend.open(file, device="cpu")
    size_hw = _size(size_hw, card, file)
    write = _writer(chosen)

    from briskseg.export.verify import verify

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            part = Path(folder) / out.name
            infer = write(backend.network, card, size_hw, part)
            agreement = verify(backend.infer, infer, size_hw, out)
            part.replace(out)
    except OSError as error:
        raise WeightsError(f"{out} cannot be written: {error.strerror or error}") from None
    return Export(out, chosen, card, size_hw, agreement)


def _check_out(out: Path, chosen: Format) -> None:
    if out.suffix != chosen.suffix:
        raise RequestError(
            f"--out {out} ends in '{out.suffix}', expected {chosen.suffix}, by which "
            f"{chosen.title} knows its files"
        )
    if out.exists():
        raise RequestError(f"{out} is there already; remove it, or name another file with --out")


def _size(size_hw: tuple[int, int] | None, card: Card, file: Path) -> tuple[int, int]:
    size_hw = size_hw or card.input.size
    if size_hw is None:
        raise RequestError(
            f"{file} takes images of any size, but an exported file takes one size; name it: "
            "--size HxW, as in --size 512x1024"
        )
    return size_hw


def _writer(chosen: Format) -> Writer:
    module, _, function = chosen.writer.partition(":")
    writer: Writer = getattr(importlib.import_module(f"briskseg.export.{module}"), function)
    return writer
