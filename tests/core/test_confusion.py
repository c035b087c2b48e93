"""The confusion matrix against a plain loop over pixels."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from briskseg.core.errors import DataError
from briskseg.core.metrics.confusion import ConfusionMatrix


def naive(truth: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, object]:
    """Every score from its definition, class by class, as sets of pixels."""
    pixels = [(int(t), int(p)) for t, p in zip(truth.flat, predicted.flat, strict=True) if t != 255]
    iou, accuracy, weighted = [], [], 0.0
    for c in range(classes):
        both = sum(t == c and p == c for t, p in pixels)
        either = sum(t == c or p == c for t, p in pixels)
        true = sum(t == c for t, _ in pixels)
        iou.append(both / either if either else None)
        accuracy.append(both / true if true else None)
        weighted += (both / either) * true if either else 0.0
    known = [x for x in iou if x is not None]
    found = [x for x in accuracy if x is not None]
    return {
        "miou": sum(known) / len(known) if known else None,
        "pixel_accuracy": sum(t == p for t, p in pixels) / len(pixels) if pixels else None,
        "mean_accuracy": sum(found) / len(found) if found else None,
        "frequency_weighted_iou": weighted / len(pixels) if pixels else None,
        "classes": {str(c): {"iou": iou[c], "accuracy": accuracy[c]} for c in range(classes)},
    }


def close(ours: object, theirs: object) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(close(ours[k], theirs[k]) for k in ours)
    return ours is theirs if theirs is None else ours == pytest.approx(theirs, abs=1e-12)


def hw(*values: int) -> np.ndarray:
    return np.array([values], dtype=np.uint8)


@pytest.mark.parametrize(
    ("truth", "predicted", "classes"),
    [
        (hw(0, 1, 1, 2), hw(0, 1, 2, 2), 3),
        (hw(0, 0), hw(0, 0), 3),  # classes 1 and 2 absent everywhere
        (hw(0, 0), hw(1, 1), 3),  # 1 predicted and never true
        (hw(2), hw(2), 3),  # one pixel, the last class
        (hw(255, 255), hw(0, 1), 2),  # everything ignored
        (hw(255, 0), hw(1, 0), 2),  # a prediction under an ignored pixel counts nowhere
        (hw(0), hw(0), 1),
        (hw(254, 255, 0), hw(254, 0, 254), 255),
        (np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8), 2),
    ],
)
def test_scores_of_hard_cases(truth: np.ndarray, predicted: np.ndarray, classes: int) -> None:
    matrix = ConfusionMatrix(classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix.update(truth, predicted)
        assert close(
            matrix.scores([str(c) for c in range(classes)]), naive(truth, predicted, classes)
        )


def test_scores_of_many_random_images() -> None:
    rng = np.random.default_rng(0)
    for classes in (1, 2, 7, 32):
        matrix, truths, predictions = ConfusionMatrix(classes), [], []
        for _ in range(5):
            shape = tuple(rng.integers(1, 25, 2))
            truth = rng.integers(0, classes, shape).astype(np.uint8)
            truth[rng.random(shape) < 0.2] = 255
            predicted = rng.integers(0, classes, shape).astype(np.int64)
            matrix.update(truth, predicted)
            truths.append(truth.ravel())
            predictions.append(predicted.ravel())
        expected = naive(np.concatenate(truths), np.concatenate(predictions), classes)
        assert close(matrix.scores([str(c) for c in range(classes)]), expected)


def test_rows_are_truth_and_columns_prediction() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(hw(0, 0, 1), hw(2, 2, 1))
    assert matrix.counts.tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 0]]


def test_an_image_larger_than_a_block_counts_every_pixel() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 4, (2, 900, 1301), dtype=np.uint8)
    matrix = ConfusionMatrix(4)
    matrix.update(truth, predicted)
    for t in range(4):
        for p in range(4):
            assert matrix.counts[t, p] == np.count_nonzero((truth == t) & (predicted == p))


def test_all_ignored_has_no_score_rather_than_zero() -> None:
    matrix = ConfusionMatrix(2)
    assert math.isnan(matrix.miou)
    assert math.isnan(matrix.pixel_accuracy)
    assert math.isnan(matrix.mean_accuracy)
    assert math.isnan(matrix.frequency_weighted_iou)


@pytest.mark.parametrize(
    ("truth", "predicted", "error", "message"),
    [
        (hw(3, 3, 0), hw(0, 0, 0), DataError, "truth holds the value 3 in 2 pixels.*0..2 or 255"),
        (hw(254), hw(0), DataError, "truth holds the value 254 in 1 pixel"),
        (hw(0, 0), hw(0, 3), ValueError, "prediction holds the value 3 in 1 pixel.*0..2"),
        (hw(255), hw(255), ValueError, "prediction holds the value 255 in 1 pixel"),
        (np.array([[-1]]), hw(0), DataError, "truth holds the value -1"),
        (hw(0), np.array([[256]]), ValueError, "prediction holds the value 256"),
        (np.array([[0.5]]), hw(0), ValueError, "the truth is float64, expected integers"),
        (hw(0, 1), hw(0), ValueError, r"truth is \(1, 2\), prediction is \(1, 1\)"),
    ],
)
def test_strange_values_are_named_and_nothing_is_counted(
    truth: np.ndarray, predicted: np.ndarray, error: type[Exception], message: str
) -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(error, match=message):
        matrix.update(truth, predicted)
    assert not matrix.counts.any()


def test_matrices_add_up() -> None:
    first, second = ConfusionMatrix(2), ConfusionMatrix(2)
    first.update(hw(0, 1), hw(0, 0))
    second.add(first)
    second.add(first)
    assert second.counts.tolist() == [[2, 0], [2, 0]]
    with pytest.raises(ValueError, match="a matrix of 1 classes, expected 2"):
        second.add(ConfusionMatrix(1))


def test_images_beyond_what_single_precision_counts() -> None:
    """One class in more pixels than float32, in which OpenCV counts, holds whole numbers for."""
    truth = np.zeros((1 << 12, (1 << 12) + 1), np.uint8)
    truth[0, 0] = 1
    matrix = ConfusionMatrix(2)
    matrix.update(truth, np.zeros_like(truth))
    assert matrix.counts.tolist() == [[truth.size - 1, 0], [1, 0]]
