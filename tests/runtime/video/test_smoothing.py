"""Labels that must last before they are shown, against a count pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from briskseg.runtime.video.stream import LabelSmoother


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 255])
def test_a_label_is_shown_once_it_has_lasted(frames: int) -> None:
    rng = np.random.default_rng(frames)
    film = rng.choice([0, 1, 255], (40, 6, 7), p=[0.75, 0.15, 0.1]).astype(np.uint8)
    smoother = LabelSmoother(frames)
    shown = [smoother(labels) for labels in film]
    expected = film[0].copy()
    for t, labels in enumerate(film):
        for place in np.ndindex(*labels.shape):
            run = [*film[max(0, t - frames + 1) : t + 1, *place]]
            if len(run) == frames and len(set(run)) == 1:
                expected[place] = labels[place]
        np.testing.assert_array_equal(shown[t], expected)
    assert any((a != b).any() for a, b in zip(shown, film, strict=True)) == (frames > 1)


def test_labels_that_stay_longer_than_can_be_counted() -> None:
    smoother, ones = LabelSmoother(255), np.ones((2, 2), np.uint8)
    smoother(0 * ones)
    assert [int(smoother(ones)[0, 0]) for _ in range(600)] == [0] * 254 + [1] * 346
    with pytest.raises(ValueError, match="expected 1 to 255"):
        LabelSmoother(256)
