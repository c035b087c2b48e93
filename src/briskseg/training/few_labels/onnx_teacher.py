"""An .onnx file as a teacher: one that `briskseg export` wrote, or any that segments images.

One without a card takes an image a call, either (1,H,W,3) uint8 RGB or (1,3,H,W) float, normalized
with the recipe's mean and std; what it gives is logits (1,classes,h,w) or labels (1,h,w), of the
data's classes in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.errors import RequestError
from briskseg.core.exported import has_card
from briskseg.core.types import Image
from briskseg.core.wording import counted
from briskseg.training.task import Normalize

Size = tuple[int, int]

CERTAIN = 1e4  # the logit of a class that is given as a label


class Source(NamedTuple):
    """What a teacher's file gives.

    logits: images (N,3,H,W), RGB, float 0..255 -> logits (N,classes,h,w). names: of its classes;
    None: unknown, so many as the student's. input_hw: of whole images in its training, where that
    is known. has_seen_val: whether its scores on val say nothing.
    """

    logits: Callable[[Tensor], Tensor]
    names: tuple[str, ...] | None = None
    input_hw: tuple[int, int] | None = None
    has_seen_val: bool = False


def open_onnx(path: Path, classes: int, mean: Sequence[float], std: Sequence[float]) -> Source:
    """Raises WeightsError for a file that is damaged or cannot be run, RequestError for one with
    other inputs or outputs, or with another number of classes and no names."""
    if not has_card(path):
        return Source(_of_any(path, classes, Normalize(mean, std)))
    from briskseg.runtime.backends.onnx_backend import OnnxBackend

    backend = OnnxBackend(path, torch.get_num_threads())
    card = backend.card

    def run(image: Tensor) -> Tensor:
        return torch.from_numpy(backend.infer(_as_image(image)))

    logits = _each(run, backend.exported.size)
    return Source(logits, card.labels.names, card.input.size, card.has_seen_val)


def _each(run: Callable[[Tensor], Tensor], size_hw: Size | None) -> Callable[[Tensor], Tensor]:
    """What gives the logits of a batch, of an image at a time, resized where the file wants it."""

    def logits(images: Tensor) -> Tensor:
        if size_hw is not None and tuple(images.shape[2:]) != size_hw:
            images = F.interpolate(images, size_hw, mode="bilinear")
        return torch.stack([run(image) for image in images.cpu()]).to(images.device)

    return logits


def _of_any(path: Path, classes: int, normalize: Normalize) -> Callable[[Tensor], Tensor]:
    """As `Source.logits`, of a file that somebody else wrote."""
    from briskseg.runtime.backends.onnx_backend import open_session, run_session

    session = open_session(path, threads=torch.get_num_threads())
    takes, gives = session.get_inputs()[0], session.get_outputs()[0]
    shape = [side if isinstance(side, int) else None for side in takes.shape]
    is_plain = takes.type == "tensor(uint8)" and len(shape) == 4 and shape[3] == 3
    is_normal = takes.type == "tensor(float)" and len(shape) == 4 and shape[1] == 3
    is_single = shape[:1] in ([None], [1])
    if len(session.get_inputs()) > 1 or not is_single or not (is_plain or is_normal):
        raise RequestError(
            f"training.teacher: {path} takes {takes.type} {takes.shape}, expected one "
            "input: images (N,H,W,3) uint8, or (N,3,H,W) float normalized with data.mean and "
            "data.std, N any number or 1"
        )
    height, width = shape[1:3] if is_plain else shape[2:4]
    size_hw = None if height is None or width is None else (height, width)

    def run(image: Tensor) -> Tensor:
        batch: Any = _as_image(image)[None] if is_plain else normalize(image[None]).numpy()
        return _as_logits(run_session(session, path, gives.name, batch), classes, path)

    run(torch.zeros(3, *(size_hw or (64, 64))))  # refuses what does not fit
    return _each(run, size_hw)


def _as_logits(output: Any, classes: int, path: Path) -> Tensor:
    """(classes,h,w), of labels one that is certain; a label that is no class is one more."""
    found = output[0]
    if found.dtype.kind == "f" and found.ndim == 3:
        if len(found) != classes:
            raise RequestError(
                f"training.teacher: {path} has {counted(len(found), 'class')} and no card "
                f"that names them, and the data has {classes}; name a file of the same "
                "classes, or one that `briskseg export` wrote"
            )
        return torch.from_numpy(found).float()
    if found.dtype.kind in "iu" and found.squeeze().ndim == 2:
        labels = np.where((found >= 0) & (found < classes), found, classes).squeeze()
        chosen = np.arange(classes + 1)[:, None, None] == labels
        return torch.from_numpy(chosen.astype(np.float32)) * CERTAIN
    raise RequestError(
        f"training.teacher: the first output of {path} is {output.dtype} {output.shape}, "
        "expected logits (N,classes,h,w) or labels (N,h,w)"
    )


def _as_image(image: Tensor) -> Image:
    """(3,H,W) float 0..255 -> (H,W,3) uint8."""
    levels: Image = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(levels)
