"""briskseg compare on real runs: the same seed twice, and another seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

TINY = [
    "--set=data.size=null",
    "--set=training.batch=4",
    "--set=training.epochs=4",
    "--set=training.log_every=1",
    "--set=training.precision=float32",
]


def test_a_run_too_short_for_a_row_is_trained_as_is_said(
    command, streets: Path, tmp_path: Path
) -> None:
    few = [word for word in TINY if "log_every" not in word]
    words = ("train", "demo", "--data", streets, *few, "--set=training.epochs=1", "--out")
    assert command(*words, tmp_path / "short").status == 0
    refused = command("compare", tmp_path / "short", tmp_path / "short")
    assert refused.status == 2
    cure = refused.err.split("or train it with ")[1].split()
    assert command(*words, tmp_path / "again", *cure).status == 0
    assert command("compare", tmp_path / "again", tmp_path / "again").status == 0


def test_the_same_seed_is_equal_to_the_last_bit_and_another_is_not(
    command, streets: Path, tmp_path: Path
) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 5)):
        words = ("train", "demo", "--data", streets, "--out", tmp_path / name, *TINY)
        assert command(*words, f"--set=training.seed={seed}").status == 0
    done = command("compare", tmp_path / "one", tmp_path / "two")
    assert done.status == 0
    assert "model.safetensors  equal to the last bit" in done.out
    assert done.out.splitlines()[-1].startswith("EQUAL TO THE LAST BIT of the logs: MeanRelative")
    words = ("compare", tmp_path / "one", tmp_path / "other")
    done = command(*words, "--mre", "0.001", "--json", tmp_path / "found.json")
    assert done.status == 1
    assert "model.safetensors  not the same bits" in done.out
    assert "NOT EQUAL: MeanRelativeError" in done.out
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["points"], found["first_difference"]) == (12, 1)
    assert found["scores"]["note"] == ""
    miou = [
        json.loads((tmp_path / n / "scores.json").read_text())["miou"] for n in ("one", "other")
    ]
    assert [found["scores"]["miou"][which] for which in "ab"] == miou
    # the run's own TensorBoard file says the same, in float32
    events = next((tmp_path / "two").glob("events.*"))
    done = command("compare", tmp_path / "one", events, "--json", "-")
    assert json.loads(done.out)["mean_relative_error"] < 1e-7
    assert done.status == 0
