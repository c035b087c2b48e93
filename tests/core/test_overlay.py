"""The overlay and its legend, pixel by pixel where it matters."""

from __future__ import annotations

import numpy as np
import pytest

from briskseg.core.labels import CAMVID32, LabelSet
from briskseg.core.overlay import overlay, with_legend

TWO = LabelSet(names=("road", "Straße"), colors=((200, 0, 0), (0, 0, 100)))


def test_colors_are_blended_and_ignored_pixels_kept() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    labels = np.array([[0, 1, 255]], np.uint8)
    picture = overlay(image, labels, TWO)
    assert picture.tolist() == [[[150, 50, 50], [50, 50, 100], [100, 100, 100]]]
    with pytest.raises(ValueError, match=r"the image is \(1, 3, 3\), its labels are \(1, 2\)"):
        overlay(image, labels[:, :2], TWO)


@pytest.mark.parametrize("size_hw", [(1, 1), (300, 20), (200, 400), (1080, 1920)])
def test_the_legend_shows_every_present_class_and_no_other(size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), 7, np.uint8)
    present = [3, 21, 30, 255]
    picture = with_legend(image, CAMVID32, present)
    np.testing.assert_array_equal(picture[: size_hw[0], : size_hw[1]], image)
    legend = picture[size_hw[0] :].reshape(-1, 3)
    shown = {tuple(color) for color in np.unique(legend, axis=0).tolist()}
    assert [i for i, color in enumerate(CAMVID32.colors) if color in shown] == present[:-1]
    assert legend.min() < 60  # ink


def test_a_legend_of_nothing_is_the_picture() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert with_legend(image, TWO, [255]) is image


@pytest.mark.parametrize("name", ["Straße", "дорога", "道路", "도로"])
def test_names_are_drawn_in_their_own_letters(name: str) -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    drawn = [
        with_legend(image, LabelSet(names=("road", each), colors=TWO.colors), [0, 1]).tobytes()
        for each in (name, name[:-1] + "?", "?" * len(name), "class 1")
    ]
    assert len({*drawn}) == 4
