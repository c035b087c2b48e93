"""A run whose set lies on the device: the same training, and it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.training.conftest import rows

from briskseg.recipe import Recipe, load_recipe
from briskseg.training.samples.gpu_cache import GpuCachedTraining

BRIEF = [
    "data.size=null", "training.batch=4", "training.epochs=2", "training.validate_every=1",
    "training.log_every=1", "training.precision=float32", "augment.noise=5",
]  # fmt: skip


def recipe_of(streets: Path, *changes: str) -> Recipe:
    recipe = load_recipe("demo", [*BRIEF, f"data.root={streets}", *changes])
    assert isinstance(recipe, Recipe)
    return recipe


def test_a_resident_run_trains_and_resumes_to_the_last_bit(
    streets: Path, tmp_path: Path, sit: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    class Counted(GpuCachedTraining):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)
            built.append(self)

    monkeypatch.setattr("briskseg.training.segmentation_task.GpuCachedTraining", Counted)
    recipe = recipe_of(streets, "data.gpu_cache=true")
    whole = sit(recipe, tmp_path / "whole")
    assert len(built) == 1
    parts = sit(recipe, tmp_path / "parts", until=5)
    sit(recipe, parts, resume=True)
    assert len(built) == 3
    one, other = (load_file(run / "model.safetensors") for run in (whole, parts))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    timed = {"seconds", "images_per_s", "waiting"}
    curves = [[{k: r[k] for k in r.keys() - timed} for r in rows(run)] for run in (whole, parts)]
    assert curves[0] == curves[1]

    workers = sit(recipe_of(streets), tmp_path / "workers")
    assert len(built) == 3
    first = [float(next(r["loss"] for r in rows(run) if r["loss"])) for run in (whole, workers)]
    assert first[0] == pytest.approx(first[1], rel=1e-3)
    shares = [float(r["waiting"]) for r in rows(whole) if r["waiting"]]
    assert len(shares) == 6
    assert all(0 < share < 1 for share in shares)
