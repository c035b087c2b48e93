"""The predictor: an image in, its labels out, whatever file the network came from.

`evaluate`, `predict` and a user's own program all go through `Predictor.__call__`, so what is
scored is what is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import RequestError, nearest
from briskseg.core.images import resize_image
from briskseg.core.types import Image, Labels, Logits
from briskseg.runtime.backends import BACKENDS
from briskseg.runtime.decode.enlargement import Enlargement
from briskseg.runtime.model_files import find_files

if TYPE_CHECKING:
    from briskseg.runtime.backends.autotune import Choice


class Backend(Protocol):
    """What runs a network. Images are (H, W, 3) uint8 RGB at the network's size, not normalized."""

    def infer(self, image_hwc: Image) -> Logits:
        """Logits (C, H, W) float32 at the image's size, the caller's own."""


@runtime_checkable
class CoarseBackend(Backend, Protocol):
    """One that need not make its logits full-size to get at labels.

    enlargement: what the logits that `run` gives are to those of `infer`.
    """

    enlargement: Enlargement

    def run(self, image_hwc: Image, at_own_size: bool) -> Labels | Logits:
        """Labels (H, W) uint8, where the network gives them and labels are wanted `at_own_size`;
        else logits (C, h, w) float32 as the network computes them, to be read before the thread's
        next call."""


class Ran(NamedTuple):
    """What computes a predictor's labels: the file, the backend and its precision."""

    file: str
    backend: str
    precision: str


class Predictor:
    """A network ready for images: `labels = predictor(image)`.

    It keeps nothing between calls, so several threads may call one predictor at once; they share
    the backend's own threads, so that raises throughput only where these leave cores idle.

    `on_stage_end` is called with "resize", "inference" and "decode" as each of these ends, so that
    whoever sets it times what runs. `choice` says which file, backend and threads `load` took.
    """

    def __init__(self, backend: Backend, card: Card, choice: Choice | None = None) -> None:
        self.backend = backend
        self.card = card
        self.choice = choice
        file, name = (str(choice.file), choice.backend) if choice else ("", type(backend).__name__)
        self.ran = Ran(file, name, str(getattr(backend, "precision", "float32")))
        self._coarse = backend if isinstance(backend, CoarseBackend) else None
        self.on_stage_end: Callable[[str], None] = _not_timed

    def __call__(self, image_hwc: Image) -> Labels:
        """Image (H, W, 3) uint8 RGB of any size -> labels (H, W) uint8, class 0..n-1 per pixel."""
        check_image(image_hwc)
        height, width = image_hwc.shape[:2]
        return self.labels_at(image_hwc, (height, width))

    def labels_at(self, image_hwc: Image, size_hw: tuple[int, int]) -> Labels:
        """As a call, but labels of `size_hw`.

        The image is resized to the card's `input.size`, where it names one; the logits, at the size
        at which the network computes them, are resized bilinearly to `size_hw`, in one step.
        """
        image_hwc = self._resized(image_hwc, None)
        height, width = image_hwc.shape[:2]
        own = (height, width) == size_hw
        coarse = self._coarse
        found = coarse.run(image_hwc, own) if coarse else self.backend.infer(image_hwc)
        self.on_stage_end("inference")
        if found.ndim == 2:
            labels_hw = np.asarray(found, dtype=np.uint8)
        else:
            logits_chw = np.asarray(found, dtype=np.float32)
            enlargement = coarse.enlargement if coarse else Enlargement(None)
            labels_hw = enlargement.labels(logits_chw, (height, width), size_hw)
        self.on_stage_end("decode")
        return labels_hw

    def logits(self, image_hwc: Image, size_hw: tuple[int, int] | None = None) -> Logits:
        """Logits (C, h, w) float32 of the image (H, W, 3) uint8 RGB, resized to `size_hw` first.

        Without `size_hw` the image is resized to the card's `input.size`, or stays as it is where
        the card names none. Raises RequestError for what is not such an image.
        """
        image_hwc = self._resized(image_hwc, size_hw)
        logits_chw = self.backend.infer(image_hwc)
        self.on_stage_end("inference")
        return logits_chw

    def _resized(self, image_hwc: Image, size_hw: tuple[int, int] | None) -> Image:
        check_image(image_hwc)
        height, width = image_hwc.shape[:2]
        wanted = size_hw or self.card.input.size or (height, width)
        if wanted != (height, width):
            image_hwc = resize_image(image_hwc, wanted)
        self.on_stage_end("resize")
        return image_hwc


def _not_timed(stage: str) -> None:
    """What `Predictor.on_stage_end` is until somebody measures."""


def check_image(image_hwc: object) -> None:
    """RequestError for what is no image (H, W, 3) uint8."""
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


def load(path: str | Path, backend: str = "auto", threads: int | None = None) -> Predictor:
    """The predictor of a run folder, a .safetensors, .onnx or .xml file, or a shipped name.

    An exported file that lies beside the weights and was made of them is taken in their place.
    backend: one of BACKENDS, or "auto": of the files, the backends that are installed and their
    precisions the fastest whose labels are right on this machine, measured once and remembered in
    the user's cache folder. threads: how many CPU threads the backend may use; None has that
    measured too.
    Raises RequestError for what is not there or not known, WeightsError for a damaged file or one
    without a card, MissingExtraError where nothing that is installed runs the file.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise RequestError(f"unknown backend '{backend}'; {nearest(backend, ['auto', *BACKENDS])}")
    if threads is not None and threads < 1:
        raise RequestError(f"threads is {threads}, expected at least 1")
    from briskseg.runtime.backends.autotune import choose

    choice = choose(find_files(Path(path)), backend, threads)
    opened, card = BACKENDS[choice.backend].open(choice.file, choice.threads)
    return Predictor(opened, card, choice)
