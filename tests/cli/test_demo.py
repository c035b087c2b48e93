"""The demo, interrupted and gone on with; its whole way is what `make demo` shows."""

from __future__ import annotations

import importlib.util
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BRISKSEG = (sys.executable, "-c", "from briskseg.cli import main; main()")


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path, command: Callable) -> None:
    (tmp_path / "streets").mkdir()
    (tmp_path / "streets" / "mine.txt").write_text("kept")
    done = command("demo", "--out", tmp_path)
    assert done.status == 2
    assert "no demo to go on with" in done.err
    assert (tmp_path / "streets" / "mine.txt").read_text() == "kept"


def test_a_folder_may_have_a_space_in_its_name(
    tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[list[str]] = []
    monkeypatch.setattr("briskseg.cli.demo.app", lambda argv, standalone_mode: words.append(argv))
    done = command("demo", "--out", tmp_path / "my [first] demo")
    assert done.status == 0, done.err
    streets, run = (str(tmp_path / "my [first] demo" / name) for name in ("streets", "run"))
    assert words[0][:3] == ["data", "draw", streets]
    assert words[2] == ["train", "demo", "--data", streets, "--out", run]
    for argv in words:
        assert f"$ briskseg {shlex.join(argv)}\n" in done.err
    assert f"{run}/report.html" in done.err


def test_without_torch_it_ends_before_it_draws(
    tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )
    done = command("demo", "--out", tmp_path / "demo")
    assert done.status == 2
    assert "training needs the package 'torch', which is not installed" in done.err
    assert not (tmp_path / "demo").exists()


def test_an_interrupted_demo_goes_on(
    tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from briskseg.cli import demo

    words: list[list[str]] = []

    def listed(argv: list[str], standalone_mode: bool) -> None:
        words.append(argv)

    out = tmp_path / "demo"
    first = subprocess.Popen([*BRISKSEG, "demo", "--out", out], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            if (out / "run" / "recipe.yaml").exists():
                break
            time.sleep(0.1)
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=120)
    assert first.returncode == 130
    monkeypatch.setattr(demo, "app", listed)
    assert command("demo", "--out", out).status == 0
    assert [argv[0] for argv in words] == ["check", "train", "evaluate", "predict"]
    assert words[1][-1] == "--resume"
