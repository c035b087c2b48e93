"""The drawn streets: the same for a seed, right in their labels, and worth learning from."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from briskseg.core.errors import RequestError
from briskseg.core.labels import CAMVID11, IGNORED
from briskseg.data import open_dataset
from briskseg.data.synthetic import draw_dataset, draw_scene, scene_seed

Array = npt.NDArray[np.uint8]
Scenes = list[tuple[Array, Array]]
NAMES = CAMVID11.names


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return [draw_scene(seed, (192, 256)) for seed in range(40)]


def test_a_seed_gives_one_street_whatever_else_is_drawn_meanwhile(scenes: Scenes) -> None:
    np.random.seed(1)  # noqa: NPY002  (the global state must play no part)
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda seed: draw_scene(seed, (192, 256)), range(6)))
    for (image, labels), (image_again, labels_again) in zip(scenes, again, strict=False):
        np.testing.assert_array_equal(image, image_again)
        np.testing.assert_array_equal(labels, labels_again)


def test_other_seeds_give_other_streets(scenes: Scenes) -> None:
    shares = [np.mean(a[1] != b[1]) for a, b in pairwise(scenes)]
    assert min(shares) > 0.08


@pytest.mark.parametrize(
    "size_hw", [(32, 32), (33, 47), (32, 300), (250, 40), (97, 131), (360, 480)]
)
def test_any_size_from_32_pixels_up(size_hw: tuple[int, int]) -> None:
    image, labels = draw_scene(5, size_hw)
    assert image.shape == (*size_hw, 3)
    assert labels.shape == size_hw
    assert image.dtype == labels.dtype == np.uint8
    assert image.flags.c_contiguous
    assert labels.flags.c_contiguous


def test_the_same_street_at_every_size() -> None:
    for seed in range(4):
        _, small = draw_scene(seed, (120, 160))
        _, large = draw_scene(seed, (240, 320))
        shrunk = cv2.resize(large, (160, 120), interpolation=cv2.INTER_NEAREST_EXACT)
        assert np.mean(small == shrunk) > 0.9


def test_labels_hold_classes_and_ignored_only(scenes: Scenes) -> None:
    values = set(np.unique([labels for _, labels in scenes]).tolist())
    assert values == {*range(len(NAMES)), IGNORED}


def test_every_class_occurs_often_with_shares_as_on_real_streets(scenes: Scenes) -> None:
    counts = np.array([np.bincount(labels.ravel(), minlength=256) for _, labels in scenes])
    share = dict(zip(NAMES, counts.sum(0)[: len(NAMES)] / counts.sum(), strict=True))
    seen = dict(zip(NAMES, (counts[:, : len(NAMES)] > 0).mean(0), strict=True))
    assert min(seen.values()) >= 0.5, seen
    # CamVid's train split: sky 17, building 23, pole 1, road 32, pavement 4.5, tree 10,
    # sign 1.2, fence 1.1, car 6, pedestrian 0.6, bicyclist 0.3 percent.
    bounds = {
        **dict.fromkeys(("Road",), (0.25, 0.42)),
        **dict.fromkeys(("Sky", "Building", "Tree"), (0.05, 0.32)),
        **dict.fromkeys(("Pavement", "Car"), (0.02, 0.12)),
        **dict.fromkeys(("Pole", "SignSymbol", "Fence"), (0.005, 0.035)),
        **dict.fromkeys(("Pedestrian", "Bicyclist"), (0.003, 0.025)),
    }
    for name, (low, high) in bounds.items():
        assert low < share[name] < high, (name, share[name])
    assert counts[:, IGNORED].sum() / counts.sum() < 0.06


@pytest.mark.parametrize("axis", [0, 1])
def test_labels_and_image_agree_to_a_pixel(scenes: Scenes, axis: int) -> None:
    """Where a wall or a tree meets the sky, the image changes there and not 2 pixels beside."""
    change = dict.fromkeys((-2, 0, 2), 0.0)
    for image, labels in scenes:
        steps = np.abs(np.diff(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float), axis=axis))
        high, wide = steps.shape
        here, there = (np.roll(labels, -k, axis)[:high, :wide] for k in (0, 1))
        border = ((here == 0) & np.isin(there, (1, 5))) | ((there == 0) & np.isin(here, (1, 5)))
        for move in change:
            change[move] += float(np.roll(steps, -move, axis)[border].sum())
    assert change[0] > 2.5 * max(change[-2], change[2]), change


def test_color_alone_does_not_tell_the_classes_apart(scenes: Scenes) -> None:
    def pixels(part: Scenes) -> tuple[Array, Array]:
        labels = np.concatenate([labels[::2, ::2].ravel() for _, labels in part])
        colors = np.concatenate([image[::2, ::2].reshape(-1, 3) for image, _ in part])
        return colors[labels != IGNORED].astype(np.float32), labels[labels != IGNORED]

    (colors, labels), (new_colors, truth) = pixels(scenes[:30]), pixels(scenes[30:])
    means = np.stack([colors[labels == k].mean(0) for k in range(len(NAMES))])
    distance = -2 * new_colors @ means.T + (means**2).sum(1)
    nearest = distance.argmin(1)
    ious = [
        np.sum((nearest == k) & (truth == k)) / np.sum((nearest == k) | (truth == k))
        for k in range(len(NAMES))
    ]
    assert np.mean(ious) < 0.2
    # and the colors differ within a class about as much as between the classes
    within = np.mean([colors[labels == k].std(0).mean() for k in range(len(NAMES))])
    assert within > means.std(0).mean()


def test_a_drawn_set_is_recognized_and_read(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = draw_dataset(
        tmp_path / "streets", 3, 2, (64, 80), 7, lambda done, wanted: told.append((done, wanted))
    )
    assert folder == tmp_path / "streets"
    assert told == [(k, 5) for k in range(1, 6)]
    facts = json.loads((folder / "streets.json").read_text())
    assert facts == {"seed": 7, "size": [64, 80], "train": 3, "val": 2, "version": 2}
    dataset = open_dataset(folder)
    assert dataset.kind == "streets"
    assert dataset.labels.names == NAMES
    assert dataset.labels.colors == CAMVID11.colors
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {"train": 3, "val": 2}
    image, labels = dataset.read(dataset.pairs("val")[1])
    image_drawn, labels_drawn = draw_scene(scene_seed(7, "val", 1), (64, 80))
    np.testing.assert_array_equal(image, image_drawn)
    np.testing.assert_array_equal(labels, labels_drawn)


def test_no_street_is_in_both_splits_or_drawn_twice() -> None:
    seeds = {
        scene_seed(seed, split, index)
        for seed in range(3)
        for split in ("train", "val")
        for index in range(500)
    }
    assert len(seeds) == 3000


def test_a_drawing_that_fails_stops_and_is_not_marked_finished(tmp_path: Path) -> None:
    def interrupt(done: int, wanted: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path, 50, 1, (32, 32), progress=interrupt)
    assert not (tmp_path / "streets.json").exists()
    assert len(list((tmp_path / "images" / "train").iterdir())) < 50


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda folder: draw_scene(0, (31, 64)),
            r"a street of 31x64 pixels was asked for; ask for at least 32 pixels a side",
        ),
        (lambda folder: draw_scene(-1), r"the seed is -1; give 0 or a greater number"),
        (
            lambda folder: draw_dataset(folder, seed=-2),
            r"the seed is -2; give 0 or a greater number",
        ),
        (
            lambda folder: draw_dataset(folder, val=0),
            r"val is 0; ask for at least 1 scene a split",
        ),
    ],
)
def test_a_wrong_request_is_one_sentence(
    tmp_path: Path, draw: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(RequestError, match=f"^{message}$"):
        draw(tmp_path / "new")
    assert not (tmp_path / "new").exists()
