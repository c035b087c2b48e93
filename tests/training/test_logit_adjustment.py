"""Logit adjustment: its offsets against brute force, and through the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from briskseg.core.card import read_card
from briskseg.core.images import write_png
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.training.logit_adjustment import fit_offsets

WORDS = [
    "--set=data.size=null",
    "--set=training.batch=4",
    "--set=training.epochs=4",
    "--set=training.precision=float32",
    "--set=training.optimizer.lr=1e-3",
]


def unwatched(done: int, total: int) -> None:
    assert 0 < done <= total


def miou(logits_pc: np.ndarray, labels_p: np.ndarray) -> float:
    matrix = ConfusionMatrix(logits_pc.shape[1])
    matrix.update(labels_p[None].astype(np.uint8), logits_pc.argmax(1)[None].astype(np.uint8))
    return matrix.miou


def test_shifted_logits_are_shifted_back() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 20_000, p=[0.7, 0.2, 0.07, 0.03])
    logits = rng.normal(0, 0.2, (20_000, 4)).astype(np.float32)
    logits[np.arange(20_000), labels] += 2
    shifted = logits + np.array([0, 2.5, -1, 1.5], np.float32)
    offsets, before, after = fit_offsets(shifted, labels, unwatched)
    assert before == pytest.approx(miou(shifted, labels))
    assert before < 0.5
    assert after == pytest.approx(miou(shifted + offsets, labels), abs=1e-4)
    assert after > 0.99


def test_what_gains_nothing_stays() -> None:
    labels = np.arange(3000) % 3
    logits = np.full((3000, 3), -1.0, np.float32)
    logits[np.arange(3000), labels] = 1  # nothing is in doubt
    offsets, before, after = fit_offsets(logits, labels, unwatched)
    assert before == after == 1
    assert not offsets.any()


def test_no_single_offset_does_better() -> None:
    rng = np.random.default_rng(1)
    labels = rng.choice([0, 1, 3], 9000, p=[0.8, 0.15, 0.05])  # 2 does not occur
    logits = rng.normal(0, 1, (9000, 4)).astype(np.float32)
    logits[:, 2] -= 9
    logits[np.arange(9000), labels] += 1
    offsets, before, after = fit_offsets(logits, labels, unwatched)
    assert offsets[2] == 0
    assert before + 0.05 < after == pytest.approx(miou(logits + offsets, labels), abs=1e-4)
    for c in (0, 1, 3):
        for offset in np.arange(-3, 3, 0.25, dtype=np.float32):
            other = offsets.copy()
            other[c] = offset
            assert miou(logits + other, labels) < after + 1e-4


def test_a_class_of_few_pixels_is_not_fitted_to_chance_but_counts() -> None:
    rng = np.random.default_rng(2)
    labels = rng.choice(3, 9000, p=[0.6, 0.38, 0.02])  # some 180 of class 2
    logits = rng.normal(0, 0.2, (9000, 3)).astype(np.float32)
    logits[np.arange(9000), labels] += 2
    logits[:, 0] += 3  # hides both others
    offsets, before, after = fit_offsets(logits, labels, unwatched)
    assert offsets[2] == 0
    assert before < 0.5
    assert 0.95 < after == pytest.approx(miou(logits + offsets, labels))


def test_a_class_that_train_lacks_costs_what_it_costs_a_score() -> None:
    rng = np.random.default_rng(3)
    labels = rng.choice(2, 9000, p=[0.8, 0.2])
    logits = rng.normal(0, 1, (9000, 3)).astype(np.float32)
    logits[np.arange(9000), labels] += 1
    logits[:, 2] += 0.5
    offsets, before, after = fit_offsets(logits, labels, unwatched)
    assert before == pytest.approx(miou(logits, labels))
    assert before < after == pytest.approx(miou(logits + offsets, labels))


def test_a_run_ends_with_its_last_bias_fitted_once(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    plain, run = tmp_path / "plain", tmp_path / "run"
    words = ["train", "demo", "--data", streets, *WORDS]
    assert command(*words, "--out", plain).status == 0
    adjusted = [*words, "--out", run, "--set=training.logit_adjustment=true"]
    done = command(*adjusted)
    assert done.status == 0, done.err
    assert "predicting on train 1/" in done.err
    assert "adjusting the logits 1/" in done.err

    card = read_card(run / "model.safetensors")
    offsets = card.training["logit_adjustment"]
    assert isinstance(offsets, dict)
    assert list(offsets) == list(card.labels.names)
    gained = card.training["train_miou"]
    told = f"train mIoU {gained['before']:.4f} before, {gained['adjusted']:.4f} now"
    assert f"logits are adjusted: {told}" in done.err
    before, after = load_file(plain / "model.safetensors"), load_file(run / "model.safetensors")
    moved = {key for key in after if not np.array_equal(before[key], after[key])}
    assert len(moved) == 1
    bias = moved.pop()
    assert np.allclose(after[bias] - before[bias], list(offsets.values()), atol=0.006)

    scores = [score(command, model, streets, tmp_path, "train") for model in (plain, run)]
    assert scores[0] < scores[1]
    on_val = score(command, run, streets, tmp_path, "val")
    assert card.scores["val_miou"] == on_val
    assert json.loads((run / "scores.json").read_text())["miou"] == on_val

    kept = contents(run)
    (run / "scores.json").unlink()  # as if it had been stopped before it was scored
    assert command(*adjusted, "--resume").status == 0
    assert contents(run) == kept


@pytest.mark.parametrize("length", ["epochs=3", "steps=4"])
def test_a_run_stopped_after_its_last_step_ends_the_same(
    streets: Path, tmp_path: Path, command: Callable, length: str
) -> None:
    """It ends between two validations, and is validated once more, adjusted and scored."""
    words = ["train", "demo", "--data", streets, "--out", tmp_path, *WORDS]
    words += [f"--set=training.{length}", "--set=training.validate_every=2"]
    words += ["--set=training.logit_adjustment=true"]
    assert command(*words).status == 0
    kept = contents(tmp_path)
    (tmp_path / "scores.json").unlink()
    assert command(*words, "--resume").status == 0
    assert contents(tmp_path) == kept


def contents(run: Path) -> dict[str, bytes]:
    """What a run leaves, but for checkpoints, events and wall time."""
    found = {}
    for path in sorted(run.rglob("*")):
        if path.is_file() and path.suffix in {".safetensors", ".json", ".png"}:
            found[str(path.relative_to(run))] = path.read_bytes()
    rows = (run / "metrics.csv").read_text().splitlines()
    found["places"] = "\n".join(",".join(row.split(",")[:2]) for row in rows).encode()
    return found


def test_without_a_labeled_pixel_nothing_is_adjusted(
    tmp_path: Path, small_data: Path, command: Callable
) -> None:
    first = small_data / "labels/train/street0.png"
    write_png(first, np.full((40, 64), 255, np.uint8))
    for kind in ("images", "labels"):  # a step of batch norm takes two
        file = small_data / kind / "train" / "street0.png"
        shutil.copy(file, file.with_name("street1.png"))
    words = ["train", "demo", "--data", small_data, "--out", tmp_path / "run", *WORDS]
    words += ["--no-check", "--set=training.batch=2", "--set=training.loss.class_weights=none"]
    done = command(*words, "--set=training.logit_adjustment=true")
    assert done.status == 0, done.err
    assert "logits are not adjusted: train has no labeled pixel" in done.err


def score(command: Callable, model: Path, data: Path, folder: Path, split: str) -> float:
    out = folder / "scores.json"
    assert command("evaluate", model, "--data", data, "--split", split, "--json", out).status == 0
    found: float = json.loads(out.read_text())["miou"]
    return found
