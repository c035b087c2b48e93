"""A network in int8, for OpenVINO: calibrated on the user's images, scored before it is kept.

NNCF quantizes convolutions, weights by channel, after running calibration images through the
network. Where the result loses too much, the layers whose rounding changes the logits most are left
in float: each is rounded alone, input and weights, and the logits are compared. What a layer's own
rounding looks like says little: an image hardly suffers from 8 bits, and yet it is the first
convolution that costs Fast-SCNN most. Averages over the pyramid's cells are always in float.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from briskseg.core.card import Card
from briskseg.core.errors import ExportError, MissingExtraError, RequestError
from briskseg.core.exported import Exported
from briskseg.core.images import resize_image
from briskseg.core.telemetry import no_telemetry
from briskseg.core.types import Image, Progress
from briskseg.core.wording import counted
from briskseg.data import Dataset
from briskseg.export.openvino_file import folded, import_openvino, save, to_openvino

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation
    from briskseg.models.network import Network

CALIBRATION = 48  # images
RANKING_STEP = 16  # every 16th of them ranks the layers
IN_FLOAT = (0, 1, 4, 12)  # how many layers are left in float, until nothing is lost beyond bounds
FLOAT_TYPES = ("MatMul",)
FAKE, CONSTANT = "FakeQuantize", "Constant"


@dataclass(frozen=True)
class Int8:
    """What int8 asks for: data whose train split calibrates and whose val split scores, and how
    much may be lost, in points (hundredths) of mIoU and of any class's IoU.

    told: is told what is being done, and progress how many images are scored, of how many.
    """

    dataset: Dataset
    max_miou_loss: float = 0.5
    max_class_loss: float = 3.0
    told: Callable[[str], None] = lambda what: None
    progress: Progress = lambda done, total: None


@dataclass(frozen=True)
class Scored:
    """The float32 file and the int8 file on the same split; in_float: the layers left in float."""

    float32: Evaluation
    int8: Evaluation
    in_float: int

    @property
    def miou_loss(self) -> float:
        """Points of mIoU that int8 loses."""
        return 100 * (self.float32.miou - self.int8.miou)

    @property
    def worst(self) -> tuple[str, float]:
        """The class that loses most, and how many points."""
        losses = 100 * (self.float32.confusion.iou - self.int8.confusion.iou)
        losses = np.where(np.isnan(losses), -np.inf, losses)
        index = int(np.argmax(losses))
        return self.float32.names[index], float(losses[index])

    def is_within(self, int8: Int8) -> bool:
        """Whether no more is lost than may be."""
        return self.miou_loss <= int8.max_miou_loss and self.worst[1] <= int8.max_class_loss


def write_int8(
    network: Network, card: Card, exported: Exported, path: Path, int8: Int8, told: Path
) -> Scored:
    """As `write_openvino`, in int8; `told` is the file that errors name. Raises as `quantize`."""
    from briskseg.evaluation.accuracy import evaluate
    from briskseg.runtime.backends.openvino_backend import OpenVINOBackend
    from briskseg.runtime.predictor import Predictor

    import_nncf()  # where it is missing, that is said before the network is traced
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


def quantize(
    model: Any,
    size_hw: tuple[int, int] | None,
    score: Callable[[Any], Evaluation],
    int8: Int8,
    path: Path,
) -> tuple[Any, Scored]:
    """The `openvino.Model` in int8, and its scores beside those of `model`.

    size_hw: what calibration images are resized to. score: scores an `openvino.Model` on the split.
    Raises ExportError, naming `path` and the worst class, where any choice of layers loses more
    than may be lost; MissingExtraError without nncf.
    """
    images, told = calibration_images(int8.dataset, size_hw), int8.told
    told("scoring float32")
    float32 = score(model)
    # NNCF takes only constants for biases: else it corrects none, and rounds between a convolution
    # and its bias, which makes the file slower than float32.
    model = folded(model)
    sensitive: list[str] = []
    best: Scored | None = None
    for number in IN_FLOAT:
        told(f"quantizing on {counted(len(images), 'image')}, {left_in_float(number)}")
        quantized = _quantized(model, images, sensitive[:number])
        told("scoring int8")
        scored = Scored(float32, score(quantized), number)
        if scored.is_within(int8):
            return quantized, scored
        best = scored if best is None or scored.miou_loss < best.miou_loss else best
        if not sensitive:
            told("looking for the layers that int8 disturbs most")
            sensitive = sensitive_layers(model, quantized, images[::RANKING_STEP])
    assert best is not None
    name, loss = best.worst
    raise ExportError(
        f"{path} was not kept: in int8, with {left_in_float(best.in_float)}, it loses "
        f"{best.miou_loss:.2f} points of mIoU and its worst class '{name}' {loss:.2f} points, "
        f"expected at most {int8.max_miou_loss:g} and {int8.max_class_loss:g}; calibrate on more "
        "images like those of val, or allow more with --max-miou-loss and --max-class-loss"
    )


def left_in_float(layers: int) -> str:
    """So many, in words."""
    return f"{counted(layers, 'layer')} left in float"


def calibration_images(dataset: Dataset, size_hw: tuple[int, int] | None) -> list[Image]:
    """Images of the train split, or of val without one, evenly spread."""
    split = "train" if dataset.splits.get("train") else "val"
    pairs = dataset.pairs(split)
    if not pairs:
        raise RequestError(f"{dataset.root} has no images to calibrate on; add some to its train")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, CALIBRATION).round().astype(int))
    images = [dataset.read_image(pairs[index]) for index in chosen]
    return [image if size_hw is None else resize_image(image, size_hw) for image in images]


def _quantized(model: Any, images: Sequence[Image], in_float: Sequence[str]) -> Any:
    nncf = import_nncf()
    name = model.input(0).any_name
    data = nncf.Dataset([*images], lambda image: {name: image[None]})
    with _quiet():
        return nncf.quantize(
            model.clone(),
            data,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(
                names=[*in_float], types=[*FLOAT_TYPES], validate=False
            ),
        )


def sensitive_layers(model: Any, quantized: Any, images: Sequence[Image]) -> list[str]:
    """The layers of `model` that `quantized` rounds; first that which, rounded alone, changes the
    logits of `images` most."""
    rounded = {node.get_friendly_name(): node for node in quantized.get_ops()}
    exact, changes = _logits(model, images), {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if name in rounded and _rounds(node, rounded[name]):
            logits = _logits(_rounded_alone(model, name, rounded[name]), images)
            pairs = zip(logits, exact, strict=True)
            changes[name] = sum(float(np.square(a - b).mean()) for a, b in pairs)
    return sorted(changes, key=lambda name: -changes[name])


def _rounds(node: Any, rounded: Any) -> bool:
    """Whether `rounded`, the same layer of the quantized network, rounds an input or weights."""
    pairs = zip(_kinds(node), _kinds(rounded), strict=True)
    return any(kind == FAKE or (own == CONSTANT and kind != CONSTANT) for own, kind in pairs)


def _rounded_alone(model: Any, name: str, rounded: Any) -> Any:
    """A copy of `model` whose layer `name` rounds what `rounded` rounds."""
    opset = import_openvino().opset1
    copied = model.clone()
    node = next(node for node in copied.get_ops() if node.get_friendly_name() == name)
    for index, (own, kind) in enumerate(zip(_kinds(node), _kinds(rounded), strict=True)):
        value = rounded.input_value(index)
        if kind == FAKE:
            source = value.get_node()
            ranges, levels = source.input_values()[1:], source.get_attributes()["levels"]
            value = opset.fake_quantize(node.input_value(index), *ranges, levels).output(0)
        elif own != CONSTANT:  # neither a rounded input nor weights
            continue
        node.input(index).replace_source_output(value)
    return copied


def _kinds(node: Any) -> list[str]:
    """Of the nodes that its inputs come from."""
    return [value.get_node().get_type_name() for value in node.input_values()]


def _logits(model: Any, images: Sequence[Image]) -> list[npt.NDArray[np.float32]]:
    """Of each image, in float32 on every processor."""
    openvino = import_openvino()
    from briskseg.runtime.backends.openvino_backend import core

    shown = openvino.Model([model.output("logits")], model.get_parameters(), "shown")
    network = core().compile_model(shown, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(network(image[None])[0]) for image in images]


def import_nncf() -> Any:
    """The nncf package."""
    with no_telemetry(), _quiet():
        try:
            import nncf
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "nncf", "exporting in int8", "export") from error
    return nncf


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """NNCF logs what it does, and draws bars of its own."""
    logger = logging.getLogger("nncf")
    disabled, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.disabled = disabled
