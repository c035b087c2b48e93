"""A network as OpenVINO's .xml and .bin: the graph of the ONNX file, with the card in rt_info."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from briskseg.core.card import CARD_KEY, Card
from briskseg.core.errors import needs
from briskseg.core.exported import EXPORT_KEY, Exported
from briskseg.core.telemetry import no_telemetry
from briskseg.export.formats import Runs
from briskseg.export.onnx_file import to_onnx
from briskseg.models.network import Network

with no_telemetry(), needs("exporting to OpenVINO", "openvino"):
    import openvino
    from openvino.passes import ConstantFolding, Manager


def write_openvino(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, to `path` and to the .bin beside it; return the
    file, loaded.

    Raises ExportError for a network without a form in ONNX.
    """
    from briskseg.runtime.backends.openvino_backend import OpenVINOBackend, core

    model = to_onnx(network, card, exported).SerializeToString()
    save(core().read_model(model=model), card, exported, path)
    backend = OpenVINOBackend(path)
    return Runs(backend.infer, backend.labels)


def save(model: Any, card: Card, exported: Exported, path: Path) -> None:
    """Write the `openvino.Model` with card and all."""
    for key, value in ((CARD_KEY, card.to_json()), (EXPORT_KEY, exported.model_dump_json())):
        model.set_rt_info(value, key.split("."))
    openvino.save_model(model, path, compress_to_fp16=False)


def read_folded(path: Path) -> Any:
    """The `openvino.Model` of a file, in memory of its own, in which what depends on no image is a
    constant: biases above all, which a graph read from ONNX reshapes to the rank of what they are
    added to."""
    from briskseg.runtime.backends.openvino_backend import core

    model = core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    return model
