"""A network as OpenVINO's .xml and .bin: the graph of the ONNX file, with the card in rt_info."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.core.card import CARD_KEY, Card
from briskseg.core.errors import MissingExtraError
from briskseg.core.exported import EXPORT_KEY, Exported
from briskseg.core.telemetry import no_telemetry
from briskseg.export import Runs
from briskseg.export.onnx_file import to_onnx
from briskseg.models.network import Network

if TYPE_CHECKING:
    from briskseg.export.int8 import Int8, Scored


def write_openvino(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, to `path` and to the .bin beside it; return the
    file, loaded.

    Raises MissingExtraError without onnx or openvino, ExportError for a network without a form.
    """
    save(to_openvino(network, card, exported), card, exported, path)
    from briskseg.runtime.backends.openvino_backend import OpenVINOBackend

    backend = OpenVINOBackend(path)
    return Runs(backend.infer, backend.labels)


def to_openvino(network: Network, card: Card, exported: Exported) -> Any:
    """The `openvino.Model`; raises as `write_openvino`."""
    model = to_onnx(network, card, exported).SerializeToString()
    import_openvino()
    from briskseg.runtime.backends.openvino_backend import core

    return core().read_model(model=model)


def save(model: Any, card: Card, exported: Exported, path: Path) -> None:
    """Write the `openvino.Model` with card and all."""
    for key, value in ((CARD_KEY, card.to_json()), (EXPORT_KEY, exported.model_dump_json())):
        model.set_rt_info(value, key.split("."))
    import_openvino().save_model(model, path, compress_to_fp16=False)


def folded(model: Any) -> Any:
    """A copy of the `openvino.Model` in which what depends on no image is a constant: biases above
    all, which a graph read from ONNX reshapes to the rank of what they are added to."""
    import_openvino()
    from openvino.passes import ConstantFolding, Manager

    copied = model.clone()
    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(copied)
    return copied


def import_openvino() -> Any:
    """The openvino package."""
    with no_telemetry():
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise MissingExtraError("openvino", "exporting to OpenVINO", "openvino") from error
    return openvino


def write_int8(
    network: Network, card: Card, exported: Exported, path: Path, int8: Int8, told: Path
) -> Scored:
    """As `write_openvino`, quantized as `briskseg.export.int8` does; `told` is the file that an
    error names. Raises as `quantize`."""
    from briskseg.evaluation.accuracy import Evaluation, evaluate
    from briskseg.export.int8 import quantize
    from briskseg.runtime.backends.openvino_backend import OpenVINOBackend
    from briskseg.runtime.predictor import Predictor

    exported = exported.model_copy(update={"precision": "int8"})

    def score(model: Any) -> Evaluation:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            file = Path(folder) / path.name
            save(model, card, exported, file)
            predictor = Predictor(*OpenVINOBackend.open(file))
            return evaluate(predictor, int8.dataset, "val", progress=int8.progress)

    float32 = to_openvino(network, card, exported)
    model, scored = quantize(float32, card.input.size, score, int8, told)
    scores = {**card.scores}
    if not card.has_seen_val:
        scores["int8_val_miou"] = scored.int8.miou
    save(model, card.model_copy(update={"scores": scores}), exported, path)
    return scored
