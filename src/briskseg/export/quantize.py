"""A network in int8, for OpenVINO: calibrated on the user's images, scored before it is kept.

NNCF quantizes convolutions, weights by channel, after running calibration images through the
network. Where the result loses too much, the layers that rounding disturbs most are left in float:
of each layer's input the power of the signal over that of what rounding adds is measured, and the
lowest go first. Averages over the pyramid's cells are always in float.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import ExportError, MissingExtraError, RequestError
from briskseg.core.images import read_image, resize_image
from briskseg.core.telemetry import no_telemetry
from briskseg.data import Dataset
from briskseg.export.openvino_ import import_openvino

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation

CALIBRATION = 48  # images
IN_FLOAT = (0, 4, 12)  # how many layers are left in float, until the scores are within the bounds
FLOAT_TYPES = ("MatMul",)

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Bounds:
    """How much may be lost, in points (hundredths) of mIoU and of any class's IoU."""

    miou: float = 0.5
    class_iou: float = 3.0


@dataclass(frozen=True)
class Int8:
    """What int8 asks for: data whose train split calibrates and whose val split scores.

    told: is told what is being done, and progress how many images are scored, of how many.
    """

    dataset: Dataset
    bounds: Bounds = Bounds()
    told: Callable[[str], None] = lambda what: None
    progress: Callable[[int, int], None] = lambda done, total: None


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

    def within(self, bounds: Bounds) -> bool:
        """Whether nothing is lost beyond them."""
        return self.miou_loss <= bounds.miou and self.worst[1] <= bounds.class_iou


def quantize(
    model: Any,
    size_hw: tuple[int, int] | None,
    score: Callable[[Any], Evaluation],
    int8: Int8,
    path: Path,
) -> tuple[Any, Scored]:
    """The `openvino.Model` in int8, and its scores beside those of `model`.

    size_hw: what calibration images are resized to. score: scores an `openvino.Model` on the split.
    Raises ExportError, naming `path` and the worst class, where
    no choice of layers is within `bounds`; MissingExtraError without nncf.
    """
    images, told, bounds = calibration_images(int8.dataset, size_hw), int8.told, int8.bounds
    told("scoring float32")
    float32 = score(model)
    sensitive: list[str] = []
    best: Scored | None = None
    for number in IN_FLOAT:
        told(f"quantizing on {len(images)} images, {number} layers left in float")
        quantized = _quantized(model, images, sensitive[:number])
        told("scoring int8")
        scored = Scored(float32, score(quantized), number)
        if scored.within(bounds):
            return quantized, scored
        best = scored if best is None or scored.miou_loss < best.miou_loss else best
        if not sensitive:
            sensitive = sensitive_layers(quantized, images[0])
    assert best is not None
    name, loss = best.worst
    raise ExportError(
        f"{path} was not kept: in int8, with {best.in_float} layers left in float, it loses "
        f"{best.miou_loss:.2f} points of mIoU and its worst class '{name}' {loss:.2f} points, "
        f"expected at most {bounds.miou:g} and {bounds.class_iou:g}; calibrate on more images like "
        "those of val, or allow more with --max-miou-loss and --max-class-loss"
    )


def calibration_images(dataset: Dataset, size_hw: tuple[int, int] | None) -> list[Image]:
    """Images of the train split, or of val without one, evenly spread."""
    split = "train" if dataset.splits.get("train") else "val"
    pairs = dataset.pairs(split)
    if not pairs:
        raise RequestError(f"{dataset.root} has no images to calibrate on; add some to its train")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, CALIBRATION).round().astype(int))
    images = [read_image(pairs[index].image) for index in chosen]
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


def sensitive_layers(quantized: Any, image_hwc: Image) -> list[str]:
    """The layers whose input is rounded, that which suffers most from it first."""
    openvino = import_openvino()
    from briskseg.runtime.openvino_ import core

    model = quantized.clone()
    names, results = [], []
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        for target in node.output(0).get_target_inputs():
            names.append(target.get_node().get_friendly_name())
            results += [node.input_value(0), node.output(0)]
    if not names:
        return []
    shown = openvino.Model(results, model.get_parameters(), "shown")
    values = core().compile_model(shown, "CPU")(image_hwc[None])
    ratios: dict[str, float] = {}
    for index, name in enumerate(names):
        signal, rounded = np.asarray(values[2 * index]), np.asarray(values[2 * index + 1])
        noise = float(np.square(signal - rounded).mean()) + 1e-12
        ratios[name] = min(ratios.get(name, np.inf), float(np.square(signal).mean()) / noise)
    return sorted(ratios, key=lambda name: ratios[name])


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
