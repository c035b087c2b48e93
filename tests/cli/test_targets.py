"""What a verb is to write to, and cannot: a wrong request, which is known before there is work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MODEL = "fast-scnn-camvid11"
VERBS = [
    ("check", "DATA", "--fix"),
    ("check", "DATA", "--json", "x.json"),
    ("check", "DATA", "--picture", "x.png"),
    ("data", "draw"),
    ("data", "convert", "DATA"),
    ("data", "show", "DATA", "--out"),
    ("evaluate", MODEL, "--data", "DATA", "--json", "x.json"),
    ("export", MODEL, "--to", "onnx", "--size", "48x64", "--out", "x.onnx"),
    ("export", MODEL, "--to", "web", "--out"),
    ("label", "DATA", "--model", MODEL, "--out"),
    ("predict", MODEL, "DATA", "--out"),
    ("train", "demo", "--data", "DATA", "--out"),
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: "-".join(verb[:2]))
@pytest.mark.parametrize("kind", ["below a file", "closed"])
def test_what_cannot_be_written(
    command, streets: Path, tmp_path: Path, kind: str, verb: tuple[str, ...]
) -> None:
    for package in {"train": ["torch", "tensorboard"], "label": ["pyarrow"]}.get(verb[0], []):
        pytest.importorskip(package)
    target = tmp_path / "target"
    if kind == "closed":
        target.mkdir(mode=0o555)
        if os.access(target, os.W_OK):
            pytest.skip("root may write everywhere")
    else:
        target.write_text("mine")
    has_name = verb[-1].startswith("x.")
    wrong = target / "inside" / verb[-1] if has_name else target / "inside"
    words = [streets if word == "DATA" else word for word in verb[: -1 if has_name else None]]
    done = command(*words, wrong)
    assert (done.status, done.out) == (2, "")
    assert f"{target / 'inside'}" in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["target"]


def test_a_result_whose_place_a_folder_has(command, streets: Path, tmp_path: Path) -> None:
    image = next((streets / "images" / "val").iterdir())
    (tmp_path / f"{image.stem}_color.png").mkdir()
    done = command("predict", MODEL, image, "--out", tmp_path)
    assert (done.status, done.out) == (2, "")
