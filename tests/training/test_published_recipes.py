"""The published recipes, each trained for a few steps on data laid out like the real set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.training.conftest import checkpoint, rows

from briskseg.core.card import read_card
from briskseg.data import open_dataset
from briskseg.recipe import Recipe, list_recipes, load_recipe, recipe_text
from briskseg.training.fine_tuning import begin_network
from briskseg.training.losses import SegmentationLoss
from briskseg.training.session import RunSession
from briskseg.training.train_step import make_optimizer

# erfnet_pytorch's train/main.py, to three decimals, in the order of the train ids.
ENCODER_WEIGHTS = [
    2.365, 4.424, 2.969, 5.344, 5.298, 5.228, 5.439, 5.366, 3.417, 5.241, 4.738, 5.229, 5.455,
    4.302, 5.426, 5.433, 5.434, 5.463, 5.395,
]  # fmt: skip
DECODER_WEIGHTS = [
    2.815, 6.985, 3.789, 9.943, 9.770, 9.511, 10.311, 10.026, 4.632, 9.561, 7.870, 9.517, 10.374,
    6.662, 10.260, 10.288, 10.290, 10.405, 10.138,
]  # fmt: skip
BRIEF = ["--set=training.log_every=1", "--set=training.precision=float32"]


@pytest.fixture(scope="module")
def official(cityscapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `erfnet-cityscapes`, both stages of two epochs of three steps."""
    from briskseg.training.fit import fit

    changes = [
        f"data.root={cityscapes}", "data.size=[32, 64]", "training.epochs=2", "training.batch=2",
        "training.log_every=1", "training.precision=float32", "training.snapshots=true",
    ]  # fmt: skip
    run = tmp_path_factory.mktemp("runs") / "official"
    return fit(load_recipe("erfnet-cityscapes", changes), run)


def test_both_stages_of_the_official_recipe_are_in_one_run_folder(official: Path) -> None:
    table = rows(official)
    steps = [r for r in table if r["loss"]]
    assert [int(r["step"]) for r in steps] == list(range(1, 13))
    assert [(int(r["step"]), int(r["epoch"])) for r in table if r["val_miou"]] == [
        (3, 1), (6, 2), (9, 3), (12, 4),
    ]  # fmt: skip
    falling = [5e-4] * 3 + [5e-4 * 0.5**0.9] * 3
    assert [float(r["lr"]) for r in steps] == pytest.approx(falling * 2)


def test_the_first_stage_trains_the_encoder_alone_and_the_second_begins_afresh(
    official: Path,
) -> None:
    after_first = load_file(official / "checkpoints" / "epoch-002.safetensors")
    assert {name.split(".")[0] for name in after_first} == {"encoder"}
    last = load_file(official / "checkpoints" / "epoch-004.safetensors")
    counter = "num_batches_tracked"  # batch norm counts the steps that it has seen
    assert last[f"encoder.initial_block.bn.{counter}"] == 12
    assert last[f"decoder.layers.0.bn.{counter}"] == 6
    head = "encoder.output_conv.weight"
    assert np.array_equal(after_first[head], last[head])  # rests in the second stage
    first, second = (
        after_first["encoder.layers.0.conv.weight"],
        last["encoder.layers.0.conv.weight"],
    )
    assert not np.array_equal(first, second)  # goes on in the second stage
    states = checkpoint(official)["optimizer"]["state"].values()
    assert {int(state["step"]) for state in states} == {6}


def test_the_best_of_each_stage_is_kept(official: Path) -> None:
    scores = [float(r["val_miou"]) for r in rows(official) if r["val_miou"]]
    card = read_card(official / "model.safetensors")
    assert card.scores["val_miou"] == max(scores[2:])
    best = 1 + scores.index(max(scores[:2]))
    encoder = load_file(official / "encoder.safetensors")
    snapshot = load_file(official / "checkpoints" / f"epoch-{best:03d}.safetensors")
    assert all(np.array_equal(encoder[name], snapshot[name]) for name in snapshot)


def test_the_official_class_weights_are_the_published() -> None:
    first, second = load_recipe("erfnet-cityscapes").training.stages
    assert first.class_weights == pytest.approx(ENCODER_WEIGHTS, abs=5.1e-4)
    assert second.class_weights == pytest.approx(DECODER_WEIGHTS, abs=5.1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "rates"),
    [
        (
            "erfnet-cityscapes-160k",
            ["data.size=[64, 128]", "augment.size=[32, 64]", "training.steps=3"],
            [1e-4 + (0.01 - 1e-4) * (1 - step / 3) ** 0.9 for step in range(3)],
        ),
        (
            "fast-scnn-cityscapes-160k",
            ["data.size=[64, 128]", "augment.size=[32, 64]", "training.steps=3"],
            [1e-4 + (0.12 - 1e-4) * (1 - step / 3) ** 0.9 for step in range(3)],
        ),
        (
            "fast-scnn-cityscapes",
            ["data.size=[64, 128]", "training.steps=3"],
            [0.045 * (1 - step / 3) ** 0.9 for step in range(3)],
        ),
    ],
)
def test_recipes_for_cityscapes_train_on_its_layout(
    name: str,
    changes: list[str],
    rates: list[float],
    cityscapes: Path,
    tmp_path: Path,
    command: Callable,
) -> None:
    run = tmp_path / "run"
    words = [f"--set={change}" for change in [*changes, "training.batch=2"]]
    done = command("train", name, "--data", cityscapes, "--out", run, *BRIEF, *words)
    assert done.status == 0, done.err
    steps = [r for r in rows(run) if r["loss"]]
    assert [float(r["lr"]) for r in steps] == pytest.approx(rates, rel=1e-4)
    card = read_card(run / "model.safetensors")
    assert card.labels.names[0] == "road"
    assert len(card.labels.names) == 19


def test_the_write_up_on_camvid_trains_on_its_layout(
    camvid32: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    words = ["--set=data.size=[32, 32]", "--set=training.epochs=2", "--set=training.batch=4"]
    done = command("train", "erfnet-camvid32", "--data", camvid32, "--out", run, *BRIEF, *words)
    assert done.status == 0, done.err
    card = read_card(run / "model.safetensors")
    assert len(card.labels.names) == 32
    assert "Void" in card.labels.names
    assert (card.training["train_images"], card.training["val_images"]) == (9, 2)  # 573 to 128
    assert {p.name for p in (run / "checkpoints").glob("*.safetensors")} == {
        "epoch-001.safetensors", "epoch-002.safetensors",
    }  # fmt: skip


def test_the_write_ups_schedule_is_the_published() -> None:
    from briskseg.training.train_step import factor

    training = load_recipe("erfnet-camvid32").training
    lengths = {8e-4: 80, 5e-4: 80, 2e-4: 40, 1e-4: 40, 5e-5: 40}
    published = [rate for rate, epochs in lengths.items() for _ in range(epochs)]
    assert training.epochs == len(published)
    per_epoch = 573 // training.batch
    for epoch, rate in enumerate(published):
        found = factor(training.schedule, epoch * per_epoch, 280 * per_epoch, per_epoch)
        assert training.optimizer.lr * found == pytest.approx(rate)


def test_a_stage_averages_none_of_the_weights_before_it(cityscapes: Path, tmp_path: Path) -> None:
    """Against a run without averages, of two stages of three epochs of one step each."""
    from briskseg.training.fit import fit

    after = []
    for ema in ("null", "0.9"):
        changes = [
            f"data.root={cityscapes}", "data.size=[16, 32]", "training.epochs=3",
            "training.batch=6", "training.snapshots=true", "training.precision=float32",
            f"training.ema={ema}",
        ]  # fmt: skip
        run = fit(load_recipe("erfnet-cityscapes", changes), tmp_path / ema)
        files = [run / "checkpoints" / f"epoch-00{epoch}.safetensors" for epoch in (4, 5)]
        after.append([load_file(file) for file in files])
    (first, second), (average, next_average) = after
    assert all(np.array_equal(average[name], first[name]) for name in first)
    for name in first.keys() - {name for name in first if "num_batches" in name}:
        expected = 2 / 11 * first[name] + 9 / 11 * second[name]  # (1 + n) / (10 + n) after one
        np.testing.assert_allclose(next_average[name], expected, 1e-4, 1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set=model.name=erfnet_fcn"], "leave the stages out, or take the model erfnet"),
        (["--set=training.stages.1.class_weights=[1, 2]"], "2 class weights for 19 classes"),
        (["--set=training.stages.7.output=logits"], "'7' is no index of a list of 2"),
        (["--set=training.stages.1.output=encoder"], "the last one must have output: logits"),
        (["--set=training.loss.class_weights=enet"], "give each of the stages its own instead"),
        (["--set=training.stages.0.outptu=logits"], "did you mean 'output'?"),
        (["--set=training.stop_after=3"], "stages have a fixed length; leave it out"),
        (["--set=model.encoder=nowhere.pth"], "nowhere.pth is not there"),
    ],
)
def test_stages_that_do_not_fit_are_refused_in_a_sentence(
    words: list[str], message: str, cityscapes: Path, tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    brief = [*BRIEF, "--set=data.size=[16, 32]", "--set=training.batch=2", "--set=model.options={}"]
    brief += ["--no-check"]  # which warns of the classes that the tiny set lacks
    done = command("train", "erfnet-cityscapes", "--data", cityscapes, "--out", run, *brief, *words)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) <= 2


def ours(name: str) -> bool:
    """Whether it is a recipe for CamVid or Cityscapes, and trains in one stage."""
    recipe = load_recipe(name)
    return isinstance(recipe, Recipe) and bool(recipe.data.classes) and not recipe.training.stages


@pytest.mark.parametrize("name", [*filter(ours, list_recipes())])
def test_a_recipe_is_complete_and_its_losses_and_rates_fit_its_network(
    name: str, cityscapes: Path, camvid32: Path
) -> None:
    assert len(recipe_text(name).splitlines()) <= 50
    recipe = load_recipe(name, ["data.size=[32, 64]", "augment.size=null", "model.encoder=null"])
    root = cityscapes if recipe.data.classes == "cityscapes" else camvid32
    dataset = open_dataset(root, recipe.data.classes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = begin_network(recipe, dataset, RunSession(), is_new=True)
    part, classes = recipe.training.loss, len(dataset.names)
    loss = SegmentationLoss(
        part, torch.ones(classes), "logits", network.outputs, network.align_corners
    )
    if isinstance(part.class_weights, tuple):
        assert len(part.class_weights) == classes
    optimizer = make_optimizer(recipe.training.optimizer, network)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, classes, (2, 32, 64), np.uint8))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    total = loss(network.forward_train(torch.randn(2, 3, 32, 64)), labels)
    assert 0 < total.item() < 1000
    total.backward()
    optimizer.step()
    after = zip(before, network.parameters(), strict=True)
    assert sum(not torch.equal(old, new) for old, new in after) > 0.9 * len(before)
