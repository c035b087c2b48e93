"""A file that resizes images itself must do so as `predict` does."""

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


def coarse(seen):
    """Two classes, by how much brighter or darker a pixel is than those around it."""
    gray = seen.astype(np.float32).mean(axis=2)
    fine = np.tanh(gray - cv2.blur(gray, (5, 5)))
    return np.stack([fine, -fine])


def file(resize):
    """What runs a file of that network which resizes images so."""

    def labels(image):
        logits = Enlargement().uncropped(coarse(resize(image)), SIZE)
        return enlarge(logits, image.shape[:2], False).argmax(axis=0).astype(np.uint8)

    return Runs(coarse, labels)


def test_another_kernel_than_that_of_predict_is_refused():
    def nearest(image):
        return cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_NEAREST)

    opencv = file(lambda image: resize_image(image, SIZE))
    verify_resizing(coarse, opencv, Enlargement(), SIZE, Path("x.onnx"))
    with pytest.raises(ExportError, match=r"x\.onnx was not kept: \d+ of \d+ labels are not the"):
        verify_resizing(coarse, file(nearest), Enlargement(), SIZE, Path("x.onnx"))
