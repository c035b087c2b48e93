"""What the backends of exported files share: an image in, the file's labels or logits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

from briskseg.core.card import Card
from briskseg.core.errors import RequestError
from briskseg.core.exported import read_exported
from briskseg.core.types import Image, Labels, Logits
from briskseg.runtime.decode.enlargement import Enlargement


class ExportedBackend(ABC):
    """A file of two outputs, "labels" and "logits", of which one is computed at a time, or of
    "logits" alone (`gives_labels` says which).

    Where the file resizes images itself, `infer` and `run` begin behind that: theirs are resized.
    sizes: for so many sizes of images a backend may prepare, which is faster than what serves any.
    """

    gives_labels = True
    sizes = 4

    def __init__(self, path: Path) -> None:
        """Raises WeightsError where the file has no card."""
        self.path = path
        self.card, self.exported = read_exported(path)
        self.enlargement = Enlargement(self.exported.factor, self.exported.align_corners)
        resizes = self.card.input.size is not None and self.exported.size is None
        self._labels_at_own_size = self.gives_labels and self.exported.factor == 1 and not resizes

    @classmethod
    def open(cls, path: Path, *options: Any, **more: Any) -> tuple[Self, Card]:
        """The backend and the file's card; options: as the class takes them."""
        backend = cls(path, *options, **more)
        return backend, backend.card

    def infer(self, image_hwc: Image) -> Logits:
        """Image (H, W, 3) uint8 RGB -> logits (C, H, W) float32, the caller's own."""
        height, width = image_hwc.shape[:2]
        full_chw = self.enlargement.full(self._output("logits", image_hwc), (height, width))
        return full_chw if full_chw.flags.owndata else full_chw.copy()

    def labels(self, image_hwc: Image) -> Labels:
        """What the whole file gives: labels (H, W) uint8 of the image (H, W, 3) uint8 RGB."""
        labels_hw: Labels = self._output("labels", image_hwc).copy()
        return labels_hw

    def run(self, image_hwc: Image, at_own_size: bool) -> Labels | Logits:
        """As `Backend.run`; logits may be in memory that the thread's next call writes."""
        if at_own_size and self._labels_at_own_size:
            return self.labels(image_hwc)
        logits_chw: Logits = self._output("logits", image_hwc)
        return logits_chw

    def _output(self, output: str, image_hwc: Image) -> Any:
        """As `_run`; RequestError for an image that a file of one size does not take."""
        size_hw = self.exported.size
        if size_hw is not None and image_hwc.shape[:2] != size_hw:
            found, only = ("x".join(map(str, hw)) for hw in (image_hwc.shape[:2], size_hw))
            raise RequestError(
                f"{self.path} takes images of {only} alone, found {found}; leave out --scales and "
                "--window, or export the weights for that size"
            )
        return self._run(output, image_hwc)

    @abstractmethod
    def _run(self, output: str, image_hwc: Image) -> Any:
        """One of the outputs for one image."""
