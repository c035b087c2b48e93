"""briskseg evaluate: the table, the JSON, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import briskseg
from briskseg.core.images import read_image, write_png


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def test_the_table_and_the_file_say_the_same(
    command, weights_file: Path, small_data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    done = command("evaluate", weights_file, "--data", small_data, "--json", file)
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 100
    scores = json.loads(file.read_text())
    for name, one in scores["classes"].items():
        shown = ["-" if x is None else f"{100 * x:.2f}" for x in (one["iou"], one["accuracy"])]
        row = next(line for line in done.out.splitlines() if line.startswith(name))
        assert row.replace("%", "").split()[1:3] == shown
    assert (scores["model"], scores["network"]) == (str(weights_file), "fast_scnn")
    assert f"mIoU{100 * scores['miou']:>26.2f} %" in done.out.replace("  mIoU", "mIoU")
    words = " ".join(done.out.split())  # a long path is broken over lines
    assert "on 4 images of 'val'." in words
    assert "has IoU 0 and counts in the mean" in words
    again = command("evaluate", weights_file, "--data", small_data, "--json", "-")
    assert json.loads(again.out) == scores


def test_absent_classes_are_named(command, weights_file: Path, small_data: Path) -> None:
    predictor = briskseg.load(weights_file)
    pairs = briskseg.open_dataset(small_data).pairs("val")
    images = [read_image(pair.image) // 100 for pair in pairs]
    predicted = set(np.concatenate([predictor(image).ravel() for image in images]).tolist())
    absent = min({0, 1, 2} - predicted)
    for pair, image in zip(pairs, images, strict=True):
        labels = read_image(pair.label)[..., 0]
        labels[labels == absent] = 255
        write_png(pair.label, labels)
        write_png(pair.image, image)
    done = command("evaluate", weights_file, "--data", small_data)
    name = ("sky", "road", "car")[absent]
    row = next(line for line in done.out.splitlines() if line.startswith(name))
    assert row.split() == [name, "-", "-", "0.00", "%"]
    line = " ".join(done.out.split())
    assert f"left out of the mean (-): {name}." in line


def test_scales_and_flip_are_stated(command, weights_file: Path, small_data: Path) -> None:
    words = ("evaluate", weights_file, "--data", small_data, "--scales", "0.5,1", "--flip")
    done = command(*words, "--json", "-")
    assert (json.loads(done.out)["scales"], json.loads(done.out)["flip"]) == ([0.5, 1.0], True)
    assert "at scales 0.5, 1 and mirrored, probabilities averaged" in " ".join(
        command(*words).out.split()
    )


def test_wrong_requests_are_one_sentence(command, weights_file: Path, small_data: Path) -> None:
    data = ("--data", small_data)
    for words, message in (
        ((weights_file, *data, "--scales", "1,x"), "--scales 1,x is no list of numbers"),
        ((weights_file, *data, "--split", "tset"), "no split 'tset'"),
        ((weights_file, *data, "--json", "nowhere/x.json"), "the folder nowhere is not there"),
        (("none.safetensors", *data), "none.safetensors is not there"),
    ):
        done = command("evaluate", *words)
        assert (done.status, done.out) == (2, "")
        assert message in done.err
        assert "Traceback" not in done.err
    (small_data / "classes.txt").write_text("sky\nroad\nbus\n")
    done = command("evaluate", weights_file, *data)
    assert done.status == 2
    assert "the data lacks 'car' and the model lacks 'bus'" in done.err


def _labelme(root: Path, *names: str) -> Path:
    """The small data's images, of a shape of each class in turn."""
    corners = [[0, 0], [20, 0], [20, 20], [0, 20]]
    for number, image in enumerate(sorted((root / "images").rglob("*.png"))):
        shape = {"label": names[number % len(names)], "points": corners, "shape_type": "polygon"}
        content = {"shapes": [shape], "imagePath": image.name}
        image.with_suffix(".json").write_text(json.dumps(content))
    shutil.rmtree(root / "labels")
    (root / "classes.txt").unlink()
    return root


def test_classes_are_the_models_by_name_in_any_order(
    command, weights_file: Path, small_data: Path
) -> None:
    words = ("evaluate", weights_file, "--data", small_data, "--json", "-")
    before = json.loads(command(*words).out)
    lines = ["1 road", "2 car", "0 sky"]
    (small_data / "classes.txt").write_text("\n".join(lines))
    after = json.loads(command(*words).out)
    assert after["classes"] == before["classes"]
    assert [*after["classes"]] == ["road", "car", "sky"]
    data = _labelme(small_data, "sky", "road", "car")  # in the order of the alphabet
    done = command("evaluate", weights_file, "--data", data, "--json", "-")
    assert done.status == 0, done.err
    assert [*json.loads(done.out)["classes"]] == ["car", "road", "sky"]


def test_the_list_printed_for_shapes_of_fewer_classes_works(
    command, weights_file: Path, small_data: Path
) -> None:
    data = _labelme(small_data, "sky", "car")
    words = ("evaluate", weights_file, "--data", data, "--json", "-")
    done = command(*words)
    assert (done.status, "the data lacks 'road'" in done.err) == (2, True)
    subprocess.run(["sh", "-c", done.err[done.err.index("printf ") :]], check=True)
    assert [*json.loads(command(*words).out)["classes"]] == ["sky", "road", "car"]


def test_the_list_printed_for_the_models_classes_works(
    command, weights_file: Path, small_data: Path
) -> None:
    """Carried out as it is printed, and every file value keeps its class."""
    (small_data / "classes.txt").write_text("car 9 8 7\nsky 1 2 3\nignore 255 2\n")
    words = ("evaluate", weights_file, "--data", small_data)
    before = briskseg.open_dataset(small_data)
    done = command(*words)
    assert done.status == 2
    assert "list the model's classes too, as the label files say them" in done.err
    subprocess.run(["sh", "-c", done.err[done.err.index("printf ") :]], check=True)
    assert command(*words).status == 0
    after = briskseg.open_dataset(small_data)
    for pair in before.pairs("val"):
        same = np.append(after.names, [""] * 256)[after.read_labels(pair)]
        assert (same == np.append(before.names, [""] * 256)[before.read_labels(pair)]).all()
