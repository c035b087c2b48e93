"""A predictor's labels of an image, written as files: masks and an overlay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from briskseg.core.errors import BriskError
from briskseg.core.images import read_image, write_png
from briskseg.core.overlay import overlay, with_legend
from briskseg.runtime.inputs import Input
from briskseg.runtime.predictor import Predictor


def write_predictions(predictor: Predictor, source: Input, out: Path) -> list[Path]:
    """Predict on one image and write the results to the folder `out`; their paths.

    NAME_labels.png (one channel, class indices), NAME_color.png (RGB, the classes' colors), both of
    the image's size, and NAME_overlay.png (the colors over the image, a legend below).
    Raises DataError for a damaged file, BriskError where `out` cannot be written.
    """
    label_set = predictor.card.labels.to_label_set()
    image_hwc = read_image(source.path)
    labels_hw = predictor(image_hwc)
    picture = overlay(image_hwc, labels_hw, label_set)
    base = out / source.name
    written = {
        base.with_name(f"{base.name}_labels.png"): labels_hw,
        base.with_name(f"{base.name}_color.png"): label_set.colorize(labels_hw),
        base.with_name(f"{base.name}_overlay.png"): with_legend(
            picture, label_set, np.unique(labels_hw)
        ),
    }
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for path, array in written.items():
            write_png(path, array)
    except OSError as error:
        raise BriskError(f"{base}_* cannot be written: {error.strerror or error}") from None
    return [*written]
