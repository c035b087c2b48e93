"""The trained network that `training.teacher` names: what a run learns from besides the labels.

It sees the very samples that the student sees, augmented, enlarged where it was trained on larger
images, and what it says is compared at the size at which the student computes its own logits. It
never changes, and a step's loss follows from its samples alone, so that resumed runs stay exact.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.errors import RequestError
from briskseg.core.files import sha256
from briskseg.data import Dataset
from briskseg.models import create_model
from briskseg.models.network import Network
from briskseg.recipe import Recipe, TeacherPart
from briskseg.runtime.backends.torch_backend import TorchBackend
from briskseg.training.few_labels.onnx_teacher import Size, Source, open_onnx
from briskseg.training.losses.distillation import distillation
from briskseg.training.preflight import teacher_file
from briskseg.training.task import Normalize


class Teacher:
    """Says on a batch of samples what the student should say.

    Args:
        recipe: with `training.teacher`.
        network: the student.
        dataset: the student's.
        device: where both compute; an .onnx file is run on the CPU.

    Raises RequestError where the file is missing, of no known kind, or shares no class with the
    data; WeightsError where it is damaged.
    """

    def __init__(
        self, recipe: Recipe, network: Network, dataset: Dataset, device: torch.device
    ) -> None:
        part = recipe.training.teacher
        assert part is not None
        self.part: TeacherPart = part
        path = teacher_file(part.file)
        self.sha256 = sha256(path)
        self._source = _open(path, recipe, len(dataset.names), device)
        self._classes = _shared_classes(self._source.names, dataset.names, path).to(device)
        self._seen_hw = _seen_size(recipe, self._source.input_hw)
        self._corners = network.align_corners
        self._student = network.classes, dict(network.options), recipe.model.name
        self._coarse: dict[Size, Size] = {}
        self.said = _told(self._source, self._classes, dataset, path)

    def loss(self, logits: Tensor, images: Tensor, class_weights: Tensor) -> Tensor:
        """The weighted loss of the student's full-size logits (N,classes,H,W) of these images
        (N,3,H,W) uint8, where classes weigh (classes,) as in the labels' loss: a scalar."""
        size_hw = self._coarse_size((images.shape[2], images.shape[3]))
        with torch.no_grad():
            seen = images.float()
            if self._seen_hw is not None and seen.shape[2:] != self._seen_hw:
                seen = F.interpolate(seen, self._seen_hw, mode="bilinear")
            said = self._source.logits(seen)  # in the caller's precision; the rest in float32
        with torch.autocast(images.device.type, enabled=False):
            ours, taught = (self._resized(each.float(), size_hw) for each in (logits, said))
            loss = distillation(ours, taught, self._classes, class_weights, self.part.temperature)
        return self.part.weight * loss

    def _resized(self, logits: Tensor, size_hw: Size) -> Tensor:
        """At the positions at which the student computes its logits before it enlarges them."""
        if tuple(logits.shape[2:]) == size_hw:
            return logits
        corners = self._corners
        return F.interpolate(logits, size_hw, mode="bilinear", align_corners=corners)

    def _coarse_size(self, size_hw: Size) -> Size:
        """Of the student's logits before they are enlarged, for samples of this size."""
        if size_hw not in self._coarse:
            classes, options, name = self._student
            with torch.device("meta"), torch.no_grad():  # shapes without computing
                network = create_model(name, classes, **options).eval()
                shape = network.forward_coarse(torch.empty(1, 3, *size_hw)).shape
            self._coarse[size_hw] = shape[2], shape[3]
        return self._coarse[size_hw]


def _open(path: Path, recipe: Recipe, classes: int, device: torch.device) -> Source:
    data = recipe.data
    if path.suffix.lower() == ".onnx":
        return open_onnx(path, classes, data.mean, data.std)
    backend, card = TorchBackend.open(path, device=str(device))
    network = backend.network.requires_grad_(False)
    normalize = Normalize(card.input.mean, card.input.std).to(device)

    def logits(images: Tensor) -> Tensor:
        full: Tensor = network(normalize(images))
        return full

    return Source(logits, card.labels.names, card.input.size, card.has_seen_val)


def _shared_classes(names: tuple[str, ...] | None, ours: tuple[str, ...], path: Path) -> Tensor:
    """(2,C) int64: the index of each class that both have, by its name, here and there."""
    if names is None:
        return torch.arange(len(ours)).repeat(2, 1)
    theirs = {name.casefold(): index for index, name in enumerate(names)}
    pairs = [(i, theirs[n.casefold()]) for i, n in enumerate(ours) if n.casefold() in theirs]
    if len(pairs) < 2:  # of one class alone, every network is certain
        found = f"of the data's classes only {ours[pairs[0][0]]}" if pairs else "none of the data's"
        raise RequestError(
            f"training.teacher: {path} knows {', '.join(names[:5])} ... and {found} "
            f"({', '.join(ours[:5])} ...); name a network that shares two or more with it"
        )
    return torch.tensor(pairs).T


def _seen_size(recipe: Recipe, input_hw: Size | None) -> Size | None:
    """To what the teacher has samples resized: whole images would be as in its training; None: as
    the student sees them."""
    whole, sample = recipe.data.size, recipe.augment.size or recipe.data.size
    if input_hw is None or whole is None or sample is None:
        return None
    height, width = (
        max(1, round(s * i / w)) for s, i, w in zip(sample, input_hw, whole, strict=True)
    )
    return height, width


def _told(source: Source, classes: Tensor, dataset: Dataset, path: Path) -> str:
    """What the user hears of it."""
    shared = len(classes[0])
    said = f"learns from {path} too"
    if source.names is None:
        said += f", which has no names: its classes are taken to be the data's {shared}, in order"
    elif shared == len(dataset.names) == len(source.names):
        said += f": it has the same {shared} classes"
    else:
        here, there = ({*indices} for indices in classes.tolist())
        said += f": {shared} of {len(dataset.names)} classes, by name"
        for what, names, known in (
            ("not taught", dataset.names, here),
            ("not here", source.names, there),
        ):
            others = [name for index, name in enumerate(names) if index not in known]
            said += f"; {what}: {', '.join(others)}" if others else ""
    if source.has_seen_val:
        said += "; it was trained on val too: what the run scores there says nothing"
    return said
