"""A file that resizes images itself: its rounding may differ from OpenCV's, its kernel may not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from briskseg.core.errors import ExportError
from briskseg.core.images import resize_image
from briskseg.export.formats import Runs
from briskseg.export.verify import verify_resizing
from briskseg.runtime.decode.enlargement import Enlargement, enlarge

SIZE = (60, 90)


def network(steepness: float):
    """Two classes, by how much brighter or darker a pixel is than those around it."""

    def coarse(seen):
        gray = seen.astype(np.float32).mean(axis=2)
        fine = np.tanh(steepness * (gray - cv2.blur(gray, (5, 5))))
        return np.stack([fine, -fine])

    return coarse


def file(coarse, resize):
    """What runs a file of that network which resizes images so."""

    def labels(image):
        logits = Enlargement().uncropped(coarse(resize(image)), SIZE)
        return enlarge(logits, image.shape[:2], False).argmax(axis=0).astype(np.uint8)

    return Runs(coarse, labels)


def rounded_otherwise(image):
    seen = resize_image(image, SIZE)
    return seen - (np.random.default_rng(9).random(seen.shape) < 0.11) * (seen > 0)


def nearest(image):
    return cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("steepness", [0.02, 2])
def test_a_level_more_or_less_is_borne_and_another_kernel_is_not(steepness):
    coarse = network(steepness)
    verify_resizing(coarse, file(coarse, rounded_otherwise), Enlargement(), SIZE, Path("x.onnx"))
    with pytest.raises(ExportError, match=r"x\.onnx was not kept: \d+ of \d+ labels are not the"):
        verify_resizing(coarse, file(coarse, nearest), Enlargement(), SIZE, Path("x.onnx"))
