"""A weights file of ours -> a file that another program runs, checked against the network itself.

Importing this loads no torch and no other format's package; `export` does.
"""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.card import Card, fits
from briskseg.core.errors import RequestError, WeightsError, nearest
from briskseg.core.exported import READABLE, Exported, files_of, read_exported
from briskseg.core.files.atomic import nearest_there, refuse_unwritable, writing
from briskseg.core.types import Image
from briskseg.export.formats import FORMATS, Format, Writer

if TYPE_CHECKING:
    from briskseg.export.int8 import Int8, Scored
    from briskseg.export.verify import Agreement


@dataclass(frozen=True)
class Export:
    """What `export` wrote. out: the file, or the folder of a format of folders. exported: what the
    file says of itself."""

    out: Path
    format: Format
    card: Card
    exported: Exported
    agreement: Agreement | None  # None of what does not run here, or was compared before
    scored: Scored | None = None  # int8 beside float32

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.out / self.format.inside

    @property
    def size_bytes(self) -> int:
        """Of the file, with one that belongs to it; of a folder, of all that is in it."""
        files = [*self.file.rglob("*")] if self.file.is_dir() else files_of(self.file)
        return sum(file.stat().st_size for file in files if file.is_file())

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
            "file": str(self.file),
            "bytes": self.size_bytes,
            "network": self.card.network.name,
            "classes": list(self.card.labels.names),
            "size": self.exported.size and list(self.exported.size),
            "agreement": self.agreement and asdict(self.agreement),
            "int8": int8,
        }


def refuse_int8_of(to: str) -> None:
    """Raise RequestError for a format that int8 files are not written in."""
    if to in FORMATS and not FORMATS[to].int8:
        known = [name for name, one in FORMATS.items() if one.int8]
        raise RequestError(
            f"int8 files are {' and '.join(FORMATS[name].title for name in known)} files, found "
            f"--to {to}; write --to {' or '.join(known)}, or leave --int8 out"
        )


def export(
    model: str | Path,
    to: str,
    out: str | Path | None = None,
    size_hw: tuple[int, int] | None = None,
    images: Sequence[Image] = (),
    int8: Int8 | None = None,
) -> Export:
    """Write the network in `model`, a run folder or a .safetensors file, in the format `to`; for a
    page or a server an .onnx file of ours is taken too, and taken where it lies beside its weights.

    The file takes images of `size_hw`; by default of any size, or where the format needs one, of
    the card's `input.size`. `out` is by default the weights file with the format's suffix, of
    shipped weights and of the Hub's in the working folder; a file that is there already is not
    overwritten. The new file is run beside the network, on drawn streets and on `images`, before it
    gets its name, so a file that disagrees never is there.

    int8: compute in int8; the file, NAME-int8 with the suffix, is scored on data and refused where
    it loses more than the bounds.

    Raises RequestError for an unknown format, no size, or an `out` that is there; ExportError where
    the file disagrees; MissingExtraError without the format's package; and as `briskseg.load`.
    """
    if to not in FORMATS:
        raise RequestError(f"unknown format '{to}'; {nearest(to, FORMATS)}")
    model, out = Path(model), None if out is None else Path(out)
    from briskseg.runtime.model_files import default_name, find_weights, is_exported, model_name

    if int8 is not None:
        refuse_int8_of(to)
    chosen = FORMATS[to]
    chosen = chosen._replace(inside=chosen.inside.format(name=model_name(model)))
    onnx = _onnx_file(model, size_hw, images) if chosen.packer else None
    file = onnx if onnx is not None and is_exported(model) else find_weights(model)
    if out is None:
        out = default_name(model, file, f"{'' if int8 is None else '-int8'}{chosen.suffix}")
    _check_out(out, chosen)
    pack = _named(chosen.packer)(out) if chosen.packer else None
    above = nearest_there(out.parent)  # no folder is made for an export that fails
    with (
        writing(out, WeightsError),
        tempfile.TemporaryDirectory(prefix=".export-", dir=above) as folder,
    ):
        part = onnx or Path(folder) / (out.name if pack is None else "model.onnx")
        if onnx is not None:
            done = _ready(onnx, chosen, out)
        else:
            done = _written(file, chosen, part, out, size_hw, images, int8)
        if pack is not None:
            pack(done, part.read_bytes())
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            for each in reversed(files_of(part)):
                each.replace(out.with_name(each.name))
    return done


def _onnx_file(
    model: Path, size_hw: tuple[int, int] | None, images: Sequence[Image]
) -> Path | None:
    """The .onnx file that `model` names, or that was made of the weights that it names; None where
    the network is to be written anew, for a size or to be compared on images."""
    from briskseg.runtime.model_files import find_files, is_exported

    if size_hw is not None or images:
        if is_exported(model):
            what, cure = "is not compared with the network again", "--data"
            if size_hw is not None:
                what, cure = "takes the size that it was exported for", "--size"
            raise RequestError(
                f"{model} is exported already, and {what}; leave {cure} out, or name the weights"
            )
        return None
    onnx = [file for file in find_files(model) if file.suffix.lower() == ".onnx"]
    return onnx[0] if onnx else None


def _ready(onnx: Path, chosen: Format, out: Path) -> Export:
    """An ONNX file as it is, once it has run. Raises WeightsError for one without card, or that
    cannot be run."""
    from briskseg.runtime.backends.onnx_backend import OnnxBackend

    card, exported = read_exported(onnx)
    shape = (*(exported.size or card.input.size or (64, 64)), 3)
    OnnxBackend(onnx).infer(np.zeros(shape, np.uint8))  # whoever loads it could not mend it
    return Export(out, chosen, card, exported, None)


def _written(
    weights: Path,
    chosen: Format,
    part: Path,
    out: Path,
    size_hw: tuple[int, int] | None,
    images: Sequence[Image],
    int8: Int8 | None,
) -> Export:
    """Write the network in a weights file to `part` and run it beside the network; errors name
    `out`."""
    from briskseg.core.files import sha256
    from briskseg.runtime.backends.torch_backend import TorchBackend  # says where torch is missing

    backend, card = TorchBackend.open(weights, device="cpu")
    card, size_hw = _sized(card, chosen, weights, size_hw)
    # packages that are missing are told of before the network is traced, which takes long
    write: Writer = _named(chosen.writer)
    quantizer: Any = None if int8 is None else _named(chosen.int8)
    from briskseg.export.int8 import write_int8
    from briskseg.export.verify import verify, verify_resizing

    exported = Exported(
        factor=backend.network.factor,
        align_corners=backend.network.align_corners,
        size=size_hw,
        precision="float32",
        weights=sha256(weights),
    )
    runs = write(backend.network, card, exported, part)
    seen_hw = exported.size or card.input.size
    agreement = runs and verify(backend.infer, runs, seen_hw, out, images)
    if exported.size is None and card.input.size is not None and runs and runs.labels:
        coarse = functools.partial(backend.run, at_own_size=False)
        verify_resizing(coarse, runs, backend.enlargement, card.input.size, out)
    del runs  # a file that is in use cannot be moved, or written over, everywhere
    scored = None
    if int8 is not None:
        scored = write_int8(quantizer, backend.network, card, exported, part, int8, out)
    return Export(out, chosen, card, exported, agreement, scored)


def _sized(
    card: Card, chosen: Format, weights: Path, size_hw: tuple[int, int] | None
) -> tuple[Card, tuple[int, int] | None]:
    """The card of the file to write, and the one size of images that it takes, if one."""
    if size_hw is None and not chosen.any_size:
        size_hw = card.input.size
        if size_hw is None:
            raise RequestError(
                f"{weights} takes images of any size, but a file for {chosen.title} takes one "
                "size; name it: --size HxW, as in --size 512x1024"
            )
    try:
        size_hw = size_hw and fits(size_hw)
    except ValueError as error:
        raise RequestError(f"--size asks for {error}; name a smaller size") from None
    # what runs such a file resizes images to that
    if size_hw is not None and (chosen.any_size or chosen.suffix in READABLE):
        changed: dict[str, Any] = {"input": card.input.model_copy(update={"size": size_hw})}
        if size_hw != card.input.size:  # what was scored is not what this file computes
            changed["scores"] = {}
        card = card.model_copy(update=changed)
    return card, size_hw


def _named(name: str) -> Any:
    """The function or class "module:name" of this folder."""
    module, _, own = name.partition(":")
    return getattr(importlib.import_module(f"briskseg.export.{module}"), own)


def _check_out(out: Path, chosen: Format) -> None:
    if chosen.inside:
        if out.is_file() or out.suffix == Path(chosen.inside).suffix:
            raise RequestError(
                f"--out {out} is a file or named as one, expected a folder, into which "
                f"{chosen.inside} is written; name another"
            )
    elif not out.name.endswith(chosen.suffix):
        raise RequestError(
            f"--out {out} ends in '{out.suffix}', expected {chosen.suffix}, by which "
            f"{chosen.title} knows its files"
        )
    refuse_unwritable(out if chosen.inside else out.parent)
    for file in files_of(out / chosen.inside):
        if file.exists():
            kind = "folder" if chosen.inside else "file"
            raise RequestError(
                f"{file} is there already; remove it, or name another {kind} with --out"
            )
