"""The training command, killed at random moments: the folder ends as if it had been left alone."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks import kills


def test_a_killed_run_ends_as_one_left_alone(streets: Path, tmp_path: Path) -> None:
    number = int(os.environ.get("BRISKSEG_KILLS", "1"))
    survived = kills.survive(streets, tmp_path, number, seed=1)
    assert sum(survived.values()) == number
