"""Int8 in any format: calibrated on the user's images, scored before it is kept.

Layers' weights and inputs are rounded to 8 bits, by ranges that calibration images show. Where the
result loses too much, the layers whose rounding changes the logits most are left in float: each is
rounded alone, and the logits are compared. What a layer's own rounding looks like says little: an
image hardly suffers from 8 bits, and yet it is the first convolution that costs Fast-SCNN most.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import ExportError, RequestError, WeightsError
from briskseg.core.exported import Exported
from briskseg.core.images import resize_image
from briskseg.core.types import Image, Logits, Progress
from briskseg.core.wording import counted
from briskseg.data import Dataset

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation
    from briskseg.models.network import Network
    from briskseg.runtime.backends.exported_backend import ExportedBackend
    from briskseg.runtime.predictor import Predictor

T = TypeVar("T")

CALIBRATION = 48  # images
RANKING_STEP = 16  # every 16th of them ranks the layers
IN_FLOAT = (0, 1, 4, 12)  # how many layers are left in float, until nothing is lost beyond bounds


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


class CannotRoundError(Exception):
    """Of a format's package, which raises many kinds."""


class Quantizer(ABC):
    """A network of one format that can be rounded; what a file is, the format knows.

    float32: the file at `path`, in whose place the int8 file is written; files that are scored lie
    beside it. images: what calibrates. `exported` is what the int8 file says of itself. backend:
    what runs files; otherwise: what to do with a network that cannot be rounded.
    """

    backend: type[ExportedBackend]
    otherwise = ""

    def __init__(
        self, images: Sequence[Image], card: Card, exported: Exported, path: Path, int8: Int8
    ) -> None:
        self.float32, self.images = self.read(path), images
        self.card, self.path, self.int8 = card, path, int8
        self.exported = exported.model_copy(update={"precision": "int8"})

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Any:
        """A file, so that nothing of it is in use at `path`."""

    @abstractmethod
    def rounded(self, in_float: Sequence[str]) -> Any:
        """The file in int8 but for these layers."""

    @abstractmethod
    def rounded_alone(self, rounded: Any) -> Iterator[tuple[str, Any]]:
        """Each layer that `rounded` rounds, and the file that rounds nothing else."""

    @abstractmethod
    def write(self, file: Any, card: Card, path: Path) -> None:
        """Write a file with this card."""

    def score(self, file: Any) -> Evaluation:
        """A file on the val split."""
        from briskseg.evaluation.accuracy import evaluate

        data, progress = self.int8.dataset, self.int8.progress
        return self._run(file, lambda runs: evaluate(runs, data, "val", progress=progress))

    def logits(self, file: Any, images: Sequence[Image]) -> list[Logits]:
        """What a file gives for each image."""
        return self._run(file, lambda runs: [np.array(runs.backend.run(i, False)) for i in images])

    def _run(self, file: Any, use: Callable[[Predictor], T]) -> T:
        """What `use` makes of a file, rounded or not, as it runs. It must keep none of it: the file
        is deleted, which not every system does with one in use."""
        from briskseg.runtime.predictor import Predictor

        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            written = Path(folder) / self.path.name
            self.write(file, self.card, written)
            try:
                return use(Predictor(self.backend(written), self.card))
            except WeightsError as error:
                raise CannotRoundError(str(error).replace(str(written), "it")) from error

    def ranked(self, rounded: Any) -> list[str]:
        """The layers that `rounded` rounds, first that which, rounded alone, changes the logits of
        the ranking images most."""
        images = self.images[::RANKING_STEP]
        exact, changes = self.logits(self.float32, images), dict[str, float]()
        for layer, alone in self.rounded_alone(rounded):
            pairs = zip(self.logits(alone, images), exact, strict=True)
            changes[layer] = sum(float(np.square(a - b).mean()) for a, b in pairs)
        return sorted(changes, key=lambda layer: -changes[layer])


def write_int8(
    kind: type[Quantizer],
    network: Network,
    card: Card,
    exported: Exported,
    path: Path,
    int8: Int8,
    out: Path,
) -> Scored:
    """Write the float32 file at `path` anew, in int8, with as few layers in float as keep within
    what may be lost; its scores beside those of float32. `out`: the file that errors name.

    Raises ExportError for a network that cannot be rounded and, naming the worst class, where any
    choice of layers loses more.
    """
    images = calibration_images(int8.dataset, card.input.size)
    try:
        return _write_fewest_in_float(kind(images, card, exported, path, int8), out)
    except CannotRoundError as error:
        raise ExportError(
            f"{out} was not kept: {type(network).__name__} cannot be rounded to int8: {error}; "
            f"leave --int8 out{kind.otherwise}"
        ) from error


def _write_fewest_in_float(quantizer: Quantizer, out: Path) -> Scored:
    int8 = quantizer.int8
    int8.told("scoring float32")
    exact = quantizer.score(quantizer.float32)
    sensitive: list[str] = []
    best: Scored | None = None
    tried = -1
    for number in IN_FLOAT:
        in_float = sensitive[:number]
        if len(in_float) == tried:
            break  # there are no more layers to leave in float
        tried = len(in_float)
        images = counted(len(quantizer.images), "image")
        int8.told(f"quantizing on {images}, {left_in_float(tried)}")
        rounded = quantizer.rounded(in_float)
        int8.told("scoring int8")
        scored = Scored(exact, quantizer.score(rounded), tried)
        if scored.is_within(int8):
            quantizer.write(rounded, _with_score(quantizer.card, scored), quantizer.path)
            return scored
        best = scored if best is None or scored.miou_loss < best.miou_loss else best
        if not sensitive:
            int8.told("looking for the layers that int8 disturbs most")
            sensitive = quantizer.ranked(rounded)
    assert best is not None
    name, loss = best.worst
    raise ExportError(
        f"{out} was not kept: in int8, with {left_in_float(best.in_float)}, it loses "
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


def _with_score(card: Card, scored: Scored) -> Card:
    """The card of the int8 file, which says its mIoU on val unless it was trained on."""
    scores = {**card.scores}
    if not card.has_seen_val:
        scores["int8_val_miou"] = scored.int8.miou
    return card.model_copy(update={"scores": scores})
