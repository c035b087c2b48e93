"""Training that begins with trained weights, through the command."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from briskseg.core.card import read_card
from briskseg.core.images import write_png

# one step so small that the weights stay what they were
WORDS = [
    "--set=data.size=null",
    "--set=training.batch=4",
    "--set=training.steps=1",
    "--set=training.precision=float32",
    "--set=training.ema=null",
    "--set=training.optimizer.lr=1e-12",
]


@pytest.fixture(scope="module")
def trained(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from briskseg.recipe import Recipe, load_recipe
    from briskseg.training.fit import fit

    run = tmp_path_factory.mktemp("runs") / "trained"
    changes = [word.removeprefix("--set=") for word in WORDS]
    recipe = load_recipe("demo", [*changes, f"data.root={streets}", "training.seed=5"])
    assert isinstance(recipe, Recipe)
    return fit(recipe, run)


def learned(run: Path) -> dict[str, np.ndarray]:
    """All but batch norm's statistics, which a step changes whatever its rate."""
    tensors = load_file(run / "model.safetensors")
    return {k: v for k, v in tensors.items() if "running_" not in k and "num_batches" not in k}


def test_the_same_classes_begin_with_every_tensor(
    trained: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    words = ["train", "demo", "--data", streets, "--out", run, *WORDS]
    done = command(*words, f"--set=model.weights={trained}")
    assert done.status == 0, done.err
    ours, theirs = learned(run), learned(trained)
    assert ours.keys() == theirs.keys()
    assert all(np.allclose(ours[key], theirs[key], atol=1e-6) for key in ours)
    number = len(load_file(run / "model.safetensors"))
    assert f"begins with {number} of the network's {number} tensors" in done.err
    assert read_card(run / "model.safetensors").training["begun_with"] == "trained"


def test_a_run_that_begins_with_nothing_says_so(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    """As a recipe that is too short for that would, whose model.weights were forgotten."""
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *WORDS]
    done = command(*words)
    assert done.status == 0, done.err
    assert "begins with random weights\n" in done.err
    assert "begins with" not in command(*words, "--resume").err


def test_other_classes_begin_with_all_but_the_heads(
    trained: Path, tmp_path: Path, command: Callable
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for place in range(5):
        split = "train" if place < 4 else "val"
        for kind in ("images", "labels"):
            (data / kind / split).mkdir(parents=True, exist_ok=True)
        labels = np.zeros((48, 64), np.uint8)
        labels[place * 8 :] = 1
        write_png(data / "labels" / split / f"{place}.png", labels)
        rng = np.random.default_rng(place)
        image = labels[..., None] * 99 + rng.integers(0, 99, (48, 64, 3))
        write_png(data / "images" / split / f"{place}.png", image.astype(np.uint8))
    (data / "classes.txt").write_text("ground\nrest\n")

    words = ["train", "demo", "--data", data, "--out", run, *WORDS]
    done = command(*words, f"--set=model.weights={trained}")
    assert done.status == 0, done.err
    ours, theirs = learned(run), learned(trained)
    new = done.err.split("; new, for other classes: ")[1].splitlines()[0].split(", ")
    resized = {key.rpartition(".")[0] for key in ours if ours[key].shape != theirs[key].shape}
    assert len(resized) == 3  # Fast-SCNN's classifier and those of its two auxiliary heads
    assert resized <= set(new)
    rest = [key for key in ours if key.rpartition(".")[0] not in new]
    assert len(rest) > 100
    assert all(np.allclose(ours[key], theirs[key], atol=1e-6) for key in rest)


def test_weights_that_go_on_to_see_val_keep_what_they_scored_before(
    trained: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    run, further = tmp_path / "run", tmp_path / "further"
    words = ["train", "demo", "--data", streets, *WORDS, "--set=data.train_splits=[train, val]"]
    done = command(*words, "--out", run, f"--set=model.weights={trained}")
    assert done.status == 0, done.err
    before = read_card(trained / "model.safetensors").scores["val_miou"]
    assert before is not None
    assert read_card(run / "model.safetensors").scores == {"val_miou_before": before}
    assert f"it scores nothing (val mIoU before: {before:.4f})" in done.out

    words += ["--set=training.steps=8", f"--set=model.weights={run}", "--out", further]
    assert command(*words).status == 0
    assert read_card(further / "model.safetensors").scores == {"val_miou_before": before}

    run.rename(tmp_path / "elsewhere")  # a run that goes on needs it no more
    checkpoints = further / "checkpoints"
    (checkpoints / "previous.ckpt").replace(checkpoints / "last.ckpt")
    (further / "model.safetensors").unlink()
    done = command(*words, "--resume")
    assert done.status == 0, done.err
    assert read_card(further / "model.safetensors").scores == {"val_miou_before": before}


def test_scores_on_a_val_that_was_trained_on_are_said_to_mean_nothing(
    trained: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    seen = tmp_path / "seen"
    words = ["train", "demo", "--data", streets, *WORDS]
    done = command(*words, "--out", seen, "--set=data.train_splits=[train, val]")
    assert done.status == 0, done.err
    assert "begins with random weights" in done.err
    assert "trained on val of such data" in command("evaluate", seen, "--data", streets).out
    assert "trained on val" not in command("evaluate", trained, "--data", streets).out

    done = command(*words, "--out", tmp_path / "further", f"--set=model.weights={seen}")
    assert "which were trained on val too" in done.err


def test_a_score_on_other_data_is_not_kept(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *WORDS]
    words += ["--set=data.train_splits=[train, val]", "--set=model.weights=fast-scnn-camvid11"]
    assert command(*words).status == 0
    assert read_card(tmp_path / "run" / "model.safetensors").scores == {}


def test_shipped_weights_are_begun_with_by_name(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", *WORDS]
    done = command(*words, "--set=model.weights=fast-scnn-camvid11")
    assert done.status == 0, done.err
    assert "fast-scnn-camvid11.safetensors; new are heads that only training uses\n" in done.err


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["model.weights={run}", "model.name=erfnet"], "holds fast_scnn, and the recipe trains"),
        (
            ["model.weights={run}", "data.mean=[0, 0, 0]", "data.std=[1, 1, 1]"],
            "add --set data.mean=[0.485,0.456,0.406] --set data.std=[0.229,0.224,0.225]",
        ),
        (["model.weights=fast-scnn-camvid12"], "did you mean 'fast-scnn-camvid11'"),
        (["model.weights={run}", "model.encoder={run}"], "model.encoder=null"),
        (["model.weights=nix"], "nix is not there"),
        (["model.encoder=erfnet-camvid11.safetensors"], "takes no pretrained encoder from a file"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence_before_a_run_is_begun(
    changes: list[str],
    expected: str,
    trained: Path,
    streets: Path,
    tmp_path: Path,
    command: Callable,
) -> None:
    run = tmp_path / "run"
    words = ["train", "demo", "--data", streets, "--out", run, *WORDS]
    done = command(*words, *(f"--set={change.format(run=trained)}" for change in changes))
    assert done.status == 2
    assert expected in " ".join(done.err.split())
    assert "reading images" not in done.err
    assert "--resume" not in done.err
    assert not run.exists()


def test_weights_of_another_variant_are_refused_before_the_run_with_what_to_add(
    trained: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    words = ["train", "demo", "--data", streets, "--out", run, *WORDS]
    words += ["--set=model.options={variant: tramac}", f"--set=model.weights={trained}"]
    done = command(*words)
    assert done.status == 2
    assert not run.exists()
    added = shlex.split(
        done.err.strip().partition("; train the variant that the file holds: add ")[2]
    )
    assert added
    done = command(*words, *added)
    assert done.status == 0, done.err
    assert "begins with" in done.err


def test_frozen_batch_norms_keep_their_statistics_and_all_else_is_trained(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    words = ["train", "lite-seg", "--data", streets, "--no-check", *WORDS[:-1]]
    words += ["--set=model.encoder=null", "--set=augment.size=[32, 32]", "--set=training.steps=2"]
    done = command(*words, "--out", tmp_path / "run")
    assert done.status == 0, done.err
    tensors = load_file(tmp_path / "run" / "model.safetensors")
    means = {name: array for name, array in tensors.items() if name.endswith("running_mean")}
    assert {name.split(".")[0] for name, mean in means.items() if not mean.any()} == {"encoder"}
    assert all(mean.any() != name.startswith("encoder.") for name, mean in means.items())
    shifts = [array for n, array in tensors.items() if n.startswith("encoder.stem.1.bias")]
    assert all(shift.any() for shift in shifts)  # what a batch norm learns is trained
    words = [*words, "--set=training.frozen_batch_norm=[encodr]", "--out", tmp_path / "other"]
    done = command(*words)
    assert done.status == 2
    assert "no batch norm of LiteSeg is in 'encodr'; did you mean 'encoder'?" in done.err
