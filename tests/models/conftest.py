"""The published networks' weights, drawn from a seed as the fixtures were measured with them."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class Published:
    """One fixture: what a published network computed, in cases of one image each."""

    shapes: dict[str, list[int]]
    seed: int
    cases: list[dict[str, Any]]
    aliases: dict[str, str] = field(default_factory=dict)  # names of one tensor: the first's value
    gain: dict[str, float] = field(default_factory=dict)  # factors of what is drawn

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights that the fixture was measured with."""
        return {key: torch.from_numpy(self._weight(key)) for key in self.shapes}

    def _weight(self, key: str) -> np.ndarray:
        first = self.aliases.get(key, key)
        shape, rng = self.shapes[key], np.random.default_rng(zlib.crc32(first.encode()) + self.seed)
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
        return drawn.astype(np.float32) * np.float32(self.gain.get(key, 1))

    def images(self, case: int = 0) -> torch.Tensor:
        """The input that the fixture was measured with."""
        rng = np.random.default_rng(self.seed)
        return torch.from_numpy(rng.random(tuple(self.cases[case]["input"]), dtype=np.float32))

    def error(self, output: torch.Tensor, name: str, case: int = 0) -> float:
        """The largest difference from the published output, in units of its standard deviation."""
        expected = self.cases[case]["outputs"][name]
        assert list(output.shape) == expected["shape"]
        found = output.numpy().ravel()[expected["index"]]
        return float(np.abs(found - np.array(expected["value"])).max() / expected["std"])


@pytest.fixture(scope="session")
def published():
    """published(name): the fixture of that name."""

    def read(name: str) -> Published:
        found = json.loads((FIXTURES / f"{name}.json").read_text())
        optional = {key: found.get(key, {}) for key in ("aliases", "gain")}
        return Published(found["keys"], found["seed"], found["cases"], **optional)

    return read
