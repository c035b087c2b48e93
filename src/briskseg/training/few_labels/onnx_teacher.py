"""An .onnx file as a teacher: one that `briskseg export` wrote, or any that segments images.

One without a card takes an image a call, either (1,H,W,3) uint8 RGB or (1,3,H,W) float, normalized
with the recipe's mean and std; what it gives is logits (1,classes,h,w) or labels (1,h,w), of the
data's classes in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from briskseg.core.errors import RequestError
from briskseg.core.exported import has_card
from briskseg.core.types import Image
from briskseg.core.wording import counted
from briskseg.training.task import Normalize

CERTAIN = 1e4  # the logit of a class that is given as a label


class OnnxTeacher:
    """names, input_hw, has_seen_val: as in `teacher.Source`.

    Raises WeightsError for a file that is damaged or cannot be run, RequestError for one with other
    inputs or outputs, or with another number of classes and no names.
    """

    def __init__(
        self, path: Path, classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.path = path
        self.names: tuple[str, ...] | None = None
        self.input_hw: tuple[int, int] | None = None
        self.has_seen_val = False
        self._size_hw: tuple[int, int] | None = None
        self._run: Callable[[Tensor], Tensor]
        if has_card(path):
            self._open_ours()
        else:
            self._open_any(classes, Normalize(mean, std))

    def logits(self, images: Tensor) -> Tensor:
        """Images (N,3,H,W), RGB, float 0..255 -> logits (N,classes,h,w) on the images' device."""
        if self._size_hw is not None and tuple(images.shape[2:]) != self._size_hw:
            images = torch.nn.functional.interpolate(images, self._size_hw, mode="bilinear")
        each = [self._run(image) for image in images.cpu()]
        return torch.stack(each).to(images.device)

    def _open_ours(self) -> None:
        from briskseg.runtime.backends.onnx_backend import OnnxBackend

        backend = OnnxBackend(self.path, torch.get_num_threads())
        card, self._size_hw = backend.card, backend.exported.size
        self.names, self.input_hw = card.labels.names, card.input.size
        self.has_seen_val = card.has_seen_val
        self._run = lambda image: torch.from_numpy(backend.infer(_as_image(image)))

    def _open_any(self, classes: int, normalize: Normalize) -> None:
        from briskseg.runtime.backends.onnx_backend import open_session, run_session

        session = open_session(self.path, threads=torch.get_num_threads())
        takes, gives = session.get_inputs()[0], session.get_outputs()[0]
        shape = [side if isinstance(side, int) else None for side in takes.shape]
        is_plain = takes.type == "tensor(uint8)" and len(shape) == 4 and shape[3] == 3
        is_normal = takes.type == "tensor(float)" and len(shape) == 4 and shape[1] == 3
        is_single = shape[:1] in ([None], [1])
        if len(session.get_inputs()) > 1 or not is_single or not (is_plain or is_normal):
            raise RequestError(
                f"training.teacher: {self.path} takes {takes.type} {takes.shape}, expected one "
                "input: images (N,H,W,3) uint8, or (N,3,H,W) float normalized with data.mean and "
                "data.std, N any number or 1"
            )
        height, width = shape[1:3] if is_plain else shape[2:4]
        self._size_hw = None if height is None or width is None else (height, width)

        def run(image: Tensor) -> Tensor:
            batch: Any = _as_image(image)[None] if is_plain else normalize(image[None]).numpy()
            found = run_session(session, self.path, gives.name, batch)
            return self._as_logits(found, classes)

        self._run = run
        run(torch.zeros(3, *(self._size_hw or (64, 64))))  # refuses what does not fit

    def _as_logits(self, output: Any, classes: int) -> Tensor:
        """(classes,h,w), of labels one that is certain; a label that is no class is one more."""
        found = output[0]
        if found.dtype.kind == "f" and found.ndim == 3:
            if len(found) != classes:
                raise RequestError(
                    f"training.teacher: {self.path} has {counted(len(found), 'class')} and no card "
                    f"that names them, and the data has {classes}; name a file of the same "
                    "classes, or one that `briskseg export` wrote"
                )
            return torch.from_numpy(found).float()
        if found.dtype.kind in "iu" and found.squeeze().ndim == 2:
            labels = np.where((found >= 0) & (found < classes), found, classes).squeeze()
            chosen = np.arange(classes + 1)[:, None, None] == labels
            return torch.from_numpy(chosen.astype(np.float32)) * CERTAIN
        raise RequestError(
            f"training.teacher: the first output of {self.path} is {output.dtype} {output.shape}, "
            "expected logits (N,classes,h,w) or labels (N,h,w)"
        )


def _as_image(image: Tensor) -> Image:
    """(3,H,W) float 0..255 -> (H,W,3) uint8."""
    levels: Image = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(levels)
