"""The published networks' weights, drawn from a seed as tests/fixtures was measured with them."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class Published:
    """One fixture: what a published network computed."""

    shapes: dict[str, list[int]]
    seed: int
    case: dict[str, Any]

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights that the fixture was measured with."""
        return {key: torch.from_numpy(self._weight(key)) for key in self.shapes}

    def _weight(self, key: str) -> np.ndarray:
        shape, rng = self.shapes[key], np.random.default_rng(zlib.crc32(key.encode()) + self.seed)
        if key.endswith("._scale"):  # Paddle's constant
            return np.ones(shape, np.float32)
        if key.endswith("num_batches_tracked"):
            return np.zeros(shape, np.int64)
        if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            drawn = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            drawn = 0.1 * rng.standard_normal(shape)
        else:
            drawn = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        return drawn.astype(np.float32)

    def images(self) -> torch.Tensor:
        """The input that the fixture was measured with."""
        rng = np.random.default_rng(self.seed)
        return torch.from_numpy(rng.random(tuple(self.case["input"]), dtype=np.float32))

    def error(self, output: torch.Tensor, name: str) -> float:
        """The largest difference from the published output, in units of its standard deviation."""
        expected = self.case["outputs"][name]
        assert list(output.shape) == expected["shape"]
        found = output.numpy().ravel()[expected["index"]]
        return float(np.abs(found - np.array(expected["value"])).max() / expected["std"])


@pytest.fixture(scope="session")
def published():
    """published(name, case): the fixture of that name; it may have cases of several sizes."""

    def read(name: str, case: int = 0) -> Published:
        fixture = json.loads((FIXTURES / f"{name}.json").read_text())
        return Published(fixture["keys"], fixture["seed"], fixture["cases"][case])

    return read
