"""Sentences count: one thing is no "1 things"."""

import pytest

from briskseg.core.wording import counted, first_of, number


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


def test_of_many_things_the_first_are_named() -> None:
    assert first_of(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of([], 2) == ""


@pytest.mark.parametrize("text", ["30", "0.5", "12.34567", "1.0000001", "1e-07"])
def test_a_number_is_given_back_by_what_is_printed(text: str) -> None:
    assert number(float(text)) == text
