"""The flicker of labels that are known: still, moving with the picture, and changing at random."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from briskseg.runtime.video.flicker import FlickerMeter


def world(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A texture and labels in large areas: (200, 300, 3) and (200, 300) uint8."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (200, 300, 3), dtype=np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    areas = cv2.resize(rng.standard_normal((8, 12)), (300, 200), interpolation=cv2.INTER_CUBIC)
    return texture, (areas > 0).astype(np.uint8)


def test_nothing_changes_in_a_still_picture() -> None:
    meter = FlickerMeter()
    for _ in range(3):
        meter.add(*world(1))
    assert meter.score == 0
    assert meter.compared == 2 * 200 * 300


def test_labels_that_move_with_the_picture_do_not_flicker() -> None:
    texture, labels = world(2)
    meter, naive = FlickerMeter(), []
    for step in range(5):
        y, x = 2 * step, 5 * step
        meter.add(texture[y : y + 120, x : x + 200], labels[y : y + 120, x : x + 200])
        naive.append(labels[y : y + 120, x : x + 200])
    changes = np.mean([(a != b).mean() for a, b in pairwise(naive)])
    assert changes > 0.05  # without motion compensation
    assert meter.score is not None
    assert meter.score < 0.005
    assert meter.compared > 0.7 * 4 * 120 * 200


def test_labels_that_change_at_random_are_counted() -> None:
    texture, _ = world(3)
    rng, meter = np.random.default_rng(3), FlickerMeter()
    for step in range(5):
        y, x = 2 * step, 5 * step
        # Blocks so large that a neighbor's label seldom stands in: half of them change each time.
        labels = np.kron(rng.integers(0, 2, (6, 10)), np.ones((20, 20))).astype(np.uint8)
        meter.add(texture[y : y + 120, x : x + 200], labels)
    assert meter.score == pytest.approx(0.5, abs=0.12)


def test_what_cannot_be_compared_has_no_score() -> None:
    meter = FlickerMeter()
    assert meter.score is None
    for _ in range(2):
        meter.add(np.zeros((3, 5, 3), np.uint8), np.zeros((3, 5), np.uint8))
    assert meter.score is None
