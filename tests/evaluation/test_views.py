"""Several views of an image, through windows or not, at any label size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import briskseg
from briskseg.core.errors import RequestError
from briskseg.core.images import read_image
from briskseg.data import open_dataset
from briskseg.evaluation.accuracy import evaluate
from briskseg.evaluation.test_time_augmentation import labels_of_views
from briskseg.runtime.sliding_window import WindowPredictor

torch = pytest.importorskip("torch")


def test_views_through_windows_add_up(weights_file: Path, small_data: Path) -> None:
    windows = WindowPredictor(briskseg.load(weights_file), (24, 40), (20, 30))
    image = read_image(small_data / "images/val/street1.png")
    total = np.zeros((3, *image.shape[:2]), np.float32)
    for scale in (0.5, 1.25):
        network = tuple(round(side * scale) for side in image.shape[:2])
        for view, step in ((image, 1), (np.ascontiguousarray(image[:, ::-1]), -1)):
            bands = [band for _, band in windows.bands(view, network, image.shape[:2])]
            total += np.concatenate(bands, axis=1)[..., ::step]
    found = labels_of_views(windows, image, (0.5, 1.25), flip=True)
    np.testing.assert_array_equal(found, total.argmax(axis=0))


def test_a_window_of_the_whole_changes_no_score(weights_file: Path, small_data: Path) -> None:
    whole, dataset = briskseg.load(weights_file), open_dataset(small_data)
    windows = WindowPredictor(whole, (500, 500))
    for flip in (False, True):
        through = evaluate(windows, dataset, flip=flip)
        plain = evaluate(whole, dataset, flip=flip)
        assert through.confusion.counts.tolist() == plain.confusion.counts.tolist()
        assert (through.window, plain.window) == ((500, 500), None)


@pytest.mark.parametrize("flip", [False, True])
def test_windows_and_views_give_labels_of_the_size_asked_for(
    weights_file: Path, small_data: Path, flip: bool
) -> None:
    whole = briskseg.load(weights_file)
    image = read_image(small_data / "images/val/street1.png")
    for predictor in (whole, WindowPredictor(whole, (24, 40))):
        labels = labels_of_views(predictor, image, flip=flip, size_hw=(20, 31))
        assert labels.shape == (20, 31)
        full = labels_of_views(predictor, image, flip=flip)[::2, ::2][:20, :31]
        assert (labels[: full.shape[0], : full.shape[1]] == full).mean() > 0.8


def test_an_impossible_label_size_is_refused(weights_file: Path, small_data: Path) -> None:
    with pytest.raises(RequestError, match=r"the size is \(0, 5\), expected \(height, width"):
        evaluate(briskseg.load(weights_file), open_dataset(small_data), label_size=(0, 5))
