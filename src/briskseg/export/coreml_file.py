"""A network as Core ML's .mlpackage, for iPhones and Macs; the card inside.

image, H x W pixels, RGB -> logits (1,classes,h,w) float32, as large as the network computes them
(docs/phone.md). Sizes are fixed; normalizing is inside. Core ML runs on Apple's systems alone: what
is written is read back and compared with what was meant, and not run here.

`coremltools` writes the operations of `briskseg.export.fixed_size.ChannelsFirst`, from TorchScript
of the exported program, in which every size is a constant; what it does not read in there is
expressed otherwise first.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from briskseg.core.card import CARD_KEY, Card
from briskseg.core.errors import ExportError, needs
from briskseg.core.exported import EXPORT_KEY, Exported
from briskseg.core.process_settings import silenced
from briskseg.core.wording import first_line
from briskseg.export.fixed_size import ChannelsFirst, fixed_program
from briskseg.export.formats import no_counterpart
from briskseg.models.network import Network

with silenced(), needs("exporting to Core ML", "coreml"):  # it tells of what it cannot load here
    import coremltools

IMAGE, LOGITS, CLASSES_KEY = "image", "logits", "classes"


def write_coreml(network: Network, card: Card, exported: Exported, path: Path) -> None:
    """Write `network`, in eval mode on the CPU, for images of one size.

    Raises ExportError for a network with an operation that Core ML has no counterpart of, and where
    the folder does not hold what was meant.
    """
    assert exported.size is not None
    image = torch.zeros(1, 3, *exported.size)
    deployed = ChannelsFirst(network, card.input, None).eval()
    with silenced():
        model, cause = _converted(deployed, image)
        gc.collect()  # of what failed, folders are left that tell of themselves when they go
        if model is None:
            raise no_counterpart(network, "Core ML", cause)
        model.short_description = f"{card.network.name}, semantic segmentation, by briskseg"
        model.license = card.license
        model.input_description[IMAGE] = "RGB; what normalizing it needs is inside"
        model.output_description[LOGITS] = (
            f"of each class, bilinearly {exported.enlarging}; the highest is the label"
        )
        model.user_defined_metadata.update(_texts(card, exported))
        model.save(str(path))
    (path / "Data" / "com.apple.CoreML" / "model.mlmodel").chmod(0o644)  # not for its owner alone
    _check(path, card, exported, tuple(deployed(image).shape))


def _converted(deployed: ChannelsFirst, image: Tensor) -> tuple[Any, str]:
    """The model; or None, and why."""
    try:
        model = coremltools.convert(
            _traced(deployed, image),
            convert_to="mlprogram",
            inputs=[
                coremltools.ImageType(
                    IMAGE, tuple(image.shape), color_layout=coremltools.colorlayout.RGB
                )
            ],
            outputs=[coremltools.TensorType(LOGITS)],
            compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=coremltools.target.iOS16,
        )
    except Exception as error:  # of a dozen types
        return None, first_line(error)
    return model, ""


def _texts(card: Card, exported: Exported) -> dict[str, str]:
    """What the file says of itself: the classes a line each, and as every exported file."""
    return {
        CLASSES_KEY: "\n".join(card.labels.names),
        CARD_KEY: card.to_json(),
        EXPORT_KEY: exported.model_dump_json(),
    }


def _traced(deployed: ChannelsFirst, image: Tensor) -> Any:
    program = fixed_program(deployed, image)
    for node in [*program.graph.nodes]:
        if node.target is torch.ops.aten.alias.default:  # which coremltools does not know
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    program.recompile()
    return torch.jit.trace(program, image, check_trace=False)  # type: ignore[no-untyped-call]


def _check(path: Path, card: Card, exported: Exported, logits: tuple[int, ...]) -> None:
    """Raise ExportError where the folder does not say of itself what was meant."""
    with silenced():
        spec = coremltools.utils.load_spec(str(path))
    (image,), (output,) = spec.description.input, spec.description.output
    kind, array = image.type.imageType, output.type.multiArrayType
    said = dict(spec.description.metadata.userDefined)
    weights = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    found = {
        "input": (image.name, kind.height, kind.width, kind.colorSpace == kind.RGB),
        "output": (output.name, *array.shape, array.dataType == array.FLOAT32),
        "card": {key: said.get(key) for key in _texts(card, exported)},
        "weights": weights.is_file(),
    }
    assert exported.size is not None
    meant = {
        "input": (IMAGE, *exported.size, True),
        "output": (LOGITS, *logits, True),
        "card": _texts(card, exported),
        "weights": True,
    }
    for part, expected in meant.items():
        if found[part] != expected:
            raise ExportError(
                f"{path.name} was not kept: its {part} is {found[part]}, expected {expected}; "
                "report the model and the versions of its packages"
            )
