"""briskseg check: findings in text or JSON, and an exit status for programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def check(command):
    """Runs the command -> (exit status, standard output, standard error)."""
    return lambda *words: command("check", *words)


@pytest.fixture
def data(tmp_path):
    """A sound set of two classes in the folder layout."""
    (tmp_path / "classes.txt").write_text("road\n[bold]car\n")
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        noise = np.random.default_rng(len(split)).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "images" / split / "a.png")
        Image.fromarray(noise[..., 0] % 2).save(tmp_path / "labels" / split / "a.png")
    return tmp_path


def test_a_sound_set(check, data):
    status, text, _ = check(data)
    assert status == 0
    assert "kind folder, 2 classes, pairs: train 1, val 1" in text
    assert "8x8 (2)" in text
    assert "[bold]car" in text
    assert "0 errors, 0 warnings, 0 notes: fit to train on" in text


def test_an_error_fails_and_is_named_within_100_columns(check, data):
    for number in range(40):
        name = f"a_rather_long_name_that_fills_the_line_{number:03d}.png"
        Image.fromarray(np.full((8, 8), 7, np.uint8)).save(data / "labels" / "train" / name)
    Image.fromarray(np.full((8, 9), 7, np.uint8)).save(data / "labels" / "train" / "a.png")
    status, text, _ = check(data)
    assert status == 1
    assert "error: label-without-image (40): label without image" in text
    assert "error: sizes-differ (1)" in text
    assert "error: unknown-values (1): label values of no class: 7 (72 pixels)" in text
    assert "cure: " in text
    assert text.rstrip().endswith("3 errors, 1 warning, 0 notes: not fit to train on")
    assert max(map(len, text.splitlines())) <= 100


def test_json_to_a_file_or_standard_output(check, data):
    (data / "images" / "val" / "a.png").write_bytes(b"")
    assert check(data, "--json", data / "report.json")[0] == 1
    status, text, _ = check(data, "--json", "-")
    assert status == 1
    report = json.loads(text)
    assert report == json.loads((data / "report.json").read_text())
    assert not report["fit"]
    assert report["splits"]["train"]["pairs"] == 1
    (finding,) = report["findings"]
    assert (finding["kind"], finding["severity"]) == ("damaged", "error")
    assert finding["files"] == ["images/val/a.png"]


def test_wrong_requests(check, tmp_path):
    status, _, error = check(tmp_path)
    assert status == 2
    assert "no data set of a known layout; found an empty folder" in error
    status, _, error = check(tmp_path, "--json", tmp_path / "gone" / "report.json")
    assert status == 2
    assert "is not there; make it" in error
