"""When a run ends before its last step: nothing gets better, or time runs out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Patience:
    """Ends a run after so many validations without a new best; None: never."""

    def __init__(self, validations: int | None) -> None:
        self.validations = validations
        self.best = float("-inf")
        self.without = 0

    def count(self, score: float) -> None:
        score = 0.0 if score != score else score
        self.without = 0 if score > self.best else self.without + 1
        self.best = max(self.best, score)

    @property
    def is_over(self) -> bool:
        return self.validations is not None and self.without >= self.validations

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "without": self.without}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.without = state["best"], state["without"]


@dataclass
class Deadline:
    """When a run that begins now must have ended (`time.monotonic`), of which `end` seconds are for
    what follows the last validation, and `validation` for one, as it is known so far."""

    at: float
    end: float
    validation: float
    began: float = field(default_factory=time.monotonic)
    validating: float = 0.0  # seconds so far

    def count_validation(self, seconds: float) -> None:
        self.validation = seconds
        self.validating += seconds

    def steps_left(self, done: int, per_validation: int) -> int:
        """The steps that still fit with their validations, at the pace of those done."""
        now = time.monotonic()
        step = (now - self.began - self.validating) / done
        left = self.at - now - self.end - self.validation
        return max(0, int(left / (step + self.validation / per_validation)))
