"""The predictor: an image in, its labels out, whatever file the network came from.

`evaluate`, `predict` and a user's own program all go through `Predictor.__call__`, so what is
scored is what is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from briskseg.core.card import Card
from briskseg.core.errors import RequestError, nearest
from briskseg.core.images import resize_image
from briskseg.runtime.decode import decode_labels

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


class Backend(Protocol):
    """What runs a network."""

    def infer(self, image_hwc: Image) -> Logits:
        """Image (H, W, 3) uint8 RGB at the network's size, not normalized -> logits (C, h, w)."""


class Predictor:
    """A network ready for images: `labels = predictor(image)`.

    It keeps nothing between calls, so several threads may call one predictor at once; they share
    the backend's own threads, so that raises throughput only where these leave cores idle.

    `lap` is called with "resize", "inference" and "decode" as each of these ends, so that whoever
    sets it times what runs.
    """

    def __init__(self, backend: Backend, card: Card) -> None:
        self.backend = backend
        self.card = card
        self.lap: Callable[[str], None] = _not_timed

    def __call__(self, image_hwc: Image) -> Labels:
        """Image (H, W, 3) uint8 RGB of any size -> labels (H, W) uint8, class 0..n-1 per pixel."""
        logits_chw = self.logits(image_hwc)
        height, width = image_hwc.shape[:2]
        labels_hw = decode_labels(logits_chw, (height, width))
        self.lap("decode")
        return labels_hw

    def logits(self, image_hwc: Image, size_hw: tuple[int, int] | None = None) -> Logits:
        """Logits (C, h, w) float32 of the image (H, W, 3) uint8 RGB, resized to `size_hw` first.

        Without `size_hw` the image is resized to the card's `input.size`, or stays as it is where
        the card names none. Raises RequestError for what is not such an image.
        """
        check_image(image_hwc)
        height, width = image_hwc.shape[:2]
        wanted = size_hw or self.card.input.size or (height, width)
        if wanted != (height, width):
            image_hwc = resize_image(image_hwc, wanted)
        self.lap("resize")
        logits_chw = self.backend.infer(image_hwc)
        self.lap("inference")
        return logits_chw


def _not_timed(stage: str) -> None:
    """What `Predictor.lap` is until somebody measures."""


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
    """The predictor of a run folder (its `model.safetensors`) or of a `.safetensors` file.

    backend: "auto" takes the one that runs the file, "torch" is the one there is. threads: how many
    CPU threads the backend may use; None leaves its own choice.
    Raises RequestError for what is not there or not known, WeightsError for a damaged file or one
    without a card, MissingExtraError without torch.
    """
    file = find_weights(Path(path))
    if backend != "auto" and backend not in BACKENDS:
        raise RequestError(f"unknown backend '{backend}'; {nearest(backend, ['auto', *BACKENDS])}")
    if threads is not None and threads < 1:
        raise RequestError(f"threads is {threads}, expected at least 1")
    chosen = SUFFIXES[file.suffix.lower()] if backend == "auto" else backend
    return BACKENDS[chosen](file, threads)


def find_weights(path: Path) -> Path:
    """The weights file that `path` means: itself, or a run folder's best; else RequestError."""
    if path.is_dir():
        return _weights_of_run(path)
    if not path.exists():
        raise RequestError(f"{path} is not there, expected {_ACCEPTED}")
    if path.suffix.lower() in SUFFIXES:
        return path
    if path.suffix.lower() in _CHECKPOINTS:
        raise RequestError(
            f"{path} is a PyTorch checkpoint, expected {_ACCEPTED}; make one with: "
            f"briskseg convert {path} --labels cityscapes|camvid|FILE"
        )
    if path.suffix.lower() == ".keras":
        raise RequestError(
            f"{path} is a Keras file, expected {_ACCEPTED}; make one with: briskseg convert {path}"
        )
    raise RequestError(f"{path} is of no known type, expected {_ACCEPTED}")


def _weights_of_run(folder: Path) -> Path:
    weights = folder / "model.safetensors"
    if weights.is_file():
        return weights
    if (folder / "encoder.safetensors").is_file():
        raise RequestError(
            f"the run {folder} has no model.safetensors, only an encoder, which predicts nothing "
            "by itself; where the run has a further stage let it train on, else train a network "
            f"from it: briskseg train RECIPE --data DIR --set model.encoder={folder}"
        )
    if (folder / "recipe.yaml").is_file():
        raise RequestError(
            f"the run {folder} has no model.safetensors yet: no validation of it has finished; "
            "let it train on, or name one of its files in checkpoints/"
        )
    raise RequestError(
        f"the folder {folder} is no run folder (no model.safetensors, no recipe.yaml), "
        f"expected {_ACCEPTED}"
    )


def _load_torch(path: Path, threads: int | None) -> Predictor:
    from briskseg.runtime.torch_ import TorchBackend

    backend, card = TorchBackend.open(path, threads)
    return Predictor(backend, card)


BACKENDS: dict[str, Callable[[Path, int | None], Predictor]] = {"torch": _load_torch}
SUFFIXES = {".safetensors": "torch"}  # file type -> the backend that runs it

_ACCEPTED = "a run folder (runs/NAME) or a .safetensors file"
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".tar")
