"""Does an exported file compute what its network computes? A file that does not is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import ExportError
from briskseg.core.images import resize_image
from briskseg.data.synthetic import draw_scene

if TYPE_CHECKING:
    from briskseg.export import Infer

BOUND = 1e-4  # in standard deviations of the logits
SEEDS = (0, 1)  # of the streets that are drawn


@dataclass(frozen=True)
class Agreement:
    """difference: the largest between two logits, in standard deviations of the logits."""

    difference: float
    images: int


def verify(reference: Infer, exported: Infer, size_hw: tuple[int, int], path: Path) -> Agreement:
    """How near the logits of the exported file are to those of its network, on drawn streets and
    on noise. Raises ExportError, naming `path`, if any two differ by more than BOUND."""
    images = _images(size_hw)
    largest = max(_difference(reference(image), exported(image), path) for image in images)
    if not largest <= BOUND:  # NaN is no agreement
        raise ExportError(
            f"{path} was not kept: its logits differ from the network's by up to {largest:.2g} of "
            f"their standard deviation, expected at most {BOUND:g} ({len(images)} images of "
            f"{size_hw[0]}x{size_hw[1]}); report the model and the versions of its packages"
        )
    return Agreement(largest, len(images))


def _images(size_hw: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    streets = [resize_image(draw_scene(seed)[0], size_hw) for seed in SEEDS]
    noise = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    return [*streets, noise]


def _difference(
    expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32], path: Path
) -> float:
    if found.shape != expected.shape:
        raise ExportError(
            f"{path} was not kept: its logits are {found.shape}, expected {expected.shape} as the "
            "network's; report the model and the versions of its packages"
        )
    return float(np.abs(found - expected).max() / expected.std())
