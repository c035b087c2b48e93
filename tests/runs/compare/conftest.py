"""Made-up logs, and the command that compares them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., Path]:
    """`run_of("a", losses)`: a run folder with metrics.csv as training writes it."""

    def write(
        name: str, losses: Sequence[float], every: int = 1, batch: int = 4, pace: float = 0.5
    ) -> Path:
        run = tmp_path / name
        run.mkdir()
        with (run / "metrics.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["step", "epoch", "samples", "seconds", "loss", "val_miou"])
            for count, loss in enumerate(losses, start=1):
                step = count * every
                table.writerow([step, 0, step * batch, step * pace, repr(float(loss)), ""])
                if count % 10 == 0:
                    table.writerow([step, 1, step * batch, step * pace + 0.1, "", 0.5])
        return run

    return write


@pytest.fixture
def found(command: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """`found(a, b, "--by", "time")` -> what `compare ... --json -` prints, and its `status`."""

    def run(*words: object) -> dict[str, Any]:
        done = command("compare", *words, "--json", "-")
        assert done.err == ""
        return {**json.loads(done.out), "status": done.status}

    return run


@pytest.fixture
def refused(command: Callable[..., Any]) -> Callable[..., str]:
    """`refused(a, b)` -> the sentence with which the command refuses; its status is 2."""

    def run(*words: object, status: int = 2) -> str:
        done = command("compare", *words)
        assert (done.status, done.out) == (status, "")
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.err
        return str(done.err)

    return run
