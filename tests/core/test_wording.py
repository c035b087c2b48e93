"""Sentences count: one thing is no "1 things"."""

import pytest

from briskseg.core.wording import counted, number


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((2, "class"), "2 classes"),
        ((2, "patch"), "2 patches"),
        ((80, "epoch"), "80 epochs"),
        ((1, "file is", "files are"), "1 file is"),
        ((3, "file is", "files are"), "3 files are"),
    ],
)
def test_numbers_of_things(given: tuple[int, str], said: str) -> None:
    assert counted(*given) == said


@pytest.mark.parametrize("text", ["30", "0.5", "12.34567", "1.0000001", "1e-07"])
def test_a_number_is_given_back_by_what_is_printed(text: str) -> None:
    assert number(float(text)) == text
