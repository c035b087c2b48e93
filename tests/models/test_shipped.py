"""The weights that come with the package: what a base install runs is what was trained."""

from __future__ import annotations

import numpy as np
import pytest

import briskseg
from briskseg.core.card import read_card
from briskseg.core.exported import read_exported
from briskseg.core.files import sha256
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.model_files import shipped_files, weights_folder

MOST_BYTES = 30_000_000  # of all shipped files together


@pytest.mark.parametrize("name", shipped_files())
def test_an_onnx_file_lies_beside_the_weights_and_was_made_of_them(name):
    weights, exported = (weights_folder() / f"{name}.{end}" for end in ("safetensors", "onnx"))
    card, about = read_exported(exported)
    assert about.weights == sha256(weights)
    assert card == read_card(weights)
    assert card.license
    assert card.source
    image = draw_scene(3)[0]
    expected = briskseg.load(weights, "torch")(image)
    np.testing.assert_array_equal(briskseg.load(exported, "onnx")(image), expected)


def test_they_are_listed_by_name():
    assert [*shipped_files()] == sorted(shipped_files())


def test_the_shipped_files_are_small():
    assert sum(file.stat().st_size for file in weights_folder().iterdir()) <= MOST_BYTES
