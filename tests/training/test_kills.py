"""The training command, killed at random moments: the folder ends as if it had been left alone."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """benchmarks/kills.py, which kills as often as one likes."""
    path = Path(__file__).parents[2] / "benchmarks" / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_killed_run_ends_as_one_left_alone(
    kills: ModuleType, streets: Path, tmp_path: Path
) -> None:
    number = int(os.environ.get("BRISKSEG_KILLS", "3"))
    survived = kills.survive(streets, tmp_path, number, seed=1)
    assert sum(survived.values()) == number
