"""`evaluate` and `predict --cityscapes-ids` on Cityscapes trees, against the benchmark's code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.cityscapes.conftest import SIZE, blocks, label_ids, write

import briskseg
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS
from briskseg.core.labels.cityscapes_table import SCORED_IDS

torch = pytest.importorskip("torch")

TRUTH = [0, 3, 7, 8, 11, 17, 21, 23, 24, 26, 24000, 24001, 25000, 26000, 26001, 29000, 33000]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of the 19 classes, all of which it predicts somewhere."""
    from briskseg.models import create_model

    torch.manual_seed(0)
    network = create_model("fast_scnn", 19).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 3, *SIZE))
        last = next(value for value in network.parameters() if value.shape == (19,))
        last -= logits.mean((0, 2, 3))
    card = Card(
        network=NetworkCard(name="fast_scnn", classes=19, options=network.options),
        labels=LabelsCard(names=CITYSCAPES.names, colors=CITYSCAPES.colors),
        input=InputCard(),
    )
    path = tmp_path_factory.mktemp("cityscapes") / "model.safetensors"
    save_weights(path, {k: v.numpy() for k, v in network.state_dict().items()}, card)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four images of two cities in val."""
    rng = np.random.default_rng(2)
    root = tmp_path / "cityscapes"
    for name in ("lindau_000000_000019", "lindau_000001_000019", "ulm_000000_000019"):
        city = name.partition("_")[0]
        image = root / "leftImg8bit" / "val" / city / f"{name}_leftImg8bit.png"
        write(image, rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
        instances = blocks(rng, TRUTH)
        folder = root / "gtFine" / "val" / city
        write(folder / f"{name}_gtFine_instanceIds.png", instances)
        write(folder / f"{name}_gtFine_labelIds.png", label_ids(instances))
    return root


def labels_of(tree: Path) -> list[Path]:
    return sorted(tree.glob("gtFine/val/*/*_labelIds.png"))


def shown(out: str, row: str) -> list[str]:
    """The figures in a row of a printed table."""
    line = next(line for line in out.splitlines() if line.startswith(f"{row}  "))
    return line.removeprefix(row).replace("%", "").split()


def test_scores_are_the_packages_on_the_predicted_files(
    command, model: Path, tree: Path, tmp_path: Path, official
) -> None:
    done = command("evaluate", model, "--data", tree, "--json", tmp_path / "scores.json")
    assert (done.status, done.err) == (0, "")
    out = tmp_path / "results"
    predicted = command(
        "predict", model, tree / "leftImg8bit/val", "--out", out, "--cityscapes-ids"
    )
    assert predicted.status == 0
    assert predicted.out.startswith(f"3 of 3 labeled, in {out}: ")
    found = [official.find(out, label) for label in labels_of(tree)]
    assert {path for path in out.rglob("*") if path.is_file()} == set(found)
    theirs = official(found, labels_of(tree))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["cityscapes"] == theirs
    assert scores["miou"] == pytest.approx(theirs["averageScoreClasses"], abs=1e-15)
    assert max(map(len, done.out.splitlines())) <= 100
    for row, keys in (
        ("average of classes", ("averageScoreClasses", "averageScoreInstClasses")),
        ("average of categories", ("averageScoreCategories", "averageScoreInstCategories")),
    ):
        assert shown(done.out, row) == [f"{100 * theirs[key]:.2f}" for key in keys]
    for row, kind in (("human", "category"), ("vehicle", "category"), ("car", "class")):
        scores = [theirs[f"{kind}{weighted}Scores"][row] for weighted in ("", "Inst")]
        assert shown(done.out, row)[:2] == [f"{100 * score:.2f}" for score in scores]


def test_written_files_are_label_ids_of_the_inputs_size(
    command, model: Path, tree: Path, tmp_path: Path
) -> None:
    image = next(tree.glob("leftImg8bit/val/ulm/*"))
    command("predict", model, image, "--out", tmp_path / "out", "--cityscapes-ids")
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "ulm_000000_000019_labelIds.png"
    with Image.open(file) as picture:
        assert (picture.mode, picture.size) == ("L", SIZE[::-1])
        ids = np.asarray(picture)
    with Image.open(image) as picture:
        expected = briskseg.load(model)(np.asarray(picture))
    np.testing.assert_array_equal(CITYSCAPES_LABEL_IDS.decode(ids, image), expected)
    assert np.unique(ids).size > 10


def test_without_instance_files_their_scores_are_left_out(
    command, model: Path, tree: Path, tmp_path: Path
) -> None:
    whole = json.loads(command("evaluate", model, "--data", tree, "--json", "-").out)["cityscapes"]
    missing = labels_of(tree)[1].with_name("lindau_000001_000019_gtFine_instanceIds.png")
    missing.unlink()
    done = command("evaluate", model, "--data", tree, "--json", tmp_path / "scores.json")
    reason = f"1 of 3 files of instance ids are not there, the first is {missing}; unpack "
    assert f"Without iIoU: {reason}" in done.out
    assert "iIoU" not in done.out.replace("Without iIoU", "")
    found = json.loads((tmp_path / "scores.json").read_text())["cityscapes"]
    assert found.pop("instanceScoresLeftOut").startswith(reason)
    assert found == {key: value for key, value in whole.items() if "Inst" not in key}


def test_train_ids_give_the_same_scores(command, model: Path, tree: Path) -> None:
    whole = json.loads(command("evaluate", model, "--data", tree, "--json", "-").out)["cityscapes"]
    for path in labels_of(tree):
        with Image.open(path) as picture:
            labels = CITYSCAPES_LABEL_IDS.decode(np.asarray(picture), path)
        write(path.with_name(path.name.replace("_labelIds", "_labelTrainIds")), labels)
        path.unlink()
    found = json.loads(command("evaluate", model, "--data", tree, "--json", "-").out)["cityscapes"]
    for key in whole.keys() - {"confMatrix", "priors"}:
        assert found[key] == whole[key], key
    for index in SCORED_IDS:
        assert found["confMatrix"][index] == whole["confMatrix"][index]


def test_shrunk_labels_are_scored_as_shrunk_and_said_to_be(
    command, model: Path, tree: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    words = ("evaluate", model, "--data", tree, "--label-size", "32x64", "--json")
    done = command(*words, file)
    assert done.out.startswith(
        "Labels resized to 32x64 before scoring: not comparable with scores at the labels' own"
    )
    scores = json.loads(file.read_text())
    assert scores["label_size"] == [32, 64]
    assert scores["cityscapes"]["instanceScoresLeftOut"].startswith("the labels were resized")
    predictor = briskseg.load(model)
    counts = np.zeros((19, 19), int)
    for image, label in zip(sorted(tree.glob("leftImg8bit/val/*/*")), labels_of(tree), strict=True):
        logits = torch.from_numpy(predictor.logits(np.asarray(Image.open(image))))[None]
        small = torch.nn.functional.interpolate(logits, (32, 64), mode="bilinear")[0].argmax(0)
        # as the official code does it: Pillow, nearest
        small_ids = Image.open(label).resize((64, 32), Image.Resampling.NEAREST)
        truth = CITYSCAPES_LABEL_IDS.decode(np.asarray(small_ids), label)
        for t, p in zip(truth.flat, small.numpy().flat, strict=True):
            if t != 255:
                counts[t, p] += 1
    assert scores["confusion"] == counts.tolist()
    plain = json.loads(command("evaluate", model, "--data", tree, "--json", "-").out)
    assert (plain["label_size"], plain["window"], plain["stride"]) == (None, None, None)


def test_names_that_the_server_would_not_take_are_refused(
    command, model: Path, weights_file: Path, tree: Path, tmp_path: Path
) -> None:
    image = next(tree.glob("leftImg8bit/val/ulm/*"))
    other = write(tmp_path / "photo.png", np.zeros((8, 8, 3), np.uint8))
    full = tmp_path / "full"
    write(full / "a" / "ulm_000000_000019_color.png", np.zeros((8, 8), np.uint8))
    for words, message in (
        ((model, other), f"{other} is not named as an image of Cityscapes is, expected CITY_"),
        ((model, tree), "are both of lindau_000000_000019, and the server takes one file an image"),
        ((model, image, "--out", full), f"{full / 'a' / 'ulm_000000_000019_color.png'} is there"),
        ((weights_file, image), "the model knows 3 classes (sky, road, car), expected the 19 of"),
    ):
        out = () if "--out" in words else ("--out", tmp_path / "out")
        done = command("predict", *words, *out, "--cityscapes-ids")
        assert (done.status, done.out) == (2, "")
        assert message in done.err
    for _ in range(2):  # its own file is written anew
        words = (model, image, "--out", tmp_path / "out")
        assert command("predict", *words, "--cityscapes-ids").status == 0
