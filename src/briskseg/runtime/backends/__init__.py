"""The backends by name: what each opens, and which run here. Importing this loads none."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from briskseg.core.card import Card
    from briskseg.runtime.predictor import Backend


class BackendKind(NamedTuple):
    """opener: "module:class" in briskseg.runtime. package: what must be installed. files: the
    suffixes of what it opens. options: what its class takes besides."""

    opener: str
    package: str
    files: tuple[str, ...]
    options: dict[str, Any]

    def installed(self) -> bool:
        """Whether its package is there; nothing is imported."""
        return importlib.util.find_spec(self.package) is not None

    def open(self, file: Path, threads: int | None) -> tuple[Backend, Card]:
        """The backend running `file`, and its card. Raises WeightsError for a damaged file or one
        without a card, MissingExtraError without its package."""
        module, _, name = self.opener.partition(":")
        opener = getattr(importlib.import_module(f"briskseg.runtime.backends.{module}"), name)
        opened: tuple[Backend, Card] = opener.open(file, threads, **self.options)
        return opened


BACKENDS = {
    "torch": BackendKind("torch_backend:TorchBackend", "torch", (".safetensors",), {}),
    "onnx": BackendKind("onnx_backend:OnnxBackend", "onnxruntime", (".onnx",), {}),
    "openvino": BackendKind("openvino_backend:OpenVINOBackend", "openvino", (".xml", ".onnx"), {}),
    "openvino-bf16": BackendKind(
        "openvino_backend:OpenVINOBackend", "openvino", (".xml", ".onnx"), {"precision": "bfloat16"}
    ),
}


def backends_here() -> list[str]:
    """The backends that are installed and whose precision this processor computes in hardware."""
    here = [name for name, kind in BACKENDS.items() if kind.installed()]
    if "openvino-bf16" in here:
        from briskseg.runtime.backends.openvino_backend import has_bfloat16

        if not has_bfloat16():
            here.remove("openvino-bf16")
    return here
