"""Score differences and their intervals, against a bootstrap written as a plain loop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.evaluation.accuracy import Evaluation, ImageScore

NAMES = ("sky", "road", "car", "never")


def predictions(seed: int, wrong: float, images: int = 30) -> list[tuple[np.ndarray, np.ndarray]]:
    """(truth, prediction) of each image; the truth is the same for every seed."""
    scenes, errors = np.random.default_rng(0), np.random.default_rng(seed)
    made = []
    for index in range(images):
        truth = scenes.integers(0, 2 + (index % 3 == 0), (20, 30)).astype(np.uint8)
        share = wrong * errors.uniform(0, 2)
        noise = errors.integers(0, 3, truth.shape).astype(np.uint8)
        made.append((truth, np.where(errors.random(truth.shape) < share, noise, truth)))
    return made


def write_scores(run: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    total, images = ConfusionMatrix(len(NAMES)), []
    for index, (truth, predicted) in enumerate(pairs):
        one = ConfusionMatrix(len(NAMES))
        one.update(truth, predicted.astype(np.uint8))
        total.add(one)
        images.append(ImageScore.of(f"image{index}", one))
    result = Evaluation(total, NAMES, tuple(images), "fast_scnn", "folder", "val", (1.0,), False)
    (run / "scores.json").write_text(json.dumps(result.to_json()))


def iou(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """IoU of each class over these images together, then their mean; pixel by pixel."""
    truth = np.concatenate([t.ravel() for t, _ in pairs])
    seen = np.concatenate([p.ravel() for _, p in pairs])
    both = [((truth == c) & (seen == c)).sum() for c in range(len(NAMES))]
    either = [((truth == c) | (seen == c)).sum() for c in range(len(NAMES))]
    each = [b / e if e else float("nan") for b, e in zip(both, either, strict=True)]
    return [*each, float(np.nanmean(each))]


@pytest.fixture
def runs(run_of):
    """Two runs with scores, and what they were made from."""
    made = predictions(1, 0.2), predictions(2, 0.3)
    folders = run_of("a", [1.0, 0.5]), run_of("b", [1.0, 0.5])
    for folder, pairs in zip(folders, made, strict=True):
        write_scores(folder, pairs)
    return folders, made


def test_intervals_are_those_of_a_plain_bootstrap(runs, found) -> None:
    folders, (a, b) = runs
    scores = found(*folders)["scores"]
    rng = np.random.default_rng(99)
    gaps = []
    for _ in range(1500):
        drawn = rng.integers(0, len(a), len(a))
        gaps.append(np.subtract(iou([b[i] for i in drawn]), iou([a[i] for i in drawn])))
    low, high = np.nanquantile(np.array(gaps)[:, [0, 1, 2, 4]], (0.025, 0.975), axis=0)
    widths = high - low
    for place, name in enumerate(("sky", "road", "car", "mean")):
        one = scores["miou"] if name == "mean" else scores["classes"][name]
        index = (*NAMES, "mean").index(name)
        assert one["a"] == pytest.approx(iou(a)[index])
        assert one["difference"] == pytest.approx(iou(b)[index] - iou(a)[index])
        assert one["low"] == pytest.approx(low[place], abs=0.12 * widths[place])
        assert one["high"] == pytest.approx(high[place], abs=0.12 * widths[place])
        assert one["low"] < one["difference"] < one["high"]
    none = {"a": None, "b": None, "difference": None, "low": None, "high": None}
    assert scores["classes"]["never"] == none
    assert (scores["images"], scores["resamples"], scores["split"]) == (30, 10_000, "val")


def test_the_same_call_gives_the_same_interval(runs, found) -> None:
    assert found(*runs[0])["scores"] == found(*runs[0])["scores"]


def test_pairing_sees_what_two_separate_intervals_would_not(run_of, found) -> None:
    """B is a little worse on every image, far less than the images differ among themselves."""
    a = predictions(1, 0.25)
    b = [(t, np.where(np.arange(t.size).reshape(t.shape) % 40 == 0, 1 - t % 2, p)) for t, p in a]
    folders = run_of("a", [1.0]), run_of("b", [1.0])
    for folder, pairs in zip(folders, (a, b), strict=True):
        write_scores(folder, pairs)
    mean = found(*folders)["scores"]["miou"]
    spread = np.std([iou([pair])[-1] for pair in a]) / np.sqrt(len(a))
    assert mean["high"] < 0
    assert mean["high"] - mean["low"] < 2 * spread


def test_the_table(runs, command) -> None:
    out = command("compare", *runs[0]).out
    assert "scores on 30 images of 'val', in percent" in out
    row = next(line for line in out.splitlines() if line.startswith("road"))
    assert row.endswith("*")
    row = next(line for line in out.splitlines() if line.startswith("never"))
    assert row.split() == ["never", "-", "-", "-", "-"]
    assert "EQUAL TO THE LAST BIT of the logs" in out  # the verdict is on the losses


def test_classes_in_another_order_are_the_same(runs, found) -> None:
    (a, b), _ = runs
    before = found(a, b)["scores"]
    scores = json.loads((b / "scores.json").read_text())
    order = [2, 0, 3, 1]
    classes = [*scores["classes"].items()]
    for image in scores["images"]:
        for part in ("intersection", "truth", "predicted"):
            image[part] = [image[part][i] for i in order]
    change(b / "scores.json", classes=dict(classes[i] for i in order), images=scores["images"])
    assert found(a, b)["scores"] == before


def test_losses_that_are_equal_where_the_scores_are_not_are_doubted(run_of, command) -> None:
    a, b = run_of("a", [1.0, 0.5]), run_of("b", [1.0, 0.501])
    for folder, wrong in ((a, 0.1), (b, 0.5)):
        write_scores(folder, predictions(1, wrong))
    last = command("compare", a, b).out.splitlines()[-1]
    assert last.startswith("EQUAL within the rule")
    assert "; compared at 2 points alone, which says little; but B's mIoU is -" in last


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_what_cannot_be_paired_is_told(runs, found, command) -> None:
    a, b = runs[0]
    whole = json.loads((b / "scores.json").read_text())
    images = whole["images"]

    def note(**values: object) -> str:
        change(b / "scores.json", **(whole | values))
        scores = found(a, b)["scores"]
        assert scores["miou"]["difference"] is not None
        assert scores["miou"]["low"] is None
        assert scores["note"] in command("compare", a, b).out
        return scores["note"]

    older = [{k: image[k] for k in ("name", "miou", "pixel_accuracy")} for image in images]
    assert note(images=older).startswith("no intervals: the scores of B lack each image's counts")
    assert "differing images (30 and 29, as image29)" in note(images=images[:-1])
    moved = [*images[:3], images[3] | {"truth": [1, 2, 3, 4]}, *images[4:]]
    assert note(images=moved) == (
        "no intervals: the labels of image image3 were not the same for both"
    )
    other = {"classes": {"sky": {"iou": 0.5, "accuracy": 0.5}}, "confusion": []}
    change(b / "scores.json", **(whole | other))
    result = found(a, b)
    assert result["scores"] is None
    assert "the scores are of differing classes: A has sky, road" in result["scores_note"]


def test_scores_that_were_not_made_alike_are_said_to_be(runs, found, command) -> None:
    a, b = runs[0]
    assert found(a, b)["scores"]["warning"] == ""
    change(b / "scores.json", scales=[0.5, 1], flip=True, label_size=[32, 64])
    warning = found(a, b)["scores"]["warning"]
    assert warning == (
        "not scored alike: A on whole images, B at scales 0.5, 1 and mirrored, labels resized to "
        "32x64"
    )
    assert f"warning: {warning}" in command("compare", a, b).out
    change(a / "scores.json", scales=[0.5, 1], flip=True, label_size=[32, 64])
    assert found(a, b)["scores"]["warning"] == ""


def test_the_order_of_the_images_does_not_matter(runs, found) -> None:
    a, b = runs[0]
    before = found(a, b)["scores"]
    change(b / "scores.json", images=json.loads((b / "scores.json").read_text())["images"][::-1])
    assert found(a, b)["scores"] == before


def test_damaged_scores_are_named(runs, refused) -> None:
    (runs[0][1] / "scores.json").write_text('{"miou": 1}')
    message = refused(*runs[0], status=1)
    told = "scores.json: pixel_accuracy: Field required; write it again with `briskseg evaluate"
    assert told in message


def test_runs_without_scores_have_none(run_of, found) -> None:
    result = found(run_of("a", [1.0]), run_of("b", [1.0]))
    assert (result["scores"], result["scores_note"], result["same_weights"]) == (None, None, None)
