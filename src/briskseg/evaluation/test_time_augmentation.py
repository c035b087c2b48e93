"""How each image is seen when it is scored: as a user's call does, or several times, averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from briskseg.core.errors import RequestError
from briskseg.core.types import Image, Labels
from briskseg.runtime.decode import decode_labels
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.sliding_window import Band, WindowPredictor, softmax


def check_scales(scales: Sequence[float]) -> None:
    """Raise RequestError for impossible scales."""
    try:
        fits = len(scales) > 0 and all(math.isfinite(x) and 0 < x <= 16 for x in scales)
    except TypeError:
        fits = False
    if not fits:
        raise RequestError(f"scales are {scales}, expected numbers above 0 and up to 16")


def labels_of_views(
    predictor: Predictor,
    image_hwc: Image,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    size_hw: tuple[int, int] | None = None,
) -> Labels:
    """Labels (H, W) of the image, of its own size or of `size_hw`.

    scales: of the size the network takes, at which the image is seen; flip: mirrored too. Seen once
    at scale 1 they are those of `predictor(image_hwc)`. Otherwise the logits are resized to the
    labels' size, and their softmax probabilities added up over the views.
    """
    height, width = image_hwc.shape[:2]
    wanted_hw = size_hw or (height, width)
    if tuple(scales) == (1.0,) and not flip:
        return predictor.labels_at(image_hwc, wanted_hw)
    base_hw = predictor.card.input.size or (height, width)
    views = [(image_hwc, 1)]  # and in which direction its columns run
    if flip:
        views.append((np.ascontiguousarray(image_hwc[:, ::-1]), -1))
    total_chw = np.zeros((predictor.card.network.classes, *wanted_hw), dtype=np.float32)
    for scale in scales:
        network_hw = (max(1, round(base_hw[0] * scale)), max(1, round(base_hw[1] * scale)))
        for view_hwc, step in views:
            for top, band_chw in _bands(predictor, view_hwc, network_hw, wanted_hw):
                total_chw[:, top : top + band_chw.shape[1]] += band_chw[:, :, ::step]
    return decode_labels(total_chw, wanted_hw)


def _bands(
    predictor: Predictor, image_hwc: Image, network_hw: tuple[int, int], size_hw: tuple[int, int]
) -> Iterator[Band]:
    """The probabilities of one view: through windows, or of the whole image in one band."""
    if isinstance(predictor, WindowPredictor):
        yield from predictor.bands(image_hwc, network_hw, size_hw)
    else:
        yield 0, softmax(predictor.logits(image_hwc, network_hw), size_hw)
