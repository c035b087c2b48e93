"""Does an exported file compute what its network computes? A file that does not is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from briskseg.core.errors import ExportError
from briskseg.core.images import resize_image
from briskseg.core.types import Image, Labels, Logits
from briskseg.core.wording import counted, hxw
from briskseg.data.synthetic import draw_scene
from briskseg.export.deployed import resized
from briskseg.runtime.decode.enlargement import Enlargement, enlarge

if TYPE_CHECKING:
    from briskseg.export.formats import Infer, Runs

# Between two logits, in standard deviations of the logits. Rounding alone makes float32 differ from
# float64 by 1.3e-4 in an ERFNet of random weights; a trained one's file agrees to some 1e-5.
BOUND = 1e-3
MARGIN = 1e-3  # likewise: where the two best logits are nearer, either label is right
# of the network's height and width: what a file that resizes images itself is shown. Bilinearly and
# by whole pixels its sums are exact, so that no runtime may round them otherwise.
RESIZED_SIZES = ((0.8, 0.8), (1, 3))
SEEDS = (0, 1)  # of the streets that are drawn
ANY_SIZE = ((96, 128), (61, 93))  # what is drawn for a file that takes any size


@dataclass(frozen=True)
class Agreement:
    """difference: the largest between two logits, in standard deviations of the logits. labels:
    whether the file's own labels were compared too."""

    difference: float
    images: int
    labels: bool


def verify(
    reference: Infer,
    runs: Runs,
    size_hw: tuple[int, int] | None,
    path: Path,
    images: Sequence[Image] = (),
) -> Agreement:
    """How near the logits of the exported file are to those of its network, on drawn streets, on
    noise and on `images`, all of `size_hw` or, without it, of several sizes.

    Raises ExportError, naming `path`, if any two logits differ by more than BOUND, or a label is
    another where the two best logits are further apart than MARGIN.
    """
    sizes = ANY_SIZE if size_hw is None else (size_hw,)
    shown = [image for size in sizes for image in _drawn(size)]
    shown += [image if size_hw is None else resize_image(image, size_hw) for image in images]
    largest = 0.0
    for image in shown:
        expected = reference(image)
        largest = float(np.maximum(largest, _difference(expected, runs.logits(image), path)))
        if runs.labels is not None:
            _check_labels(expected, runs.labels(image), path)
    if not largest <= BOUND:  # NaN is no agreement
        of = " and ".join(map(hxw, sizes))
        raise _refusal(
            path,
            f"its logits differ from the network's by up to {largest:.2g} of their standard "
            f"deviation, expected at most {BOUND:g} ({counted(len(shown), 'image')} of {of})",
        )
    return Agreement(largest, len(shown), runs.labels is not None)


def verify_resizing(
    coarse: Callable[[Image], Logits],
    runs: Runs,
    enlargement: Enlargement,
    size_hw: tuple[int, int],
    path: Path,
) -> None:
    """Check the labels of a file that resizes images to `size_hw` itself, at other sizes.

    coarse: the network's own logits, not enlarged. Raises ExportError as `verify`.
    """
    assert runs.labels is not None
    for factors in RESIZED_SIZES:
        height, width = (
            max(1, int(side * factor)) for side, factor in zip(size_hw, factors, strict=True)
        )
        image = resize_image(draw_scene(0)[0], (height, width))
        # Not by OpenCV itself: its builds for some processors round otherwise than its own code.
        logits = enlargement.uncropped(coarse(resized(image, size_hw)), size_hw)
        expected = enlarge(logits, (height, width), enlargement.align_corners)
        _check_labels(expected, runs.labels(image), path)


def _drawn(size_hw: tuple[int, int]) -> list[Image]:
    streets = [resize_image(draw_scene(seed)[0], size_hw) for seed in SEEDS]
    noise = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    return [*streets, noise]


def _difference(expected: Logits, found: Logits, path: Path) -> float:
    if found.shape != expected.shape:
        raise _refusal(
            path, f"its logits are {found.shape}, expected {expected.shape} as the network's"
        )
    return float(np.abs(found - expected).max() / expected.std())


def _check_labels(expected: Logits, labels_hw: Labels, path: Path) -> None:
    """The label of each pixel must be that of its best logit, or of one within MARGIN of it."""
    if labels_hw.shape != expected.shape[1:] or labels_hw.max() >= expected.shape[0]:
        raise _refusal(
            path,
            f"its labels are {labels_hw.shape} from 0 to {labels_hw.max()}, expected "
            f"{expected.shape[1:]} below {expected.shape[0]}",
        )
    chosen = np.take_along_axis(expected, labels_hw[None].astype(np.intp), axis=0)[0]
    wrong = np.count_nonzero(chosen < expected.max(axis=0) - MARGIN * expected.std())
    if wrong:
        raise _refusal(
            path,
            f"{wrong} of {labels_hw.size} labels are not the network's, where its two best logits "
            f"are more than {MARGIN:g} of their standard deviation apart",
        )


def _refusal(path: Path, found: str) -> ExportError:
    return ExportError(
        f"{path} was not kept: {found}; report the model and the versions of its packages"
    )
