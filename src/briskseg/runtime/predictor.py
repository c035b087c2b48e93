"""The predictor: an image in, its labels out, whatever file the network came from.

`evaluate`, `predict` and a user's own program all go through `Predictor.__call__`, so what is
scored is what is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import RequestError
from briskseg.core.images import resize_image, whole_size
from briskseg.core.types import Image, Labels, Logits
from briskseg.runtime.backends import Backend
from briskseg.runtime.decode.confidence import mean_confidence


class Ran(NamedTuple):
    """What computes. file: the path of the file that is run, "" for a network in memory.
    backend: its name in BACKENDS. precision: float32, bf16 or int8."""

    file: str
    backend: str
    precision: str

    def __str__(self) -> str:
        return f"{Path(self.file).name or 'the network'} with {self.backend} in {self.precision}"


IN_MEMORY = Ran("", "torch", "float32")  # a network that training holds


class Predictor:
    """A network ready for images: `labels = predictor(image)`.

    It keeps nothing between calls, so several threads may call one predictor at once; `callers`
    of `briskseg.load` says what a backend then does with its own threads.

    `card` says what the file does: `card.labels.names` what the numbers mean, `card.input` how
    images are resized and normalized, `card.scores`, `card.training`. `backend` computes.
    `on_stage_end` is called with "resize", "inference" and "decode" as each of these ends, so that
    whoever sets it times what runs. `ran` says what computes: the file, backend and precision.
    """

    def __init__(self, backend: Backend, card: Card, ran: Ran = IN_MEMORY) -> None:
        self.backend = backend
        self.card = card
        self.ran = ran
        self.on_stage_end: Callable[[str], None] = lambda stage: None  # until somebody measures

    def copy_network(self) -> Any:
        """A copy of the torch network that computes (`briskseg.models.network.Network`), to train
        on or to look into: in float32 and eval mode, on the accelerator where there is one. Raises
        RequestError where the predictor was not loaded with `backend="torch"`."""
        if not hasattr(self.backend, "network"):
            raise RequestError(
                f"{self.ran} holds no torch network; load it with backend='torch', from weights"
            )
        return copy.deepcopy(self.backend.network)

    def __call__(self, image_hwc: Image) -> Labels:
        """Image (H, W, 3) uint8 RGB of any size -> labels (H, W) uint8, class 0..n-1 per pixel."""
        return self.labels_at(image_hwc, checked_size(image_hwc))

    def labels_at(self, image_hwc: Image, size_hw: tuple[int, int]) -> Labels:
        """As a call, but labels of `size_hw`.

        The image is resized to the card's `input.size`, where it names one; the logits, at the size
        at which the network computes them, are resized bilinearly to `size_hw`, (height, width) in
        pixels, in one step. Raises RequestError for what is no image or no size.
        """
        size_hw = whole_size(size_hw)
        found, seen_hw = self._found(image_hwc, size_hw)
        return self._decoded(found, seen_hw, size_hw)

    def with_confidence(self, image_hwc: Image) -> tuple[Labels, float | None]:
        """As a call, and the mean confidence in [0, 1]: the winning class's softmax probability,
        averaged over the cells of the logits as the network computes them. None where the file
        gives labels alone, as some do at the size that it runs at."""
        size_hw = checked_size(image_hwc)
        found, seen_hw = self._found(image_hwc, size_hw)
        confidence = None
        if found.ndim == 3:
            factor = self.backend.enlargement.factor or 1
            height, width = (-(-side // factor) for side in seen_hw)  # the rest is padding
            confidence = mean_confidence(np.asarray(found[:, :height, :width], np.float32))
        return self._decoded(found, seen_hw, size_hw), confidence

    def _found(
        self, image_hwc: Image, size_hw: tuple[int, int]
    ) -> tuple[Labels | Logits, tuple[int, int]]:
        """What the network gives for labels of `size_hw`, and the size at which it saw the image.

        Labels (H, W) of that size, or logits (C, h, w), to be read before the thread's next call.
        """
        image_hwc, seen_hw = self._resized(image_hwc, None)
        found = self.backend.run(image_hwc, seen_hw == size_hw)
        self.on_stage_end("inference")
        return found, seen_hw

    def _decoded(
        self, found: Labels | Logits, seen_hw: tuple[int, int], size_hw: tuple[int, int]
    ) -> Labels:
        """Labels of `size_hw` from what `_found` gave."""
        if found.ndim == 2:
            labels_hw = np.asarray(found, dtype=np.uint8)
        else:
            logits_chw = np.asarray(found, np.float32)
            labels_hw = self.backend.enlargement.labels(logits_chw, seen_hw, size_hw)
        self.on_stage_end("decode")
        return labels_hw

    def logits(self, image_hwc: Image, size_hw: tuple[int, int] | None = None) -> Logits:
        """Logits (C, h, w) float32 of the image (H, W, 3) uint8 RGB, resized to `size_hw` first;
        as exactly as `ran.precision` says.

        Without `size_hw`, (height, width) in pixels, the image is resized to the card's
        `input.size`, or stays as it is where the card names none. Raises RequestError for what is
        no such image or no size.
        """
        size_hw = None if size_hw is None else whole_size(size_hw)
        image_hwc, _ = self._resized(image_hwc, size_hw)
        logits_chw = self.backend.infer(image_hwc)
        self.on_stage_end("inference")
        return logits_chw

    def _resized(
        self, image_hwc: Image, size_hw: tuple[int, int] | None
    ) -> tuple[Image, tuple[int, int]]:
        """The image as the network takes it, and its height and width."""
        own_hw = checked_size(image_hwc)
        wanted_hw = size_hw or self.card.input.size or own_hw
        if wanted_hw != own_hw:
            image_hwc = resize_image(image_hwc, wanted_hw)
        self.on_stage_end("resize")
        return image_hwc, wanted_hw


def checked_size(image_hwc: object) -> tuple[int, int]:
    """(height, width) of an image; RequestError for what is none, (H, W, 3) uint8."""
    if not isinstance(image_hwc, np.ndarray):
        raise RequestError(
            f"the image is a {type(image_hwc).__name__}, expected a numpy array (H, W, 3) of uint8 "
            "in RGB order; read a file with briskseg.core.images.read_image"
        )
    fits = image_hwc.ndim == 3 and image_hwc.shape[2:] == (3,) and image_hwc.size > 0
    if not fits or image_hwc.dtype != np.uint8:
        raise RequestError(
            f"the image is {image_hwc.shape} {image_hwc.dtype}, "
            "expected (H, W, 3) uint8 in RGB order"
        )
    height, width = image_hwc.shape[:2]
    return height, width
