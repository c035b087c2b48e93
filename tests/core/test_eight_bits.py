"""Weights that eight bits hold are stored in eight, and come back as they were."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from briskseg.core.card import load_weights, read_card, save_weights
from briskseg.core.eight_bits import packed, unpacked
from briskseg.core.errors import WeightsError

CHANNELS, SHAPE = 6, (6, 4, 3, 3)


def on_a_grid(seed: int, exponent: int) -> npt.NDArray[np.float16]:
    """Scales of 4 bits times multiples of 7 fit the 11 that float16 has."""
    rng = np.random.default_rng(seed)
    scales = rng.integers(8, 16, (CHANNELS, 1, 1, 1)) * 2.0**exponent
    return (rng.integers(-127, 128, SHAPE) * scales).astype(np.float16)


def written(path: Path, weights_file: Path, tensors: dict[str, npt.NDArray[Any]]) -> Path:
    save_weights(path, tensors, read_card(weights_file))
    return path


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-24, 4), silent=st.booleans())
def test_they_come_back_to_the_last_bit(seed, exponent, silent):
    weight = on_a_grid(seed, exponent)
    if silent:
        weight[0] = 0
    stored = packed({"a": weight})
    assert {name: str(tensor.dtype) for name, tensor in stored.items()} == {
        "a": "int8", "a.scale": "float16",
    }  # fmt: skip
    tensors = unpacked(stored)
    assert [*tensors] == ["a"]
    np.testing.assert_array_equal(tensors["a"], weight.astype(np.float32))


def test_a_file_holds_them_so_and_gives_float32(weights_file, tmp_path):
    weight = on_a_grid(1, -12)
    other = np.random.default_rng(2).normal(size=SHAPE).astype(np.float16)
    other[0, 0, 0, :2] = (0.5, 0.50048828125)  # whose greatest divisor is too small
    tensors = {"grid": weight, "other": other, "bias": np.ones(CHANNELS, np.float16)}
    file = written(tmp_path / "w.safetensors", weights_file, packed(tensors))
    assert {name: str(tensor.dtype) for name, tensor in load_file(file).items()} == {
        "grid": "int8", "grid.scale": "float16", "other": "float16", "bias": "float16",
    }  # fmt: skip
    found, _ = load_weights(file)
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor.astype(np.float32))


def test_what_is_no_weight_of_a_convolution_stays_as_it_is():
    weight = on_a_grid(1, -12)
    tensors = {
        "whole": np.ones(SHAPE, np.int64), "matrix": weight[0, 0], "taken": weight,
        "taken.scale": np.ones(3, np.float32),
    }  # fmt: skip
    assert packed(tensors) == tensors


ONES = np.ones((CHANNELS, 1, 1, 1), np.float16)


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (ONES[:5], r"grid\.scale is float16 of \(5, 1, 1, 1\)"),
        (ONES.ravel(), r"grid\.scale is float16 of \(6,\)"),
        (ONES.astype(np.float32), r"grid\.scale is float32 of \(6, 1, 1, 1\)"),
        (ONES * np.float16("inf"), r"grid\.scale has numbers that are not"),
        (None, r"grid is int8 without grid\.scale"),
    ],
)
def test_a_scale_that_does_not_fit_is_one_sentence(scale, told, weights_file, tmp_path):
    stored = packed({"grid": on_a_grid(1, -12)})
    stored |= {"grid.scale": scale} if scale is not None else {}
    if scale is None:
        del stored["grid.scale"]
    file = written(tmp_path / "w.safetensors", weights_file, stored)
    with pytest.raises(WeightsError, match=rf"{told}, expected float16 of \(6, 1, 1, 1\), finite"):
        load_weights(file)


def test_what_is_rounded_for_shipping_is_stored_so_and_near_what_it_was():
    pytest.importorskip("torch")
    script = Path(__file__).parents[2] / "benchmarks" / "ship.py"
    spec = importlib.util.spec_from_file_location("ship", script)
    ship = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ship)
    rng = np.random.default_rng(4)
    sizes = 10.0 ** np.arange(-9, 3)[:, None, None, None]  # of channels, float16's smallest and on
    weight = (rng.normal(size=(12, 5, 3, 3)) * sizes).astype(np.float32)
    stored = packed({"a": ship.rounded(weight)})
    assert stored["a"].dtype == np.int8
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    error = np.abs(unpacked(stored)["a"] - weight)
    # what clipping takes of the largest, or half a step of float16's smallest
    assert (error <= np.maximum(0.21 * largest, 2.0**-25)).all()
    assert np.median(error[5:] / largest[5:]) < 0.005  # a step is near 1/127
