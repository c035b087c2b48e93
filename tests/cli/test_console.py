"""What any terminal meets: one that cannot encode a name, and one that has gone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Done

from briskseg.cli import console, main
from briskseg.core.card import LabelsCard, load_weights, save_weights
from briskseg.core.images import write_png

NAMES = ("Straße", "道路", "Öl 🚗")


@pytest.fixture(scope="module")
def foreign(weights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, weights and a photo whose names few encodings have."""
    folder = tmp_path_factory.mktemp("foreign")
    tensors, card = load_weights(weights_file)
    labels = LabelsCard(names=NAMES, colors=card.labels.colors)
    sized = card.input.model_copy(update={"size": (32, 48)})
    card = card.model_copy(update={"labels": labels, "input": sized})
    save_weights(folder / "größe.safetensors", tensors, card)
    rng = np.random.default_rng(1)
    for split in ("train", "val"):
        for kind, high, shape in (("images", 256, (32, 48, 3)), ("labels", 3, (32, 48))):
            path = folder / "data" / kind / split / "straße-道.png"
            path.parent.mkdir(parents=True)
            write_png(path, rng.integers(0, high, shape, dtype=np.uint8))
    (folder / "data" / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def run(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """`run("ascii", "check", "data")` is `briskseg check data` there, in such a terminal."""
    monkeypatch.chdir(foreign)
    monkeypatch.setenv("COLUMNS", "100")

    def run(encoding: str, *words: str) -> Done:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
        monkeypatch.setattr("sys.stdout", streams[0])
        monkeypatch.setattr("sys.stderr", streams[1])
        monkeypatch.setattr("sys.argv", ["briskseg", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        for stream in streams:
            stream.flush()
        out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
        return Done(int(ended.value.code or 0), out, err)

    return run


VERBS = [
    (["--help"], 0),
    (["train", "--help"], 0),
    (["check", "data"], 0),
    (["evaluate", "größe.safetensors", "--data", "data"], 0),
    (["predict", "größe.safetensors", "data/images/val", "--out", "größer"], 0),
    (["export", "größe.safetensors", "--to", "onnx", "--size", "32x48"], 0),
    (["bench", "größe.safetensors", "--backend", "torch", "--seconds", "0.01"], 0),
    (["compare", "道.csv", "größe.csv"], 2),
    (["convert", "道.pth"], 2),
    (["report", "道"], 2),
    (["recipes"], 0),
    (["models"], 0),
    (["data"], 0),
    (["train", "道"], 2),
    (["demo", "--out", "data"], 2),
]


@pytest.mark.parametrize(("words", "status"), VERBS, ids=[words[0] for words, _ in VERBS])
def test_ascii_stops_no_verb(run: Callable[..., Done], words: list[str], status: int) -> None:
    done = run("ascii", *words)
    assert done.status == status, done.err
    assert "defect" not in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_an_encoding_lacks_is_escaped(run: Callable[..., Done], encoding: str) -> None:
    done = run(encoding, "evaluate", "größe.safetensors", "--data", "data")
    for name in NAMES:
        assert name.encode(encoding, "backslashreplace").decode(encoding) in done.out


def test_a_reader_that_has_gone_hears_no_complaint() -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-c", "from briskseg.cli import main; main()", "models"]
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""


def test_streams_that_are_closed_are_written_to_nowhere() -> None:
    verb = f"{sys.executable} -c 'from briskseg.cli import main; main()'"
    for words, status, said in (
        ("models >&-", 0, ""),
        ("report nothing >&-", 2, "briskseg: nothing is not there"),
        ("report nothing 2>&-", 2, ""),
        ("models >&- 2>&-", 0, ""),
    ):
        done = subprocess.run(f"{verb} {words}", shell=True, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == bool(said)


def test_ctrl_c_while_the_command_is_loaded_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    briskseg = Path(sys.executable).with_name("briskseg")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [briskseg, "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "briskseg: interrupted\n")


def test_a_name_that_is_too_long_for_a_table_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[bold]:car:" + "x" * 200
    console.print_table(("class", "IoU"), [(name, "12.34 %")], width=80)
    lines = capsys.readouterr().out.splitlines()
    assert "".join(line.split()[0] for line in lines[1:]) == name
    assert lines[1].endswith("12.34 %")
