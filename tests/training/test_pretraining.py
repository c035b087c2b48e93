"""Pretraining an encoder through the command, and what a later run makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from tests.training.conftest import checkpoint, rows

from briskseg.models.encoders.classifier import create_classifier
from briskseg.recipe import CropPart, load_recipe
from briskseg.training.samples.class_folders import (
    CroppedSamples,
    MiddleSamples,
    draw_part,
    open_class_folders,
)

BRIEF = [
    "data.size=32", "data.shorter_side=36", "training.batch=8", "training.epochs=3",
    "training.log_every=1", "training.precision=float32",
]  # fmt: skip
WORDS = [f"--set={change}" for change in BRIEF]


@pytest.fixture(scope="module")
def pretrained(imagenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from briskseg.training.fit import fit

    changes = [
        f"data.root={imagenet}", *BRIEF, "training.weight_decay_epochs=2",
        "training.schedule.milestones=[1]", "training.optimizer.lr=0.01",
    ]  # fmt: skip
    run = tmp_path_factory.mktemp("runs") / "encoder"
    return fit(load_recipe("erfnet-encoder-imagenet", changes), run)


def test_metrics_have_top_1_and_top_5(pretrained: Path) -> None:
    table = rows(pretrained)
    steps = [r for r in table if r["loss"]]
    assert [int(r["step"]) for r in steps] == list(range(1, 10))
    assert [float(r["lr"]) for r in steps] == pytest.approx([0.01] * 6 + [0.0095] * 3)
    scored = [r for r in table if r["val_top1"]]
    assert [int(r["epoch"]) for r in scored] == [1, 2, 3]
    assert all(0 <= float(r["val_top1"]) <= 1 for r in scored)
    assert all(float(r["val_top5"]) == 1 for r in scored)  # of three classes


def test_weights_decay_no_more_after_the_published_epochs(pretrained: Path) -> None:
    groups = checkpoint(pretrained)["optimizer"]["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.0}


def test_the_file_scores_as_its_facts_say(pretrained: Path, imagenet: Path) -> None:
    with safe_open(pretrained / "encoder.safetensors", framework="np") as file:
        facts = json.loads(file.metadata()["briskseg.encoder"])
    assert facts["val_top1"] == max(float(r["val_top1"]) for r in rows(pretrained) if r["val_top1"])
    network = create_classifier("erfnet", 3).eval()
    tensors = load_file(pretrained / "encoder.safetensors")
    network.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})
    folders = open_class_folders(imagenet)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    samples = MiddleSamples(folders.val, 36, 32)
    right = 0
    for index in range(len(samples)):
        image, label, _ = samples[index]
        assert image.shape == (32, 32, 3)
        pixels = torch.from_numpy(((image / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
        with torch.no_grad():
            right += int(network(pixels).argmax()) == int(label)
    assert right / len(samples) == pytest.approx(facts["val_top1"])


def test_the_command_prints_the_scores_and_what_to_do_next(
    imagenet: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    words = ["train", "erfnet-encoder-imagenet", "--data", imagenet, "--out", run, *WORDS]
    done = command(*words, "--set=training.epochs=1")
    assert done.status == 0, done.err
    assert "encoder.safetensors: val top-1 0." in done.out
    assert "top-5 1.0000, best at epoch 1" in done.out
    assert f"--set model.encoder={run}" in done.out


def test_an_encoder_alone_does_not_pass_for_a_network(
    pretrained: Path, imagenet: Path, tmp_path: Path, command: Callable
) -> None:
    image = next((imagenet / "val").rglob("*.JPEG"))
    done = command("predict", pretrained, image, "--out", tmp_path)
    assert done.status == 2
    assert "only an encoder, which predicts nothing by itself" in done.err
    assert f"--set model.encoder={pretrained}" in done.err


@pytest.mark.parametrize("model", ["erfnet", "erfnet_fcn"])
def test_a_recipe_begins_with_a_pretrained_encoder(
    model: str, pretrained: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    done = command(
        "train", "demo", "--data", streets, "--out", run, f"--set=model.encoder={pretrained}",
        f"--set=model.name={model}", "--set=data.size=null", "--set=training.steps=1",
        "--set=training.batch=2", "--set=training.ema=null",
        "--set=training.optimizer={name: sgd, lr: 1e-30, weight_decay: 0}",
    )  # fmt: skip
    assert done.status == 0, done.err
    given, found = (
        load_file(file) for file in (pretrained / "encoder.safetensors", run / "model.safetensors")
    )
    first = {"erfnet": "encoder.initial_block.", "erfnet_fcn": "encoder.0."}[model]
    weight = found[f"{first}conv.weight"]
    assert np.array_equal(given["encoder.initial_block.conv.weight"], weight)


def test_the_authors_checkpoint_is_taken_as_it_is(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    """Its layout: the classifier inside nn.DataParallel, beside the optimizer."""
    classifier = create_classifier("erfnet", 1000)
    tensors = {
        f"module.{'features.' if name.startswith('encoder.') else ''}"
        f"{name.replace('classifier.', 'classifier.linear.')}": tensor
        for name, tensor in classifier.state_dict().items()
    }
    path = tmp_path / "erfnet_encoder_pretrained.pth.tar"
    torch.save({"epoch": 90, "arch": "erfnet", "state_dict": tensors}, path)
    run = tmp_path / "run"
    done = command(
        "train", "demo", "--data", streets, "--out", run, f"--set=model.encoder={path}",
        "--set=model.name=erfnet", "--set=data.size=null", "--set=training.steps=1",
        "--set=training.batch=2", "--set=training.ema=null",
        "--set=training.optimizer={name: sgd, lr: 1e-30, weight_decay: 0}",
    )  # fmt: skip
    assert done.status == 0, done.err
    found = load_file(run / "model.safetensors")["encoder.layers.3.conv1x3_2.weight"]
    assert np.array_equal(found, tensors["module.features.encoder.layers.3.conv1x3_2.weight"])


def test_an_encoder_that_somebody_deleted_is_saved_again(
    imagenet: Path, tmp_path: Path, sit: Callable
) -> None:
    """At the next validation, whatever it scores: at this rate no more than the one before."""
    changes = [f"data.root={imagenet}", *BRIEF, "training.epochs=2", "training.optimizer.lr=1e-30"]
    recipe = load_recipe("erfnet-encoder-imagenet", changes)
    run = sit(recipe, tmp_path / "run", until=5)
    (run / "encoder.safetensors").unlink()
    sit(recipe, run, resume=True)
    assert load_file(run / "encoder.safetensors")
    assert json.loads((run / "encoder.json").read_text())["epoch"] == 2


def test_finished_pretrainings_are_not_opened_again(
    imagenet: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    words = ["train", "erfnet-encoder-imagenet", "--data", imagenet, "--out", run, *WORDS]
    words += ["--set=training.steps=1", "--set=training.epochs=null", "--repeat=2"]
    done = command(*words)
    assert done.status == 0, done.err
    facts = json.loads((run / "seed-0" / "encoder.json").read_text())
    told = json.loads((run / "repeat.json").read_text())
    assert told["scores"]["val_top1"]["each"][0] == facts["val_top1"]
    before = {path: path.stat().st_mtime_ns for path in run.glob("seed-*/**/*")}
    (run / "seed-1" / "encoder.json").unlink()  # as if killed before its end
    done = command(*words, "--resume")
    assert done.status == 0, done.err
    assert "seed 0 (1/2): finished before" in done.err
    assert f"seed 1 (2/2): {run / 'seed-1'}" in done.err
    after = {path: path.stat().st_mtime_ns for path in run.glob("seed-0/**/*")}
    assert after == {path: time for path, time in before.items() if "seed-0" in path.parts}
    assert (run / "seed-1" / "encoder.json").exists()
    assert json.loads((run / "repeat.json").read_text()) == told
    refused = command(*words, "--resume", "--set=training.optimizer.lr=0.5")
    assert refused.status == 2
    assert "seed-0 was begun with another recipe: training.optimizer.lr was" in refused.err
    (run / "seed-0" / "encoder.safetensors").write_bytes(b"rubbish")
    damaged = command(*words, "--resume")
    assert damaged.status == 1
    assert "seed-0/encoder.safetensors cannot be read as a pretrained encoder" in damaged.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set=model.name=fast_scnn", "--set=model.options={}"], "models with one: erfnet"),
        (["--set=training.loss.kind=sigmoid"], "unknown key 'training.loss'"),
        (["--set=data.shorter_side=16"], "shorter_side: 16 is below the size 32"),
        (["--set=training.batch=99"], "split has only 24; give at most --set training.batch=24"),
        (["--set=task=pretrain"], "no task 'pretrain'; did you mean 'pretraining'?"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    words: list[str], message: str, imagenet: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    start = ["train", "erfnet-encoder-imagenet", "--data", imagenet, "--out", run, *WORDS]
    done = command(*start, *words)
    assert done.status == 2
    assert message in done.err


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_named_wherever_it_is_read(
    workers: int, imagenet: Path, tmp_path: Path, command: Callable
) -> None:
    data = tmp_path / "data"
    shutil.copytree(imagenet, data)
    bad = data / "train" / "n01443537" / "n01443537_5.JPEG"
    bad.write_bytes(bad.read_bytes()[:100])
    run = tmp_path / "run"
    start = ["train", "erfnet-encoder-imagenet", "--data", data, "--out", run, *WORDS]
    done = command(*start, f"--set=training.workers={workers}")
    assert done.status == 1
    assert bad.name in done.err
    assert "Traceback" not in done.err


def test_folders_that_are_laid_out_otherwise_are_told_so(imagenet: Path, tmp_path: Path) -> None:
    from briskseg.core.errors import DataError, RequestError

    with pytest.raises(RequestError, match=r"nowhere is no folder; expected images in a folder a"):
        open_class_folders(tmp_path / "nowhere")
    data = tmp_path / "data"
    (data / "train").mkdir(parents=True)
    with pytest.raises(RequestError, match="has not both of train and val"):
        open_class_folders(data)
    (data / "val").mkdir()
    with pytest.raises(RequestError, match=r"holds 0 class folders, expected two or more"):
        open_class_folders(data)
    shutil.rmtree(data)
    shutil.copytree(imagenet, data)
    (data / "val" / "n99").mkdir()
    with pytest.raises(DataError, match="val has the class 'n99', which train has not"):
        open_class_folders(data)
    (data / "train" / "n99").mkdir()
    with pytest.raises(DataError, match="train/n99 holds no image"):
        open_class_folders(data)


def test_random_parts_have_the_area_and_ratio_asked_for() -> None:
    part = CropPart(area=(0.1, 0.5), ratio=(0.5, 2))
    drawn = np.array(
        [draw_part(np.random.default_rng(seed), (300, 400), part) for seed in range(500)]
    )
    top, left, height, width = drawn.T
    assert min(top.min(), left.min()) >= 0
    assert (top + height).max() <= 300
    assert (left + width).max() <= 400
    area, ratio = height * width / (300 * 400), width / height
    assert area.min() == pytest.approx(0.1, abs=0.01)
    assert area.max() == pytest.approx(0.5, abs=0.01)
    assert area.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.49 < ratio.min() < 0.55
    assert 1.8 < ratio.max() < 2.04
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.1)


def test_a_part_that_cannot_fit_is_the_middle() -> None:
    part = CropPart(area=(1, 1), ratio=(0.75, 1.25))
    assert draw_part(np.random.default_rng(0), (10, 200), part) == (0, 94, 10, 12)
    assert draw_part(np.random.default_rng(0), (200, 12), part) == (92, 0, 16, 12)


def test_samples_come_from_seed_epoch_and_index_alone(imagenet: Path) -> None:
    folders = open_class_folders(imagenet)
    samples = CroppedSamples(folders.train, CropPart(), 24, seed=3)
    first = samples[(1, 5)]
    again = CroppedSamples(folders.train, CropPart(), 24, seed=3)[(1, 5)]
    assert first[0].shape == (24, 24, 3)
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], samples[(2, 5)][0])
    assert first[2] == folders.train[5].path.name
