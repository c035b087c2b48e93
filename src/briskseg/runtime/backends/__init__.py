"""The backends by name: what each opens, computes in and needs. Importing this loads none of them.

A new backend is a file here, whose class is a `Backend`, and a line in `BACKENDS`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from briskseg.core.errors import BriskError, RequestError, nearest
from briskseg.core.exported import read_exported, suffix_of
from briskseg.core.types import Image, Labels, Logits
from briskseg.runtime.decode.enlargement import Enlargement

if TYPE_CHECKING:
    from briskseg.core.card import Card

WEIGHTS = ".safetensors"


class Backend(Protocol):
    """What runs a network. Images are (H, W, 3) uint8 RGB at the network's size, not normalized.

    enlargement: what the logits that `run` gives are to those of `infer`.
    """

    enlargement: Enlargement = Enlargement(None)

    def infer(self, image_hwc: Image) -> Logits:
        """Logits (C, H, W) float32 at the image's size, the caller's own."""

    def run(self, image_hwc: Image, at_own_size: bool) -> Labels | Logits:
        """Labels (H, W) uint8, where the network gives them and labels are wanted `at_own_size`;
        else logits (C, h, w) float32 as the network computes them, to be read before the thread's
        next call."""
        return self.infer(image_hwc)


class BackendKind(NamedTuple):
    """A backend as a record.

    opener: "module:class" in this folder. package: what must be installed, and `extra` the extra of
    briskseg that brings it ("" for the base install). files: the suffixes of what it opens, its own
    format first. export: what `briskseg export --to` makes for it, None for weights. precision:
    what it computes float32 files in; an int8 file stays int8. options: what its class takes
    besides.
    """

    opener: str
    package: str
    extra: str
    files: tuple[str, ...]
    export: str | None
    precision: str = "float32"
    options: dict[str, Any] = {}  # noqa: RUF012 (of a NamedTuple; nothing changes it)

    def installed(self) -> bool:
        """Whether its package is there; nothing is imported."""
        return importlib.util.find_spec(self.package) is not None

    def opens(self, file: Path) -> bool:
        """Whether it runs files of this kind."""
        return suffix_of(file) in self.files

    def open(self, file: Path, threads: int | None, callers: int = 1) -> tuple[Backend, Card]:
        """The backend running `file` for so many `callers` at once, and its card.

        Raises WeightsError for a damaged file or one without a card, MissingExtraError without its
        package, BriskError where that is broken.
        """
        module, _, name = self.opener.partition(":")
        try:
            opener = getattr(importlib.import_module(f"briskseg.runtime.backends.{module}"), name)
        except (ImportError, OSError) as error:  # its own libraries are missing or do not fit
            raise BriskError(
                f"the package {self.package} is installed and cannot be imported: {error}; "
                "install it again, or name another backend"
            ) from error
        opened: tuple[Backend, Card] = opener.open(file, threads, callers, **self.options)
        return opened

    def computes_in(self, precision: str) -> str:
        """What a file of this precision is computed in here: float32, bf16 or int8."""
        return self.precision if precision == "float32" else precision

    def precision_of(self, file: Path) -> str:
        """The same of a file that it opens."""
        is_weights = file.suffix.lower() == WEIGHTS
        return self.computes_in("float32" if is_weights else read_exported(file)[1].precision)


_OPENVINO = ("openvino_backend:OpenVINOBackend", "openvino", "openvino", (".xml", ".onnx"))

BACKENDS = {
    "torch": BackendKind("torch_backend:TorchBackend", "torch", "train", (WEIGHTS,), None),
    "onnx": BackendKind("onnx_backend:OnnxBackend", "onnxruntime", "", (".onnx",), "onnx"),
    "openvino": BackendKind(*_OPENVINO, "openvino"),
    "openvino-bf16": BackendKind(*_OPENVINO, "openvino", "bf16", {"precision": "bfloat16"}),
    "litert": BackendKind(
        "litert_backend:LiteRTBackend", "ai_edge_litert", "litert", (".tflite",), "litert"
    ),
    "ncnn": BackendKind("ncnn_backend:NcnnBackend", "ncnn", "ncnn", (".ncnn.param",), "ncnn"),
}


def check_backend(name: str) -> None:
    """Raises RequestError where it is neither a backend nor "auto"."""
    if name not in ("auto", *BACKENDS):
        raise RequestError(f"unknown backend '{name}'; {nearest(name, ['auto', *BACKENDS])}")


def backends_here(names: Iterable[str] = BACKENDS) -> list[str]:
    """Those that are installed and whose precision this processor computes in hardware."""
    here = [name for name in names if BACKENDS[name].installed()]
    if "openvino-bf16" in here:
        from briskseg.runtime.backends.openvino_backend import has_bfloat16

        if not has_bfloat16():
            here.remove("openvino-bf16")
    return here
