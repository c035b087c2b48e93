"""briskseg bench, through the command: what it measures, writes, answers and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from briskseg.benchmark.layers import count_work
from briskseg.benchmark.speed import LEAST, ROUNDS, Candidate, Timing
from briskseg.benchmark.speed_report import pareto_front
from briskseg.benchmark.worker import STAGES
from briskseg.core.card import load_weights, save_weights
from briskseg.models import MODELS

SIZE = (48, 64)


@pytest.fixture
def model(weights_file: Path, tmp_path: Path) -> Path:
    """The small network with an input size and a score in its card."""
    tensors, card = load_weights(weights_file)
    sized = card.input.model_copy(update={"size": SIZE})
    path = tmp_path / "model.safetensors"
    save_weights(
        path, tensors, card.model_copy(update={"input": sized, "scores": {"val_miou": 0.25}})
    )
    return path


def test_everything_is_measured_and_a_budget_met(command, model: Path, tmp_path: Path) -> None:
    report, picture = tmp_path / "speed.json", tmp_path / "speed.png"
    words = ["--backend", "torch", "--threads", 1, "--seconds", 0.01, "--budget", "1000000ms"]
    done = command("bench", model, *words, "--json", report, "--plot", picture)
    assert done.status == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 100
    assert "1000000ms is met" in done.out
    rows = done.out.splitlines()
    start = next(n for n, row in enumerate(rows) if row.startswith("torch float32 "))
    assert rows[start + 2].split()[:2] == ["model.safetensors", "p99"]
    assert "mIoU 25.00 %" in done.out
    found = json.loads(report.read_text("utf-8"))
    (one,) = found["candidates"]
    assert (one["backend"], one["precision"], one["threads"]) == ("torch", "float32", 1)
    assert one["ran"] == {"file": str(model), "backend": "torch", "precision": "float32"}
    assert one["size"] == list(SIZE)
    assert one["frames"] >= ROUNDS * LEAST
    assert tuple(one["milliseconds"]) == (*STAGES, "labels", "whole")
    for times in one["milliseconds"].values():
        assert 0 <= times["p50"] <= times["p95"] <= times["p99"]
    assert one["milliseconds"]["labels"]["p50"] <= one["milliseconds"]["whole"]["p50"]
    assert one["file_bytes"] == model.stat().st_size
    assert one["peak_memory"] > one["file_bytes"]
    assert one["flop"] == count_work(load_weights(model)[1].network, SIZE).flop
    (peaks,) = found["peaks"]
    seconds = one["milliseconds"]["inference"]["p50"] / 1e3
    assert one["peak_share"] == pytest.approx(one["flop"] / seconds / peaks["float32"])
    assert found["budget"] == {
        "milliseconds": 1e6, "met": True, "over": 0, "candidate": 0, "miou": 0.25,
    }  # fmt: skip
    assert len(Image.open(picture).convert("RGB").getcolors(100_000)) > 10


def test_all_shows_what_nothing_beats_in_accuracy_and_time(
    command, model: Path, tmp_path: Path
) -> None:
    """Three files of one network, so of nearly one speed: the most accurate is never beaten."""
    tensors, card = load_weights(model)
    others = [tmp_path / "best.safetensors", tmp_path / "unscored.safetensors"]
    for path, scores in zip(others, ({"val_miou": 0.5}, {}), strict=True):
        save_weights(path, tensors, card.model_copy(update={"scores": scores}))
    report, picture = tmp_path / "front.json", tmp_path / "front.png"
    words = ["--backend", "torch", "--threads", 1, "--seconds", 0.01, "--all"]
    done = command("bench", model, *others, *words, "--json", report, "--plot", picture)
    assert done.status == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 100
    found = {Path(one["model"]).stem: one for one in json.loads(report.read_text())["candidates"]}
    assert [found[name]["miou"] for name in ("model", "best", "unscored")] == [0.25, 0.5, None]
    assert found["best"]["on_front"]
    assert not found["unscored"]["on_front"]
    times = {name: one["milliseconds"]["labels"]["p50"] for name, one in found.items()}
    assert found["model"]["on_front"] == (times["model"] < times["best"])
    rates = done.out[done.out.index("file MB") : done.out.index("Accuracy against time")]
    assert all(f"{name}: torch float32" in rates for name in found)
    rows = done.out[done.out.index("Accuracy against time") :].splitlines()
    assert {row.split(":")[0] for row in rows if row.endswith("*")} == {
        name for name, one in found.items() if one["on_front"]
    }
    assert len(Image.open(picture).convert("RGB").getcolors(100_000)) > 10


def test_models_whose_names_would_meet_are_told_apart(
    command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = ("lr0.1", "lr0.2", "a/best", "b/best")
    for run in runs:
        Path(run).mkdir(parents=True)
        shutil.copy(model, Path(run) / "model.safetensors")
    done = command("bench", *runs, "--backend", "torch", "--threads", 1, "--seconds", 0.01)
    assert done.status == 0, done.err
    times, rates = done.out.split("file MB")
    for run in runs:
        assert f"\n{run}: model.safetensors " in times
        assert f"\n{run}: torch float32, " in rates


def test_all_without_models_takes_the_networks_with_their_published_scores(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: MODELS[name] for name in ("efficientvit_b0", "lite_seg")}
    few["efficientvit_b0"] = few["efficientvit_b0"]._replace(published=(0.7565, SIZE))
    monkeypatch.setattr("briskseg.benchmark.untrained.MODELS", few)
    words = ["--backend", "torch", "--threads", 1, "--seconds", 0.01]
    done = command("bench", "--all", *words, "--json", "-")
    assert done.status == 0, done.err
    (one,) = json.loads(done.out)["candidates"]  # none is published for ours
    assert one["model"] == "efficientvit_b0"
    assert (one["miou"], one["on_front"], one["size"]) == (0.7565, True, list(SIZE))


def test_networks_of_random_weights_are_not_scored_on_data(command, streets: Path) -> None:
    done = command("bench", "--all", "--data", streets)
    assert done.status == 2
    assert "networks of random weights, which --data cannot score; name trained ones" in done.err


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.one_of(st.none(), st.integers(0, 9))), min_size=1))
def test_the_front_is_what_none_beats(points: list[tuple[int, int | None]]) -> None:
    timings, scores = [], {}
    for number, (milliseconds, score) in enumerate(points):
        candidate = Candidate(f"{number}", Path("x"), "torch", "float32", None, SIZE)
        rounds = [[{"read": milliseconds, "resize": 0, "inference": 0, "decode": 0}]]
        timings.append(Timing(candidate, 1, rounds))
        scores[candidate] = score
    found = {points[int(one.candidate.model)] for one in pareto_front(timings, scores)}
    scored = [point for point in points if point[1] is not None]
    assert found == {
        (ms, score)
        for ms, score in scored
        if not any((a <= ms and b >= score and (a, b) != (ms, score)) for a, b in scored)
    }


def test_an_export_is_made_for_the_measurement_and_a_missed_budget_is_told(
    command, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    words = ["--backend", "onnx", "--threads", 1, "--seconds", 0.01, "--budget", "0.00001ms"]
    done = command("bench", model, *words, "--json", "-")
    assert done.status == 1, done.err
    found = json.loads(done.out)
    assert [one["backend"] for one in found["candidates"]] == ["onnx"]
    assert found["budget"]["met"] is False
    labels = found["candidates"][0]["milliseconds"]["labels"]["p50"]
    assert found["budget"]["over"] == pytest.approx(labels - 0.00001)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]  # nothing is left


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--budget", "soon"], "--budget soon is no budget, expected for example 30fps or 33ms"),
        (["--backend", "onyx"], "unknown backend 'onyx'; did you mean 'onnx'"),
        (["--data", "streets"], "--data scores candidates for --budget or --all; add one of them"),
        (["--seconds", "0"], "--seconds 0: expected a number above 0"),
        (["--threads", "0"], "--threads 0: expected at least 1"),
        (["--size", "big"], "--size big is no size, expected HxW"),
        (["--plot", "speed.gif"], "speed.gif is no kind of picture"),
        (["--json", "nowhere/x.json"], "the folder nowhere is not there"),
        (["--backend", "torch", "--image", "nowhere.png"], "--image nowhere.png is no file"),
    ],
)
def test_wrong_requests_are_a_sentence(command, model: Path, words: list[str], told: str) -> None:
    done = command("bench", model, *words)
    assert done.status == 2
    assert told in done.err
    assert done.out == ""


def test_a_network_for_any_size_must_be_told_one(command, weights_file: Path) -> None:
    done = command("bench", weights_file, "--backend", "torch")
    assert done.status == 2
    assert "takes images of any size, and its speed depends on it" in done.err
