"""The most accurate way to run a model that takes no longer than a budget, on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from briskseg.benchmark.speed import Candidate, Timing
from briskseg.core.card import Card
from briskseg.core.errors import RequestError

Scorer = Callable[[Candidate], float | None]


@dataclass(frozen=True)
class Budget:
    """Milliseconds from a file's bytes to labels; `text` as the user wrote it."""

    milliseconds: float
    text: str


@dataclass(frozen=True)
class Answer:
    """timing: the one that was chosen, or the nearest where none met the budget. score: its mIoU
    in [0, 1], None where it is not known. over: by how much the nearest is over the budget, ms."""

    budget: Budget
    timing: Timing
    score: float | None
    over: float

    @property
    def met(self) -> bool:
        return self.over <= 0


def read_budget(text: str) -> Budget:
    """30fps, 33ms. Raises RequestError for anything else."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)(fps|ms)", text.strip().lower())
    if found is None or not float(found[1]) > 0:
        raise RequestError(f"--budget {text} is no budget, expected for example 30fps or 33ms")
    value = float(found[1])
    return Budget(1e3 / value if found[2] == "fps" else value, text)


def solve(budget: Budget, timings: Sequence[Timing], score: Scorer) -> Answer:
    """The most accurate of the timings whose median meets the budget; of equal ones the fastest.

    One whose score is not known comes after all whose score is. `score` is asked only of those that
    meet the budget. Where none does, the answer is the fastest.
    """
    within = [t for t in timings if t.median("labels") <= budget.milliseconds]
    if not within:
        nearest = min(timings, key=lambda t: t.median("labels"))
        return Answer(budget, nearest, None, nearest.median("labels") - budget.milliseconds)
    scores = [score(timing.candidate) for timing in within]
    best, known = max(
        zip(within, scores, strict=True),
        key=lambda pair: (-1.0 if pair[1] is None else pair[1], -pair[0].median("labels")),
    )
    return Answer(budget, best, known, best.median("labels") - budget.milliseconds)


def card_score(card: Card, precision: str, size_hw: tuple[int, int]) -> float | None:
    """The mIoU in a card, which holds at the card's own input size alone; None at others.

    An int8 file's is what it scored itself. bf16 counts as float32: nothing scores it on its own.
    Weights that were trained on val too have what they scored there before, in any precision.
    """
    if size_hw != card.input.size:
        return None
    if "val_miou_before" in card.scores:
        return card.scores["val_miou_before"]
    return card.scores.get("int8_val_miou" if precision == "int8" else "val_miou")


def check_same_classes(cards: Sequence[tuple[str, Card]]) -> None:
    """RequestError for models of different classes: their scores say nothing about each other."""
    first, reference = cards[0]
    for model, card in cards:
        if card.labels.names != reference.labels.names:
            raise RequestError(
                f"{first} knows {len(reference.labels.names)} classes "
                f"({', '.join(reference.labels.names)}) and {model} others "
                f"({', '.join(card.labels.names)}), so their scores do not compare; search among "
                "models of the same classes"
            )
