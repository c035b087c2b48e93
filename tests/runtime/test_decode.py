"""Labels decoded from small logits equal torch's interpolation followed by argmax."""

from __future__ import annotations

import numpy as np
import pytest

from briskseg.core.errors import WeightsError
from briskseg.runtime.decode import decode_labels

torch = pytest.importorskip("torch")


def upsampled(logits: np.ndarray, size_hw: tuple[int, int], align_corners: bool) -> np.ndarray:
    up: np.ndarray = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], size_hw, mode="bilinear", align_corners=align_corners
    )[0].numpy()
    return up


@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_equal_interpolate_then_argmax(align_corners: bool) -> None:
    rng = np.random.default_rng(0)
    differing = pixels = 0
    for trial in range(150):
        classes = int(rng.integers(1, 20))
        height, width, to_height, to_width = (int(n) for n in rng.integers(1, (20, 20, 90, 90)))
        logits = rng.standard_normal((classes, height, width)).astype(np.float32)
        if trial % 2:  # areas of one winner, as networks give
            logits = np.repeat(np.repeat(logits, 3, axis=1), 4, axis=2)
        up = upsampled(logits, (to_height, to_width), align_corners)
        labels = decode_labels(logits, (to_height, to_width), align_corners)
        assert labels.shape == (to_height, to_width)
        assert labels.dtype == np.uint8
        chosen = np.take_along_axis(up, labels[None].astype(np.int64), axis=0)[0]
        np.testing.assert_allclose(chosen, up.max(axis=0), atol=2e-5)  # float32 rounding alone
        differing += np.count_nonzero(labels != up.argmax(axis=0))
        pixels += labels.size
    assert differing <= pixels * 1e-5


def test_more_pixels_near_borders_than_one_block() -> None:
    logits = np.random.default_rng(1).standard_normal((3, 130, 140)).astype(np.float32)
    up = upsampled(logits, (390, 427), False)
    assert np.count_nonzero(decode_labels(logits, (390, 427)) != up.argmax(axis=0)) <= 2


def test_equal_logits_go_to_the_lower_class() -> None:
    logits = np.zeros((4, 2, 3), np.float32)
    logits[2:] = 1
    for size in ((2, 3), (9, 8), (1, 1)):
        assert (decode_labels(logits, size) == 2).all()


def test_what_is_no_logits_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"output holds NaN.*use another checkpoint"):
        decode_labels(np.array([[[0.0, np.nan]], [[1, 1]]]), (4, 4))
    with pytest.raises(ValueError, match=r"logits are \(2, 3\), expected"):
        decode_labels(np.zeros((2, 3)), (4, 4))
    with pytest.raises(ValueError, match="at least 1"):
        decode_labels(np.zeros((1, 2, 3)), (0, 4))
