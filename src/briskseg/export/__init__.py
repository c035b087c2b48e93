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
from briskseg.core.exported import READABLE, Exported, read_exported
from briskseg.core.files.atomic import writing
from briskseg.core.types import Image
from briskseg.export.formats import FORMATS, Format, Int8Writer, Writer

if TYPE_CHECKING:
    from briskseg.export.int8 import Int8, Scored
    from briskseg.export.verify import Agreement
    from briskseg.runtime.backends.torch_backend import TorchBackend


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
        """Of the file, without one that belongs to it; of a folder, of all that is in it."""
        files = [*self.file.rglob("*")] if self.file.is_dir() else [self.file]
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
    chosen = FORMATS[to]
    from briskseg.runtime.model_files import default_name, find_weights, is_exported, model_name

    if int8 is not None:
        refuse_int8_of(to)
    if chosen.config:
        chosen = chosen._replace(inside=f"{model_name(model)}/1/model.onnx")
    ready = _onnx_file(model, size_hw) if chosen.page or chosen.config else None
    file = ready if ready is not None and is_exported(model) else find_weights(model)
    if out is None:
        out = default_name(model, file, f"{'' if int8 is None else '-int8'}{chosen.suffix}")
    _check_out(out, chosen)
    if to == "ovms":
        from briskseg.export.model_repository import read_ovms

        read_ovms(out)
    if ready is not None:
        return _configured(_of_onnx(ready, chosen, out))
    return _configured(_of_weights(file, chosen, out, size_hw, images, int8))


def _of_onnx(ready: Path, chosen: Format, out: Path) -> Export:
    """A page or a server's folder with this ONNX file as it is, once it has run.

    Raises RequestError as `web_page.page`, WeightsError for a file without card, or that cannot be
    run or written.
    """
    from briskseg.core.files.atomic import write_whole
    from briskseg.runtime.backends.onnx_backend import OnnxBackend

    card, exported = read_exported(ready)
    shape = (*(exported.size or card.input.size or (64, 64)), 3)
    OnnxBackend(ready).infer(np.zeros(shape, np.uint8))  # whoever loads it could not mend it
    content = ready.read_bytes()
    if chosen.page:
        from briskseg.export.web_page import page

        content = page(content, card, exported, chosen.page).encode()
    done = Export(out, chosen, card, exported, None)
    with writing(done.file, WeightsError):
        done.file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(done.file, content)
    return done


def _of_weights(
    file: Path,
    chosen: Format,
    out: Path,
    size_hw: tuple[int, int] | None,
    images: Sequence[Image],
    int8: Int8 | None,
) -> Export:
    """What torch makes of the network in a weights file."""
    from briskseg.core.files import sha256
    from briskseg.runtime.backends.torch_backend import TorchBackend

    backend, card = TorchBackend.open(file, device="cpu")
    if size_hw is None and not chosen.any_size:
        size_hw = card.input.size
        if size_hw is None:
            raise RequestError(
                f"{file} takes images of any size, but a file for {chosen.title} takes one size; "
                "name it: --size HxW, as in --size 512x1024"
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
    exported = Exported(
        factor=backend.network.factor,
        align_corners=backend.network.align_corners,
        size=size_hw,
        precision="float32",
        weights=sha256(file),
    )
    return _write(backend, card, exported, chosen, out, images, int8)


def _configured(done: Export) -> Export:
    """The same, with what a server reads beside the file, where it is for one."""
    if done.format.config:
        _function(done.format.config)(done)
    return done


def _onnx_file(model: Path, size_hw: tuple[int, int] | None) -> Path | None:
    """The .onnx file that `model` names, or that was made of the weights that it names."""
    from briskseg.runtime.model_files import find_files, is_exported

    if size_hw is not None:
        if is_exported(model):
            raise RequestError(
                f"{model} is exported already, for the size that it takes; leave --size out, or "
                "name the weights"
            )
        return None
    onnx = [file for file in find_files(model) if file.suffix.lower() == ".onnx"]
    return onnx[0] if onnx else None


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

    write: Writer = _function(chosen.writer)
    with writing(out, WeightsError):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            file = out / chosen.inside
            part = Path(folder) / file.name
            runs = write(backend.network, card, exported, part)
            seen_hw = exported.size or card.input.size
            agreement = runs and verify(backend.infer, runs, seen_hw, out, images)
            if exported.size is None and card.input.size is not None and runs and runs.labels:
                coarse = functools.partial(backend.run, at_own_size=False)
                verify_resizing(coarse, runs, backend.enlargement, card.input.size, out)
            del runs  # a file that is in use cannot be moved, or written over, everywhere
            scored = None
            if int8 is not None:
                write_int8: Int8Writer = _function(chosen.int8)
                scored = write_int8(backend.network, card, exported, part, int8, out)
            if chosen.beside:
                part.with_suffix(chosen.beside).replace(out.with_suffix(chosen.beside))
            file.parent.mkdir(parents=True, exist_ok=True)
            part.replace(file)
    return Export(out, chosen, card, exported, agreement, scored)


def _function(name: str) -> Any:
    """By "module:function" of this folder."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(f"briskseg.export.{module}"), function)


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
    beside = [out.with_suffix(chosen.beside)] if chosen.beside else []
    for file in (out / chosen.inside, *beside):
        if file.exists():
            kind = "folder" if chosen.inside else "file"
            raise RequestError(
                f"{file} is there already; remove it, or name another {kind} with --out"
            )
