"""Small Cityscapes trees, and the benchmark's own package to compare with."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIZE = (64, 128)


def write(path: Path, values_hw: np.ndarray) -> Path:
    """By Pillow, as the download's files are: one channel of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values_hw).save(path)
    return path


def blocks(
    rng: np.random.Generator,
    values: Sequence[int],
    side: int = 4,
    size_hw: tuple[int, int] = SIZE,
) -> np.ndarray:
    """Random squares of these values."""
    coarse = rng.choice(values, (size_hw[0] // side, size_hw[1] // side)).astype(np.uint16)
    return coarse.repeat(side, axis=0).repeat(side, axis=1)


def label_ids(instances_hw: np.ndarray) -> np.ndarray:
    """The label ids that go with instance ids, as the download's preparation makes both."""
    return np.where(instances_hw < 1000, instances_hw, instances_hw // 1000).astype(np.uint8)


class Official:
    """The benchmark's package, run as its own command runs it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        # numpy 2.4 has dropped the name under which that package calls it
        monkeypatch.setattr(np, "in1d", np.isin, raising=False)
        self.monkeypatch = monkeypatch
        self.module = importlib.import_module(
            "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
        )
        self.file = folder / "result.json"
        settings = {"quiet": True, "predictionPath": None, "predictionWalk": None}
        for name, value in {**settings, "exportFile": str(self.file)}.items():
            monkeypatch.setattr(self.module.args, name, value)

    def __call__(self, predictions: Sequence[Path], labels: Sequence[Path]) -> dict[str, Any]:
        """What it writes of these files, NaN as None."""
        with np.errstate(invalid="ignore"):
            self.module.evaluateImgLists(
                [*map(str, predictions)], [*map(str, labels)], self.module.args
            )
        written: dict[str, Any] = without_nan(json.loads(self.file.read_text()))
        return written

    def find(self, results: Path, label: Path) -> Path:
        """The file among the results that it takes for these labels' image, as the server does."""
        self.monkeypatch.setenv("CITYSCAPES_RESULTS", str(results))
        return Path(self.module.getPrediction(self.module.args, str(label)))


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Official:
    pytest.importorskip("cityscapesscripts")
    return Official(monkeypatch, tmp_path / "official")


def without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
