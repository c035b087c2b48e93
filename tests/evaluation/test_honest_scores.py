"""The scores against torchmetrics on cases made to trip them, and mIoU's interval over images."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from briskseg.core.card import Card, LabelsCard, NetworkCard
from briskseg.core.images import read_image, write_png
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.core.metrics.intervals import RESAMPLES, miou_interval, resampled
from briskseg.data import open_dataset
from briskseg.evaluation.accuracy import Evaluation, ImageScore, evaluate
from briskseg.runtime.backends import Backend
from briskseg.runtime.predictor import Predictor

rng = np.random.default_rng(11)


def some(values: list[int], shape: tuple[int, int] = (23, 31)) -> np.ndarray:
    return rng.choice(values, shape).astype(np.uint8)


CASES = {
    "absent classes": (some([0, 2, 255]), some([0, 2]), 6),
    "predicted, never true": (some([0, 1]), some([0, 1, 4, 5]), 6),
    "true, never predicted": (some([0, 1, 5]), some([0, 1]), 6),
    "nothing right": (some([0]), some([1]), 3),
    "one pixel, right": (some([1], (1, 1)), some([1], (1, 1)), 2),
    "one pixel, wrong": (some([1], (1, 1)), some([0], (1, 1)), 2),
    "one labeled pixel": (np.where(np.arange(713) == 9, 1, 255).reshape(23, 31), some([0, 1]), 3),
    "255 classes": (some([*range(256)]), some([*range(255)]), 255),
    "255 classes, the last alone": (some([254, 255]), some([254]), 255),
    "two classes": (some([0, 1]), some([0, 1]), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_torchmetrics(case: str) -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.classification")
    truth, predicted, classes = CASES[case]
    ours = ConfusionMatrix(classes)
    ours.update(truth, predicted)
    tensors = [torch.from_numpy(x.astype(np.int64)) for x in (predicted, truth)]

    def theirs(kind: str, **how: str) -> np.ndarray:
        metric = getattr(metrics, f"Multiclass{kind}")(classes, ignore_index=255, **how)
        metric.update(*tensors)
        return metric.compute().numpy()

    assert (ours.counts == theirs("ConfusionMatrix")).all()
    assert ours.miou == pytest.approx(float(theirs("JaccardIndex", average="macro")), abs=1e-6)
    # where a class has no score, theirs is 0
    for found, kind in ((ours.iou, "JaccardIndex"), (ours.accuracy, "Recall")):
        expected = theirs(kind, average="none")
        assert np.nan_to_num(found) == pytest.approx(expected, abs=1e-6)
        assert not expected[np.isnan(found)].any()
    assert ours.pixel_accuracy == pytest.approx(float(theirs("Accuracy", average="micro")))


class AllAlike(Backend):
    """A backend that cannot decide: every class has the same logit."""

    def infer(self, image_hwc: np.ndarray) -> np.ndarray:
        return np.full((3, *image_hwc.shape[:2]), 0.25, np.float32)


def test_a_tie_goes_to_the_lower_class_and_is_scored_so(small_data: Path) -> None:
    names, colors = ("sky", "road", "car"), ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    card = Card(
        network=NetworkCard(name="all_alike", classes=3),
        labels=LabelsCard(names=names, colors=colors),
    )
    found = evaluate(Predictor(AllAlike(), card), open_dataset(small_data))
    truths = [read_image(path)[..., 0] for path in (small_data / "labels/val").iterdir()]
    labeled = sum(int((truth != 255).sum()) for truth in truths)
    sky = sum(int((truth == 0).sum()) for truth in truths)
    # sky is predicted everywhere; the others are true somewhere and found nowhere
    assert found.to_json()["classes"]["sky"] == {
        "iou": pytest.approx(sky / labeled),
        "accuracy": 1.0,
    }
    assert found.miou == pytest.approx(sky / labeled / 3)


def scored(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> Evaluation:
    total, images = ConfusionMatrix(classes), []
    for index, (truth, predicted) in enumerate(pairs):
        one = ConfusionMatrix(classes)
        one.update(truth, predicted)
        total.add(one)
        images.append(ImageScore.of(f"image{index}", one))
    names = tuple(f"class{index}" for index in range(classes))
    return Evaluation(total, names, tuple(images), "net", "folder", "val", (1.0,), False)


def some_pairs(images: int, classes: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images that differ in how wrong they are; the last class is in few of them."""
    own = np.random.default_rng(3)
    pairs = []
    for index in range(images):
        there = [*range(classes - 1), 255] if index % 9 else [*range(classes)]
        truth = own.choice(there, (12, 16)).astype(np.uint8)
        wrong = own.random(truth.shape) < own.uniform(0, 0.8)
        noise = own.integers(0, classes, truth.shape)
        pairs.append((truth, np.where(wrong | (truth == 255), noise, truth).astype(np.uint8)))
    return pairs


def plain_miou(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> float:
    truth = np.concatenate([t.ravel() for t, _ in pairs])
    seen = np.concatenate([p.ravel() for _, p in pairs])[truth != 255]
    truth = truth[truth != 255]
    each = []
    for c in range(classes):
        either = ((truth == c) | (seen == c)).sum()
        if either:
            each.append(((truth == c) & (seen == c)).sum() / either)
    return sum(each) / len(each) if each else math.nan


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    pairs = some_pairs(40)
    found = scored(pairs, 4)
    own = np.random.default_rng(8)
    drawn = [own.integers(0, len(pairs), len(pairs)) for _ in range(2000)]
    plain = [plain_miou([pairs[i] for i in places], 4) for places in drawn]
    low, high = np.quantile(plain, (0.025, 0.975))
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["miou_interval"] == pytest.approx([low, high], abs=0.1 * (high - low))
    assert written["miou_interval"][0] < written["miou"] < written["miou_interval"][1]
    assert (written["miou_interval_level"], written["miou_interval_resamples"]) == (0.95, 10_000)
    assert scored(pairs, 4).miou_interval == found.miou_interval  # seeded


def test_more_images_say_more() -> None:
    intervals = [scored(some_pairs(n), 4).miou_interval for n in (9, 36, 144)]
    widths = [high - low for low, high in intervals]
    assert widths[0] > 1.5 * widths[1] > 1.5**2 * widths[2] > 0


def test_equal_images_leave_no_doubt_and_one_image_says_nothing_of_others() -> None:
    pair = some_pairs(1)
    assert scored(pair, 4).miou_interval == (None, None)
    same = scored(pair * 5, 4)
    assert same.miou_interval == pytest.approx((same.miou, same.miou))
    assert scored(pair, 4).to_json()["miou_interval"] is None


def test_resampling_many_images_of_many_classes_is_bounded() -> None:
    """A table of 3000 images takes several passes; each draw still has every image once on
    average, and a class without a pixel never gets a score."""
    table = np.zeros((3, 3000, 5), np.int64)
    table[:, :, 1] = 7
    scores = resampled(table)[0]
    assert scores.shape == (RESAMPLES, 6)
    assert (scores[:, [0, 2]] == 1).all()
    assert np.isnan(scores[:, [1, 3, 4, 5]]).all()
    assert miou_interval(table) == (1.0, 1.0)


def test_the_table_states_the_interval_and_how_absent_classes_count(
    command, weights_file: Path, small_data: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    file = tmp_path / "scores.json"
    done = command("evaluate", weights_file, "--data", small_data, "--json", file)
    scores = json.loads(file.read_text())
    low, high = (f"{100 * x:.2f} %" for x in scores["miou_interval"])
    row = next(line for line in done.out.splitlines() if line.startswith("mIoU"))
    assert row.endswith(f"%   95 % interval over images: {low} to {high}")
    assert "has IoU 0 and counts in the mean" in done.out
    assert "has no IoU and is left out of the mean (-)" in done.out
    assert scores["absent_classes"] == [
        name for name, one in scores["classes"].items() if one["iou"] is None
    ]
    assert "left out of the mean" in scores["absent_classes_rule"]

    for path in sorted((small_data / "labels/val").iterdir())[1:]:
        path.unlink()
        (small_data / "images/val" / path.name).unlink()
    alone = command("evaluate", weights_file, "--data", small_data)
    assert "no interval from a single image" in alone.out


def test_a_split_all_ignored_is_an_error_and_no_score(command, weights_file, small_data) -> None:
    for path in (small_data / "labels/val").iterdir():
        write_png(path, np.full_like(read_image(path)[..., 0], 255))
    done = command("evaluate", weights_file, "--data", small_data)
    assert (done.status, done.out) == (1, "")
    assert "is ignored, so there is nothing to score" in done.err
