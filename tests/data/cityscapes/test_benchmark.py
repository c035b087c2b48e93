"""The Cityscapes benchmark's scores, bit for bit as its own package gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.cityscapes.conftest import SIZE, blocks, label_ids, write

from briskseg.core.errors import DataError
from briskseg.data.cityscapes.benchmark import CityscapesScores, read_ids
from briskseg.data.cityscapes.tree import read_label_ids

STUFF = [0, 1, 3, 4, 7, 8, 9, 11, 12, 13, 14, 17, 19, 20, 21, 22, 23]
OBJECTS = [1000 * i + n for i in (24, 25, 26, 27, 28, 29, 30, 31, 32, 33) for n in (0, 1, 2, 107)]
GROUPS = [24, 25, 26, 33]
SCORED = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]

# What the instance files hold and what is predicted, for each hard case.
CASES: dict[str, tuple[list[int], list[int]]] = {
    "everything": (STUFF + OBJECTS + GROUPS, SCORED),
    "labels predicted that are not scored": (STUFF + OBJECTS + GROUPS, [*range(34)]),
    "caravans and trailers, true and predicted": ([7, 29001, 30001, 26001], [7, 26, 29, 30]),
    "absent classes": ([7, 23, 26001, 26002], [7, 23, 26]),
    "classes predicted that are absent": ([7, 11], SCORED),
    "groups alone": ([7, 24, 26], [7, 24, 26]),
    "groups beside objects": ([7, 24, 24000, 24001, 26, 26000], [7, 24, 25, 26]),
    "all void": ([0, 1, 2, 3, 4, 5, 6, 9, 18], SCORED),
    "a number of zero": ([7, 24000, 33000], [24, 33]),
    "1000 is no object": ([7, 1000, 26001], [7, 26]),
}


def files(
    folder: Path, instances: list[np.ndarray], predicted: list[np.ndarray]
) -> tuple[list[Path], list[Path]]:
    """Predictions and labels, written."""
    predictions, labels = [], []
    for index, (truth_hw, prediction_hw) in enumerate(zip(instances, predicted, strict=True)):
        stem = f"lindau_{index:06}_000019"
        write(folder / f"{stem}_gtFine_instanceIds.png", truth_hw)
        labels.append(write(folder / f"{stem}_gtFine_labelIds.png", label_ids(truth_hw)))
        predictions.append(write(folder / f"pred_{stem}.png", prediction_hw.astype(np.uint8)))
    return predictions, labels


def ours(
    predictions: list[Path], labels: list[Path], without_instances: str | None = None
) -> dict[str, Any]:
    scores = CityscapesScores(without_instances)
    for prediction, label in zip(predictions, labels, strict=True):
        truth = read_ids(label, instances=without_instances is None)
        scores.update(read_label_ids(prediction), *truth)
    return scores.to_json()


@pytest.mark.parametrize("case", CASES)
def test_every_digit_is_the_packages(case: str, tmp_path: Path, official) -> None:
    truth, predicted = CASES[case]
    rng = np.random.default_rng(list(CASES).index(case))
    instances = [blocks(rng, truth) for _ in range(4)]
    instances[0][:, :3] = truth[-1]  # objects of other sizes than the squares'
    instances[1][5, 7] = truth[-1]
    drawn = [blocks(rng, predicted, side=2) for _ in range(4)]
    right = [label_ids(instance) for instance in instances]
    mixed = [
        np.where(blocks(rng, [0, 1], side=8) & np.isin(good, predicted), good, random)
        for good, random in zip(right, drawn, strict=True)
    ]
    paths = files(tmp_path, instances, mixed)
    found = ours(*paths)
    assert found == official(*paths)
    assert (found["averageScoreClasses"] is None) == (case == "all void")


def test_full_size_files(tmp_path: Path, official) -> None:
    rng = np.random.default_rng(0)
    size_hw = (1024, 2048)
    instances = blocks(rng, STUFF + OBJECTS[::3] + GROUPS, 32, size_hw)
    random = blocks(rng, SCORED, 32, size_hw)
    right = blocks(rng, [0, 1, 1], 16, size_hw)
    paths = files(tmp_path, [instances], [np.where(right, label_ids(instances), random)])
    found = ours(*paths)
    assert found == official(*paths)
    assert 0.1 < found["averageScoreInstClasses"] < 0.9


def test_instances_that_contradict_the_labels(tmp_path: Path, official) -> None:
    rng = np.random.default_rng(4)
    drawn = [blocks(rng, STUFF + OBJECTS), blocks(rng, STUFF + OBJECTS)]
    predictions, labels = files(tmp_path, drawn, [blocks(rng, SCORED), blocks(rng, SCORED)])
    for label in labels:
        write(label, label_ids(blocks(rng, STUFF + GROUPS)))
    assert ours(predictions, labels) == official(predictions, labels)


def test_the_license_plates_minus_one_counts_nowhere(tmp_path: Path, official) -> None:
    """That package stops at it; it must score as if the pixels were unlabeled."""
    rng = np.random.default_rng(6)
    (predictions, labels) = files(tmp_path, [blocks(rng, [7, 26001])], [blocks(rng, [7, 26])])
    ids = label_ids(blocks(rng, [7, 26, 26]))
    ids[:8] = 255
    write(labels[0], ids)
    with pytest.raises(SystemExit):
        official(predictions, labels)
    found = ours(predictions, labels)
    write(labels[0], np.where(ids == 255, 0, ids).astype(np.uint8))
    expected = official(predictions, labels)
    assert sum(expected["confMatrix"][0]) == 8 * SIZE[1]
    for key in set(expected) - {"confMatrix", "priors"}:
        assert found[key] == expected[key]
    assert found["confMatrix"] == [[0] * 34, *expected["confMatrix"][1:]]


def test_palette_and_narrow_files_are_read_by_their_values(tmp_path: Path, official) -> None:
    from PIL import Image

    rng = np.random.default_rng(8)
    predictions, labels = files(tmp_path, [blocks(rng, [7, 11])], [blocks(rng, [7, 8, 11])])
    for path in (predictions[0], labels[0]):
        with Image.open(path) as picture:
            colored = Image.fromarray(np.asarray(picture).copy())
        colored.putpalette([*range(256)] * 3)
        colored.save(path)
    write(tmp_path / "lindau_000000_000019_gtFine_instanceIds.png", np.full(SIZE, 7, np.uint8))
    assert ours(predictions, labels) == official(predictions, labels)


def test_instance_scores_can_be_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    paths = files(tmp_path, [blocks(rng, STUFF + OBJECTS)], [blocks(rng, SCORED)])
    whole = ours(*paths)
    for file in tmp_path.glob("*_instanceIds.png"):
        file.unlink()
    found = ours(*paths, without_instances="none asked for")
    assert found.pop("instanceScoresLeftOut") == "none asked for"
    assert found == {key: value for key, value in whole.items() if "Inst" not in key}


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    road = np.full(SIZE, 7, np.uint16)
    for instance, predicted, message in (
        (np.full(SIZE, 7001, np.uint16), road, "hold 7001, an object of the class 'road'"),
        (np.full(SIZE, 60000, np.uint16), road, "the instance ids hold 60000, expected 1000 \\*"),
        (road, road + 40, "the prediction holds the value 47 in 8192 pixels"),
        (road, road[:9], "expected one shape"),
    ):
        predictions, labels = files(tmp_path, [instance], [predicted])
        write(labels[0], road.astype(np.uint8))
        with pytest.raises((DataError, ValueError), match=message):
            ours(predictions, labels)
    predictions, labels = files(tmp_path, [road], [road])
    write(tmp_path / "lindau_000000_000019_gtFine_instanceIds.png", road[:9])
    with pytest.raises(DataError, match=r"instanceIds.png is \(9, 128\) and .* is \(64, 128\)"):
        ours(predictions, labels)
    predictions, labels = files(tmp_path, [road], [road])
    predictions[0].write_bytes(predictions[0].read_bytes()[:60])
    with pytest.raises(DataError, match=str(predictions[0])):
        ours(predictions, labels)
    write(predictions[0], np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(DataError, match="3 channels, expected one, of Cityscapes' ids"):
        ours(predictions, labels)


def test_what_is_refused_is_not_counted_by_halves() -> None:
    scores = CityscapesScores()
    road = np.full((2, 2), 7, np.uint8)
    before = scores.to_json()
    with pytest.raises(ValueError, match="the prediction holds the value 40"):
        scores.update(road + 33, road, np.full((2, 2), 26001, np.uint16))
    with pytest.raises(DataError, match="the truth holds the value 40"):
        scores.update(road, road + 33, np.full((2, 2), 26001, np.uint16))
    with pytest.raises(ValueError, match="expected one shape"):
        scores.update(road, road)
    assert scores.to_json() == before
