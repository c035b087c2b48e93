"""Training through the command: what a run leaves, resumes, and refuses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from tests.training.conftest import checkpoint, rows

from briskseg.cli import main
from briskseg.core.card import read_card
from briskseg.core.images import write_png
from briskseg.data.synthetic import draw_dataset
from briskseg.runs.run_folder import RunFolder
from briskseg.training.loggers import MLflow

BRISKSEG = Path(sys.executable).with_name("briskseg")
SMALL = [
    "--set=data.size=null",
    "--set=training.batch=4",
    "--set=training.epochs=2",
    "--set=training.validate_every=1",
    "--set=training.log_every=1",
    "--set=training.precision=float32",
]


@pytest.fixture(scope="module")
def run(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs with every kind of output."""
    out = tmp_path_factory.mktemp("runs") / "first"
    words = ["train", "demo", "--data", str(streets), "--out", str(out), *SMALL]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["briskseg", *words, "--set=training.snapshots=true"])
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
    return out


def test_a_run_folder_holds_what_was_promised(run: Path) -> None:
    found = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}
    assert {
        "recipe.yaml", "metrics.csv", "model.safetensors", "scores.json", "class_counts.json",
        "report.html",
        "checkpoints/last.ckpt", "checkpoints/epoch-001.safetensors",
        "checkpoints/epoch-002.safetensors", "film/image-0.png", "film/truth-3.png",
        "film/epoch-0001-0.png", "film/epoch-0002-3.png",
    } <= found  # fmt: skip
    assert len([name for name in found if name.startswith("events.")]) == 1
    assert len([name for name in found if name.startswith("examples/")]) == 18
    assert yaml.safe_load((run / "recipe.yaml").read_text())["training"]["batch"] == 4


def test_what_was_understood_is_said_before_the_first_step(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, *SMALL, "--set=training.precision=float32"]
    done = command(*words, "--device", "cpu", "--out", tmp_path / "run")
    assert done.status == 0, done.err
    said = done.err[: done.err.index("training 1/6")].splitlines()
    (line,) = [number for number, text in enumerate(said) if text.startswith("11 classes: ")]
    classes, how = said[line : line + 2]
    assert re.fullmatch(
        r"11 classes: Sky, Building, .* \.\.\.; 12 images in train, 4 in val", classes
    )
    assert how == "fast_scnn at 48x64, batches of 4, 6 steps (2.0 epochs), float32 on cpu"
    assert max(map(len, (classes, how))) <= 100


def test_a_run_that_stopped_before_its_first_validation_goes_on_as_is_said(
    run: Path, tmp_path: Path, command: Callable
) -> None:
    stopped = tmp_path / "my run"
    stopped.mkdir()
    shutil.copy(run / "recipe.yaml", stopped)  # which is written before the first step
    told = command("evaluate", stopped, "--data", "streets").err
    assert "no validation of it has finished" in told
    line = told.rpartition("stopped by: ")[2]
    done = command(*shlex.split(line)[1:])
    assert done.status == 0, done.err
    assert (stopped / "scores.json").is_file()


def test_the_report_is_that_of_the_verb(run: Path, command: Callable) -> None:
    left = (run / "report.html").read_text()
    assert "not finished" not in left
    assert command("report", run).status == 0
    assert (run / "report.html").read_text() == left


def test_a_run_that_is_done_does_not_fail_by_its_report(
    streets: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = tmp_path / "run"
    done = command("train", "demo", "--data", streets, "--out", run, *SMALL)
    assert done.status == 0, done.err
    assert "there is no report: the picture needs the package 'matplotlib'" in done.err
    assert f"then: briskseg report {run}" in done.err
    assert (run / "scores.json").is_file()


def test_metrics_have_a_row_a_step_and_a_row_a_validation(run: Path) -> None:
    table = rows(run)
    steps = [r for r in table if r["loss"]]
    validations = [r for r in table if r["val_miou"]]
    assert [int(r["step"]) for r in steps] == [1, 2, 3, 4, 5, 6]
    assert [int(r["samples"]) for r in steps] == [4, 8, 12, 16, 20, 24]
    assert [(int(r["step"]), int(r["epoch"])) for r in validations] == [(3, 1), (6, 2)]
    assert float(validations[0]["val_iou/Road"]) >= 0
    assert all(float(r["images_per_s"]) > 0 for r in steps)


def test_tensorboard_reads_the_same_numbers(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run))
    events.Reload()
    logged = [e.value for e in events.Scalars("loss")]
    assert logged == pytest.approx([float(r["loss"]) for r in rows(run) if r["loss"]], rel=1e-4)


def test_scores_are_those_of_the_shipped_weights(
    run: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    out = tmp_path / "again.json"
    assert command("evaluate", run, "--data", streets, "--json", out).status == 0
    scores, again = json.loads((run / "scores.json").read_text()), json.loads(out.read_text())
    assert scores["miou"] == again["miou"]
    assert scores["network"] == again["network"] == "fast_scnn"
    assert "model" not in scores  # which is what a user named, as in `again`
    best = max(float(r["val_miou"]) for r in rows(run) if r["val_miou"])
    assert scores["miou"] == pytest.approx(best, abs=2e-3)  # the log is rounded, bf16 is not used


def test_the_card_says_what_was_trained(run: Path) -> None:
    import briskseg

    card = briskseg.load(run).card
    assert card.network.name == "fast_scnn"
    assert card.labels.names[0] == "Sky"
    assert card.training["recipe"] == "demo"
    assert 0 <= card.scores["val_miou"] <= 1


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    run: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, *SMALL]
    for name, change in (("same", "training.workers=2"), ("other", "training.seed=1")):
        assert command(*words, "--out", tmp_path / name, f"--set={change}").status == 0
    first, same, other = (
        load_file(folder / "model.safetensors")
        for folder in (run, tmp_path / "same", tmp_path / "other")
    )
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_ctrl_c_saves_and_a_resumed_run_ends_with_the_same_weights(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", str(streets), *SMALL, "--set=training.epochs=6"]
    assert command(*words, "--out", tmp_path / "whole").status == 0
    out = tmp_path / "parts"
    process = subprocess.Popen(
        [BRISKSEG, *words, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (out / "metrics.csv").exists() or len(rows(out)) < 6:  # in the second epoch
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.index("saving after this step") < printed.index("everything is saved, go on")
    assert "Traceback" not in printed
    assert not (out / "scores.json").exists()

    assert command("train", "--out", out, "--resume").status == 0  # by the recipe that it keeps
    whole, parts = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "parts"))
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    timeless = ("step", "epoch", "samples", "loss", "lr", "val_miou")
    curves = [[[r[k] for k in timeless] for r in rows(tmp_path / n)] for n in ("whole", "parts")]
    assert curves[0] == curves[1]


def test_a_finished_run_is_not_trained_again(run: Path, streets: Path, command: Callable) -> None:
    before = (run / "metrics.csv").read_text()
    words = ["train", "demo", "--data", streets, "--out", run, *SMALL]
    done = command(*words, "--set=training.snapshots=true", "--resume")
    assert done.status == 0, done.err
    assert "steps: none is left to train" in done.err
    assert (run / "metrics.csv").read_text() == before


def test_a_folder_without_a_run_is_not_gone_on_with(tmp_path: Path, command) -> None:
    done = command("train", "--out", tmp_path, "--resume")
    assert (done.status, f"{tmp_path} holds no run to go on with" in done.err) == (2, True)


def test_an_all_ignored_image_is_no_reason_to_stop(tmp_path: Path, command: Callable) -> None:
    data = draw_dataset(tmp_path / "data", train=4, val=2, size_hw=(48, 64), seed=1)
    for label in (data / "labels").rglob("*.png"):
        if label.parent.name == "train":
            write_png(label, np.full((48, 64), 255, np.uint8))
    out = tmp_path / "run"
    words = ("train", "demo", "--data", data, "--out", out, *SMALL)
    assert "nothing in train is labeled" in command(*words).err
    done = command(*words, "--no-check")
    assert done.status == 0, done.err
    assert [float(r["loss"]) for r in rows(out) if r["loss"]] == [0, 0]


def test_labels_out_of_range_are_named_before_the_first_step(
    tmp_path: Path, command: Callable
) -> None:
    data = draw_dataset(tmp_path / "data", train=4, val=2, size_hw=(48, 64), seed=1)
    label = sorted((data / "labels" / "train").glob("*.png"))[2]
    write_png(label, np.full((48, 64), 77, np.uint8))
    done = command("train", "demo", "--data", data, "--out", tmp_path / "run", *SMALL)
    assert done.status == 1
    assert label.name in done.err
    assert "77" in done.err
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set=model.name=erfnett"], "did you mean 'erfnet'?"),
        (["--set=training.precision=fp16"], "training.precision=fp16 needs a GPU"),
        (["--device", "tpu"], "there is no device 'tpu' here; this machine has: cpu"),
        (["--set=training.batch=99"], "split has only 12; give at most --set training.batch=12"),
        (["--set=training.loss.class_weights=[1, 2]"], "11"),
        (["--resume"], "holds no run to resume"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    words: list[str], message: str, streets: Path, tmp_path: Path, command: Callable
) -> None:
    out = tmp_path / "run"
    done = command("train", "demo", "--data", streets, "--out", out, *SMALL, *words)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) <= 3


@pytest.mark.parametrize("how", [[], ["--resume"]])
def test_a_request_that_was_refused_can_be_corrected_in_its_folder(
    how: list[str], streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *SMALL]
    assert command(*words, "--set=training.batch=99").status == 2
    done = command(*words, "--set=training.batch=12", "--set=training.epochs=1", *how)
    assert done.status == 0, done.err
    assert "batch: 12\n" in (tmp_path / "run" / "recipe.yaml").read_text()


@pytest.mark.parametrize("logger", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_names_an_extra_that_there_is(
    logger: str,
    streets: Path,
    tmp_path: Path,
    command: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, logger, None)  # as if it were not there
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *SMALL]
    done = command(*words, f"--set=training.loggers=[{logger}]")
    assert done.status == 2
    assert f"training.loggers: {logger} needs the package '{logger}'" in done.err
    extra = re.search(r"pip install 'briskseg\[(\w+)\]'", done.err)[1]
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert logger in project["optional-dependencies"][extra]


@pytest.mark.parametrize("logger", ["wandb", "mlflow"])
def test_a_logger_gets_the_rows_of_the_log(
    logger: str,
    streets: Path,
    tmp_path: Path,
    command: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = MagicMock()
    client.tracking.MlflowClient.return_value.get_experiment_by_name.return_value = None
    monkeypatch.setitem(sys.modules, logger, client)
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *SMALL]
    done = command(*words, f"--set=training.loggers=[{logger}]")
    assert done.status == 0, done.err
    expected = [(int(r["step"]), float(r["loss"])) for r in rows(tmp_path / "run") if r["loss"]]
    if logger == "wandb":
        assert client.init.call_args.kwargs["name"] == "run"
        calls = client.init.return_value.log.call_args_list
        sent = [(c.kwargs["step"], c.args[0]["loss"]) for c in calls if "loss" in c.args[0]]
        assert client.init.return_value.finish.called
    else:
        (uri,) = client.tracking.MlflowClient.call_args.args
        assert uri == (tmp_path / "run" / "mlruns").as_uri()
        held = client.tracking.MlflowClient.return_value
        calls = held.log_metric.call_args_list
        sent = [(c.kwargs["step"], c.args[2]) for c in calls if c.args[1] == "loss"]
        assert held.set_terminated.called
    assert sent == expected


def test_mlflow_gets_names_that_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MagicMock()
    monkeypatch.setitem(sys.modules, "mlflow", client)
    MLflow(RunFolder(tmp_path)).log({"val_iou/road (wet)": 0.5, "val_iou/Straße": 0.7}, 3)
    calls = client.tracking.MlflowClient.return_value.log_metric.call_args_list
    names = [call.args[1] for call in calls]
    assert names == ["val_iou/road _wet_", "val_iou/Straße"]
    assert all(re.fullmatch(r"[/\w.\- ]*", name) for name in names)  # MLflow's own rule


def test_a_logger_that_does_not_take_the_run_is_a_sentence(
    streets: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MagicMock()
    client.init.side_effect = RuntimeError("api_key not configured")
    monkeypatch.setitem(sys.modules, "wandb", client)
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *SMALL]
    done = command(*words, "--set=training.loggers=[wandb]")
    assert done.status == 2
    assert "wandb does not take the run (api_key not configured); see to it, or" in done.err
    client.init.side_effect = None
    client.init.return_value.log.side_effect = RuntimeError("the server is gone")
    done = command(*words, "--set=training.loggers=[wandb]")
    assert done.status == 1
    assert "WeightsAndBiases does not take the row (the server is gone); " in done.err
    assert "go on with: briskseg train demo" in done.err
    assert client.init.return_value.finish.called


def test_a_run_leaves_the_process_as_it_was(streets: Path, tmp_path: Path) -> None:
    """Whoever calls `fit` has handlers of his own, and hears signals again as soon as it ends."""
    from briskseg.recipe import load_recipe
    from briskseg.training.fit import fit
    from briskseg.training.session import RunSession
    from briskseg.training.stopping import Stop

    changes = [change.removeprefix("--set=") for change in SMALL]
    recipe = load_recipe("demo", [*changes, "training.epochs=1", f"data.root={streets}"])

    def settings() -> list:
        return [threading.excepthook, *map(signal.getsignal, (signal.SIGINT, signal.SIGTERM))]

    before = settings()
    with Stop() as stop:
        within = settings()
        fit(recipe, tmp_path / "run", RunSession(stop=stop))
        assert settings() == within  # as between the runs of several seeds
    assert settings() == before
    assert within != before


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_differing_sizes_need_a_size(
    workers: int, small_data: Path, tmp_path: Path, command: Callable
) -> None:
    for place in range(1, 4):  # small_data has one image to train on, and differing ones in val
        for part in ("images", "labels"):
            source = small_data / part / "val" / f"street{place}.png"
            (small_data / part / "train" / source.name).write_bytes(source.read_bytes())
    words = ["train", "demo", "--data", small_data, *SMALL, "--set=augment={}", "--no-check"]
    words += [f"--set=training.workers={workers}"]
    done = command(*words, "--out", tmp_path / "refused")
    assert done.status == 2
    assert "\nbriskseg: images of one batch must have one size" in f"\n{done.err}"
    assert "Traceback" not in done.err
    assert "augment.size=[H, W]" in done.err
    done = command(*words, "--out", tmp_path / "run", "--set=augment.size=[48, 48]")
    assert done.status == 0, done.err


def test_a_batch_may_be_one_image(streets: Path, tmp_path: Path, command: Callable) -> None:
    words = ["--data", streets, "--out", tmp_path / "run", *SMALL, "--set=training.batch=1"]
    done = command("train", "demo", *words)
    assert done.status == 0, done.err


def test_a_taken_folder_and_another_recipe_are_refused(
    run: Path, streets: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, "--out", run, *SMALL]
    taken = command(*words)
    assert taken.status == 2
    assert (
        "already holds a run; name another folder with --out, or go on with it with --resume"
        in (taken.err)
    )
    other = command(*words, "--set=training.optimizer.lr=0.5", "--resume")
    assert other.status == 2
    assert "training.optimizer.lr was 0.003, now 0.5" in other.err


def test_early_stop_ends_after_validations_without_a_new_best(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    out = tmp_path / "run"
    done = command(
        "train", "demo", "--data", streets, "--out", out, *SMALL, "--set=training.epochs=30",
        "--set=training.stop_after=2", "--set=training.optimizer.lr=1e-12",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert len([r for r in rows(out) if r["val_miou"]]) < 10


def test_the_last_step_is_always_validated(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    out = tmp_path / "run"
    words = ["--set=training.steps=4", "--set=training.validate_every=5"]
    done = command("train", "demo", "--data", streets, "--out", out, *SMALL, *words)
    assert done.status == 0, done.err
    assert [(int(r["step"]), r["epoch"]) for r in rows(out) if r["val_miou"]] == [(4, "2")]
    assert "epoch 2: val mIoU" in done.err


@pytest.mark.parametrize("network", ["erfnet", "erfnet_fcn"])
def test_other_networks_losses_and_optimizers_train(
    network: str, streets: Path, tmp_path: Path, command: Callable
) -> None:
    clip, momentum = 1e-3, 0.5
    done = command(
        "train", "demo", "--data", streets, "--out", tmp_path / "run", *SMALL,
        f"--set=model.name={network}", f"--set=training.clip={clip}",
        f"--set=training.optimizer={{name: sgd, lr: 0.01, momentum: {momentum}, weight_decay: 0}}",
        "--set=training.loss={class_weights: median_frequency, ohem: {}}",
        "--set=training.precision=bf16", "--set=training.steps=3", "--set=training.ema=null",
    )  # fmt: skip
    assert done.status == 0, done.err
    optimizer = checkpoint(tmp_path / "run")["optimizer"]
    moving = [state["momentum_buffer"].float() for state in optimizer["state"].values()]
    length = sum(buffer.square().sum() for buffer in moving) ** 0.5
    # of three clipped gradients, each of which counts half as much as the next
    assert clip / 4 < length <= clip * (1 + momentum + momentum**2) * 1.01


def test_the_loss_is_the_recipes(streets: Path, tmp_path: Path, command: Callable) -> None:
    """Of one network and one batch, before any step."""
    hard = "ohem: {threshold: 0, least: 0.25}"
    losses = []
    for place, loss in enumerate(
        ("", "class_weights: median_frequency", hard, f"class_weights: median_frequency, {hard}")
    ):
        out = tmp_path / str(place)
        words = ["train", "demo", "--data", streets, "--out", out, *SMALL, "--set=training.steps=1"]
        done = command(*words, f"--set=training.loss={{auxiliary: 0, {loss}}}")
        assert done.status == 0, done.err
        losses.append(float(rows(out)[0]["loss"]))
    plain, weighted, hardest, both = losses
    assert hardest > 1.05 * plain
    assert both > 1.05 * weighted
    assert weighted != pytest.approx(plain, rel=1e-3)
    assert both != pytest.approx(hardest, rel=1e-3)


def test_progress_counts_small_samples_as_the_less_work_that_they_are(
    streets: Path, tmp_path: Path
) -> None:
    from briskseg.recipe import Recipe, load_recipe
    from briskseg.training.fit import fit
    from briskseg.training.session import RunSession

    changes = [change.removeprefix("--set=") for change in SMALL]
    grows = "augment.progressive_resize={factors: [0.5], until: [0.5]}"
    recipe = load_recipe("demo", [*changes, grows, f"data.root={streets}"])
    assert isinstance(recipe, Recipe)
    events: list[dict] = []
    fit(recipe, tmp_path / "run", RunSession(listener=events.append))
    done = [event["done"] for event in events if event["phase"] == "train"]
    # an epoch of a quarter of the pixels, an epoch of all of them, three steps each
    assert done == pytest.approx([k / 15 for k in (1, 2, 3, 7, 11, 15)])


def test_samples_that_are_mostly_padding_are_told(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, *SMALL, "--set=training.epochs=1"]
    done = command(*words, "--out", tmp_path / "a", "--set=augment.size=[96,96]")
    assert done.status == 0, done.err
    assert "images of 64x48 fill 33% of a sample of 96x96" in done.err
    assert "--set augment.size=[48,64]" in done.err
    fits = command(*words, "--out", tmp_path / "b", "--set=augment.size=[48,64]")
    assert (fits.status, "padding" in fits.err) == (0, False)


def test_weights_to_ship_are_trained_on_val_too_and_claim_no_score(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    out = tmp_path / "run"
    words = ["train", "demo", "--data", streets, "--out", out, *SMALL]
    done = command(*words, "--set=data.train_splits=[train, val]")
    assert done.status == 0, done.err
    assert "val was trained on, so it scores nothing" in done.out
    assert rows(out)[-1]["samples"] == "32"  # 12 + 4 images, twice
    card = read_card(out / "model.safetensors")
    assert card.scores == {}
    assert (card.training["train_splits"], card.training["epoch"]) == (["train", "val"], 2)
    assert not (out / "scores.json").exists()
    assert command("report", out).status == 0

    again = command(*words[:4], "--out", tmp_path / "no", "--set=data.train_splits=[train, vl]")
    assert again.status == 2
    assert "no split 'vl'; did you mean 'val'" in again.err
