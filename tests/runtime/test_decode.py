"""Labels decoded from small logits equal torch's interpolation followed by argmax."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from briskseg import decode_labels
from briskseg.core.errors import WeightsError

torch = pytest.importorskip("torch")


def upsampled(logits: np.ndarray, size_hw: tuple[int, int], align_corners: bool) -> np.ndarray:
    up: np.ndarray = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], size_hw, mode="bilinear", align_corners=align_corners
    )[0].numpy()
    return up


def like_a_street(classes: int, size_hw: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth logits whose winners form areas, with a little noise: (classes, h, w) float32."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((classes, 1 + size_hw[0] // 6, 1 + size_hw[1] // 6))
    smooth = upsampled(coarse.astype(np.float32) * 8, size_hw, True)
    return smooth + rng.standard_normal(smooth.shape).astype(np.float32) / 10


@given(
    classes=st.integers(1, 20),
    cells=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    pixels=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    align_corners=st.booleans(),
    kind=st.sampled_from(["noise", "street", "whole numbers"]),
    seed=st.integers(0, 2**32),
)
@example(3, (1, 1), (40, 70), False, "noise", 0)  # a run longer than the longest
@example(5, (2, 3), (90, 90), True, "noise", 0)
@example(19, (24, 24), (5, 90), False, "street", 0)  # down and up at once
@settings(max_examples=250, deadline=None, derandomize=True)
def test_labels_equal_interpolate_then_argmax(
    classes: int,
    cells: tuple[int, int],
    pixels: tuple[int, int],
    align_corners: bool,
    kind: str,
    seed: int,
) -> None:
    """On every pixel, unless the two logits are equal but for the rounding of float32."""
    logits = like_a_street(classes, cells, seed)
    if kind != "street":
        logits = np.random.default_rng(seed).standard_normal(logits.shape).astype(np.float32)
    if kind == "whole numbers":
        logits = np.round(2 * logits)
    up = upsampled(logits, pixels, align_corners)
    labels = decode_labels(logits, pixels, align_corners)
    assert labels.shape == pixels
    assert labels.dtype == np.uint8
    chosen = np.take_along_axis(up, labels[None].astype(np.int64), axis=0)[0]
    rounding = 8 * np.finfo(np.float32).eps * np.abs(logits).max()
    assert (up.max(axis=0) - chosen <= rounding).all()


@given(
    classes=st.integers(1, 6),
    cells=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    times=st.tuples(st.sampled_from([1, 2, 4, 8, 32]), st.sampled_from([1, 2, 4, 8, 32])),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_where_float32_rounds_nothing_every_label_is_equal(
    classes: int, cells: tuple[int, int], times: tuple[int, int], seed: int
) -> None:
    """Small whole numbers at powers of two: both ways compute exactly, and ties are frequent."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-3, 4, (classes, *cells)).astype(np.float32)
    size = (cells[0] * times[0], cells[1] * times[1])
    up = upsampled(logits, size, False)
    np.testing.assert_array_equal(decode_labels(logits, size), up.argmax(axis=0))


def test_hardly_a_label_differs_by_rounding() -> None:
    logits = like_a_street(19, (64, 96), 3)
    for size, align_corners in (((512, 768), False), ((500, 701), False), ((512, 768), True)):
        expected = upsampled(logits, size, align_corners).argmax(axis=0)
        assert np.count_nonzero(decode_labels(logits, size, align_corners) != expected) <= 3


def test_a_class_that_wins_between_cells_and_at_none_of_them() -> None:
    logits = np.array([[[4.0, 0.0]], [[0.0, 4.0]], [[3.0, 3.0]]], np.float32)
    assert decode_labels(logits, (1, 8)).tolist() == [[0, 0, 0, 2, 2, 1, 1, 1]]


def test_a_class_that_wins_one_cell_by_a_tie_alone() -> None:
    logits = np.zeros((3, 3, 3), np.float32)
    logits[0, 1, 2] = 5
    logits[1:, 1, 1] = 4  # the lower of the two
    logits[2, 2] = 4
    expected = upsampled(logits, (5, 5), True).argmax(axis=0)
    assert expected[2, 2] == 1
    np.testing.assert_array_equal(decode_labels(logits, (5, 5), True), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_type_and_memory_layout(dtype: type) -> None:
    logits = like_a_street(7, (12, 18), 5).astype(dtype)
    logits[3, 2:4] = 1e-6  # subnormal in half precision
    logits[3, 5:7] *= -1
    expected = decode_labels(np.ascontiguousarray(logits, np.float32), (50, 77))
    channels_last = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    padded = np.zeros((7, 12, 20), dtype)
    padded[:, :, :18] = logits
    for same in (logits, channels_last, padded[:, :, :18], logits[:, ::-1].copy()[:, ::-1]):
        same.flags.writeable = False
        np.testing.assert_array_equal(decode_labels(same, (50, 77)), expected)


def test_equal_logits_go_to_the_lower_class() -> None:
    logits = np.zeros((4, 2, 3), np.float32)
    logits[2:] = 1
    for size in ((2, 3), (9, 8), (1, 1)):
        assert (decode_labels(logits, size) == 2).all()


def test_a_logit_of_minus_infinity_never_wins() -> None:
    logits = like_a_street(4, (6, 9), 1)
    logits[2] = -np.inf
    logits[3, :, 4:] = -np.inf
    finite = np.where(np.isinf(logits), np.float32(-1e9), logits)
    np.testing.assert_array_equal(decode_labels(logits, (48, 72)), decode_labels(finite, (48, 72)))


def test_memory_stays_small_and_threads_do_not_meet() -> None:
    logits = [like_a_street(19, (64, 128), seed) for seed in range(4)]
    size = (1024, 2048)  # 152 MiB of full-size logits
    alone = [decode_labels(one, size) for one in logits]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: decode_labels(one, size), logits * 2))
    for first, second in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(first, second)
    tracemalloc.start()
    decode_labels(logits[0], size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - 2 * 2**20 < 4 * 2**20  # the labels themselves are 2 MiB


def test_what_is_no_logits_is_refused() -> None:
    for bad in (np.nan, np.inf):
        for dtype in (np.float16, np.float32):
            with pytest.raises(WeightsError, match=r"holds NaN or infinity.*another checkpoint"):
                decode_labels(np.array([[[0.0, bad]], [[1, 1]]], dtype), (4, 4))
    with pytest.raises(TypeError, match="logits are list, expected a NumPy array of real numbers"):
        decode_labels([[[1.0]]], (1, 1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        decode_labels(np.zeros((2, 3, 4)), (8.0, 8.0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"logits are \(2, 3\), expected"):
        decode_labels(np.zeros((2, 3)), (4, 4))
    with pytest.raises(ValueError, match="at least 1"):
        decode_labels(np.zeros((1, 2, 3)), (0, 4))
