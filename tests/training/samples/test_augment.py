"""Augmentation: one warp and one color pass, by the properties that separate steps would have."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from briskseg.core.labels import CAMVID11, IGNORED
from briskseg.data.synthetic import draw_scene
from briskseg.recipe import AugmentPart
from briskseg.training.samples.augment import Augmenter

SIZE = (96, 128)
FILL = (9, 17, 33)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    return draw_scene(1, SIZE)


def vary(scene, *, epoch=0, index=0, base=None, **part):
    augmenter = Augmenter(AugmentPart(**part), FILL)
    variation = augmenter.params(scene[0].shape[:2], base, 0, epoch, index, epochs=2)
    return augmenter.apply(*scene, variation)


def test_defaults_change_nothing(scene) -> None:
    image, labels = vary(scene)
    assert np.array_equal(image, scene[0])
    assert np.array_equal(labels, scene[1])


@pytest.mark.parametrize("size_hw", [(64, 1), (1, 64)])
def test_an_image_one_pixel_wide_shrinks(size_hw: tuple[int, int]) -> None:
    thin = np.full((*size_hw, 3), 77, np.uint8), np.full(size_hw, 3, np.uint8)
    image, labels = vary(thin, scale=(0.25, 0.25), size=(32, 64))
    assert image.shape == (32, 64, 3)
    assert labels.shape == (32, 64)


def test_flip_mirrors_image_and_labels_exactly(scene) -> None:
    image, labels = vary(scene, flip=1)
    assert np.array_equal(image, scene[0][:, ::-1])
    assert np.array_equal(labels, scene[1][:, ::-1])


def test_translation_moves_whole_pixels_and_ignores_what_comes_in(scene) -> None:
    seen = set()
    for index in range(40):
        image, labels = vary(scene, index=index, translate=2)
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                source = np.pad(scene[0], ((4, 4), (4, 4), (0, 0)))
                moved = source[4 - dy : 4 - dy + SIZE[0], 4 - dx : 4 - dx + SIZE[1]]
                inside = np.zeros(SIZE, bool)
                inside[max(dy, 0) : SIZE[0] + min(dy, 0), max(dx, 0) : SIZE[1] + min(dx, 0)] = True
                if np.array_equal(image[inside], moved[inside]):
                    assert (labels[~inside] == IGNORED).all()
                    assert (image[~inside] == FILL).all()
                    seen.add((dy, dx))
    assert len(seen) > 10  # of 25 shifts


def test_a_crop_without_scaling_is_a_window_of_the_image(scene) -> None:
    image, labels = vary(scene, size=(40, 56), index=3)
    windows = np.lib.stride_tricks.sliding_window_view(scene[1], (40, 56))
    found = np.argwhere((windows == labels).all((2, 3)))
    assert any(np.array_equal(scene[0][y : y + 40, x : x + 56], image) for y, x in found)


@pytest.mark.parametrize("seed", range(12))
def test_image_and_labels_are_warped_alike(scene, seed: int) -> None:
    """An image that shows its own labels' colors still does after any warp, but for borders."""
    colored = CAMVID11.colorize(scene[1])
    labels = scene[1]
    image, warped = vary(
        (colored, labels), index=seed, scale=(0.6, 2), crop=(0.66, 1), rotate=30, flip=0.5,
        translate=4, size=(80, 80),
    )  # fmt: skip
    border = cv2.dilate(cv2.Laplacian(warped, cv2.CV_16S, ksize=3).astype(bool).astype(np.uint8),
                        np.ones((5, 5), np.uint8)) > 0  # fmt: skip
    inner = ~border & (warped != IGNORED)
    assert inner.mean() > 0.3
    wrong = np.abs(image.astype(int) - CAMVID11.colorize(warped)).max(-1)[inner] > 2
    assert wrong.mean() < 0.01


def test_labels_of_another_size_than_the_image_show_the_same_view(scene) -> None:
    image, labels = scene
    small = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA)
    part = {"scale": (1.5, 1.5), "rotate": 20, "size": (48, 64)}
    _, from_large = vary((image, labels), base=(48, 64), index=5, **part)
    _, from_mixed = vary((small, labels), base=(48, 64), index=5, **part)
    assert np.array_equal(from_large, from_mixed)


def test_scaling_by_two_equals_opencv_resize(scene) -> None:
    image, _ = vary(scene, scale=2, size=(2 * SIZE[0], 2 * SIZE[1]))
    expected = cv2.resize(scene[0], (2 * SIZE[1], 2 * SIZE[0]), interpolation=cv2.INTER_LINEAR)
    inner = np.s_[4:-4, 4:-4]  # outside, one repeats the border and the other fills
    assert np.abs(image[inner].astype(int) - expected[inner]).max() <= 2


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    image, _ = vary((stripes, np.zeros((256, 256), np.uint8)), base=(64, 64))
    assert np.abs(image.astype(int) - 127).max() < 12


def test_brightness_contrast_saturation_are_the_textbook_ones(scene) -> None:
    image = scene[0].astype(float)
    brighter, _ = vary(scene, brightness=1.5)
    assert np.abs(brighter - np.clip(image * 1.5, 0, 255)).max() <= 1
    gray = image @ [0.299, 0.587, 0.114]
    flatter, _ = vary(scene, contrast=0.5)
    assert np.abs(flatter - (image * 0.5 + gray.mean() * 0.5)).max() <= 1.5
    grayed, _ = vary(scene, saturation=0)
    assert np.abs(grayed - gray[..., None]).max() <= 1.5


def test_hue_turns_colors_and_keeps_their_luma(scene) -> None:
    turned, _ = vary(scene, hue=90, index=2)
    luma = np.array([0.299, 0.587, 0.114])
    unclipped = (turned > 0).all(-1) & (turned < 255).all(-1)
    difference = np.abs(turned @ luma - scene[0] @ luma)[unclipped]
    assert np.median(difference) < 1
    assert np.abs(turned.astype(int) - scene[0]).max() > 20


def test_normal_factors_are_clipped(scene) -> None:
    augmenter = Augmenter(AugmentPart(brightness={"sd": 0.5, "min": 0.4, "max": 1.2}))
    drawn = [augmenter.params(SIZE, None, 0, 0, i).color.brightness for i in range(300)]
    assert min(drawn) == 0.4
    assert max(drawn) == 1.2
    assert 0.7 < np.mean(drawn) < 1


def test_noise_has_the_standard_deviation_asked_for() -> None:
    gray = (np.full((256, 256, 3), 128, np.uint8), np.zeros((256, 256), np.uint8))
    augmenter = Augmenter(AugmentPart(noise=10))
    deviations, asked = [], []
    for index in range(8):
        variation = augmenter.params((256, 256), None, 0, 0, index)
        noisy, _ = augmenter.apply(*gray, variation)
        deviations.append(noisy.astype(float).std())
        asked.append(variation.noise)
    assert np.allclose(deviations, asked, atol=0.35)
    assert max(asked) > 6


def test_blur_smooths_and_keeps_the_mean(scene) -> None:
    blurred, labels = vary(scene, blur=3, index=1)
    assert np.array_equal(labels, scene[1])
    assert cv2.Laplacian(blurred, cv2.CV_32F).std() < cv2.Laplacian(scene[0], cv2.CV_32F).std()
    assert abs(blurred.mean() - scene[0].mean()) < 1


def test_shadows_darken_parts_in_several_patterns_and_never_brighten(scene) -> None:
    shades = []
    for index in range(12):
        shadowed, labels = vary(scene, shadow=1, index=index)
        assert (shadowed <= scene[0]).all()
        assert np.array_equal(labels, scene[1])
        shades.append(shadowed.astype(float).sum() / scene[0].sum())
    assert min(shades) < 0.75
    assert len({round(s, 2) for s in shades}) > 6


def test_numbers_come_from_seed_epoch_and_index_alone(scene) -> None:
    part = {"scale": (0.6, 2), "brightness": (0.5, 1.5), "noise": 10, "shadow": 0.5, "flip": 0.5}
    first = vary(scene, epoch=3, index=7, **part)
    vary(scene, epoch=1, index=1, **part)
    again = vary(scene, epoch=3, index=7, **part)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in ({"epoch": 4, "index": 7}, {"epoch": 3, "index": 8}):
        assert not np.array_equal(first[0], vary(scene, **other, **part)[0])


def test_turning_one_operation_off_leaves_the_others_numbers(scene) -> None:
    _, with_color = vary(scene, rotate=30, brightness=(0.5, 2), noise=10, index=4)
    _, without = vary(scene, rotate=30, index=4)
    assert np.array_equal(with_color, without)


def test_samples_that_one_class_fills_are_cut_elsewhere() -> None:
    """On a wide road with a narrow strip of cars, few crops hold less than 75 % of either."""
    labels = np.zeros((64, 512), np.uint8)
    labels[:, 240:272] = 1
    image = np.dstack([labels * 100] * 3)
    part = {"size": (32, 32), "cat_max_ratio": 0.75}
    before = [vary((image, labels), index=i, size=(32, 32))[1] for i in range(200)]
    after = [vary((image, labels), index=i, **part)[1] for i in range(200)]

    def share(cut: np.ndarray) -> float:
        return np.bincount(cut.ravel()).max() / cut.size

    held = np.array([share(cut) < 0.75 for cut in after])
    found = np.array([share(cut) < 0.75 for cut in before])
    # a crop holds it with chance p; ten looks, as MMSegmentation takes, fail with (1 - p) ** 10
    expected = 1 - (1 - found.mean()) ** 11
    assert 0.02 < found.mean() < 0.12
    assert held.mean() == pytest.approx(expected, abs=0.12)
    for crop_before, crop_after in zip(before, after, strict=True):
        if share(crop_before) < 0.75:  # what obeys stays where it was
            assert np.array_equal(crop_before, crop_after)
    again = vary((image, labels), index=7, **part)[1]
    assert np.array_equal(after[7], again)


def test_image_and_labels_are_cut_at_the_same_place(scene) -> None:
    image = np.dstack([scene[1]] * 3)
    for index in range(20):
        cut, labels = vary(
            (image, scene[1]), index=index, size=(24, 32), cat_max_ratio=0.4, flip=0.5
        )
        assert np.array_equal(cut[..., 0], labels)


def test_photometric_distortion_is_the_published_chain(scene) -> None:
    """Against the chain as MMSegmentation writes it: floats, clipped, an HSV tour for each step."""

    def clipped(pixels: np.ndarray) -> np.ndarray:
        return np.clip(np.round(pixels), 0, 255).astype(np.uint8)

    augmenter = Augmenter(AugmentPart(photometric=1))
    lasts = set()
    for index in range(12):
        drawn = augmenter.params(SIZE, None, 0, 0, index)
        found, _ = augmenter.apply(*scene, drawn)
        d = drawn.distortion
        lasts.add(d.contrast_last)
        expected = clipped(scene[0] + d.brightness)
        if not d.contrast_last:
            expected = clipped(expected * d.contrast)
        hsv = cv2.cvtColor(expected, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = clipped(hsv[..., 1] * d.saturation)
        hsv[..., 0] = (hsv[..., 0].astype(int) + d.hue) % 180
        expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        if d.contrast_last:
            expected = clipped(expected * d.contrast)
        assert np.array_equal(found, expected)
    assert lasts == {False, True}


def test_photometric_changes_are_each_drawn_with_their_probability_and_range() -> None:
    augmenter = Augmenter(AugmentPart(photometric=0.5))
    drawn = [augmenter.params(SIZE, None, 0, 0, i).distortion for i in range(400)]
    for name, off, low, high in (
        ("brightness", 0, -32, 32),
        ("contrast", 1, 0.5, 1.5),
        ("saturation", 1, 0.5, 1.5),
        ("hue", 0, -18, 17),
    ):
        values = [getattr(d, name) for d in drawn]
        on = [value for value in values if value != off]
        assert 0.4 < len(on) / len(values) < 0.6
        assert low <= min(on) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(on) <= high


@pytest.mark.parametrize("size", [None, (48, 64)])
def test_a_smaller_sample_shows_the_same_view(scene, size) -> None:
    part = {"size": size, "scale": (0.8, 1.6), "rotate": 8, "translate": 6, "flip": 0.5}
    growth = {"factors": (0.5,), "until": (0.5,)}
    for index in range(6):
        whole, labels = vary(scene, index=index, **part)
        small, few = vary(scene, index=index, progressive_resize=growth, **part)
        half = (whole.shape[0] // 2, whole.shape[1] // 2)
        assert small.shape[:2] == few.shape == half
        shrunk = cv2.resize(whole, half[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - shrunk).mean() < 12  # drawn texture is fine
        assert (few == labels[1::2, 1::2]).mean() > 0.9
