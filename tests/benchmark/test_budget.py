"""The budget: read, and answered with the most accurate that meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from briskseg.benchmark.budget import card_score, check_same_classes, read_budget, solve
from briskseg.benchmark.speed import Candidate, Timing
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard
from briskseg.core.errors import RequestError


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("30fps", 1000 / 30), ("33ms", 33), ("2.5FPS", 400), (".5ms", 0.5)]
)
def test_budgets_are_rates_or_times(text: str, milliseconds: float) -> None:
    assert read_budget(text).milliseconds == pytest.approx(milliseconds)


@pytest.mark.parametrize("text", ["30", "fps", "0fps", "-3ms", "30 frames", "infms", "nanfps"])
def test_anything_else_is_no_budget(text: str) -> None:
    with pytest.raises(RequestError, match="is no budget, expected for example 30fps or 33ms"):
        read_budget(text)


def timing(name: str, *labels_ms: float) -> Timing:
    """Frames whose label map took so long, half of it inference; drawing takes as long again."""
    candidate = Candidate(name, Path(f"{name}.onnx"), "onnx", "float32", 1, (32, 32))
    stages = [
        {"read": 0, "resize": ms / 4, "inference": ms / 2, "decode": ms / 4, "overlay": ms}
        for ms in labels_ms
    ]
    return Timing(candidate, 1, [stages])


def test_the_most_accurate_within_the_budget_is_chosen() -> None:
    timings = [timing("best", 50), timing("good", 20), timing("fast", 5)]
    scores = {"best": 0.8, "good": 0.7, "fast": 0.6}
    asked = []

    def score(one: Candidate) -> float:
        asked.append(one.model)
        return scores[one.model]

    answer = solve(read_budget("40ms"), timings, score)
    assert (answer.timing.candidate.model, answer.score, answer.met) == ("good", 0.7, True)
    assert asked == ["good", "fast"]  # scoring costs: not of what is too slow anyhow
    assert solve(read_budget("50ms"), timings, score).timing.candidate.model == "best"


def test_of_equal_scores_the_fastest_and_unknown_ones_last() -> None:
    timings = [timing("slow", 20), timing("quick", 10), timing("unknown", 1)]
    scores = {"slow": 0.5, "quick": 0.5, "unknown": None}
    answer = solve(read_budget("30ms"), timings, lambda one: scores[one.model])
    assert answer.timing.candidate.model == "quick"
    answer = solve(read_budget("2ms"), timings, lambda one: scores[one.model])
    assert (answer.timing.candidate.model, answer.score) == ("unknown", None)


def test_the_median_counts_and_what_is_over_is_told() -> None:
    timings = [timing("a", 10, 12, 90), timing("b", 11, 30, 31)]
    answer = solve(read_budget("100fps"), timings, lambda _: 1.0)
    assert not answer.met
    assert (answer.timing.candidate.model, answer.over) == ("a", pytest.approx(2))


def card(names: tuple[str, ...]) -> Card:
    return Card(
        network=NetworkCard(name="erfnet", classes=len(names)),
        labels=LabelsCard(names=names, colors=((0, 0, 0),) * len(names)),
        input=InputCard(size=(32, 48)),
        scores={"val_miou": 0.5, "int8_val_miou": 0.4},
    )


def test_a_cards_score_holds_at_its_own_size_and_int8_has_its_own() -> None:
    assert card_score(card(("a", "b")), "float32", (32, 48)) == 0.5
    assert card_score(card(("a", "b")), "int8", (32, 48)) == 0.4
    assert card_score(card(("a", "b")), "float32", (64, 96)) is None


def test_weights_that_saw_val_have_what_they_scored_before() -> None:
    seen = card(("a", "b")).model_copy(update={"scores": {"val_miou_before": 0.3}})
    assert card_score(seen, "float32", (32, 48)) == card_score(seen, "int8", (32, 48)) == 0.3


def test_models_of_other_classes_are_not_compared() -> None:
    check_same_classes([("x", card(("a", "b"))), ("y", card(("a", "b")))])
    with pytest.raises(RequestError, match=r"x knows 2 classes \(a, b\) and y others \(a, c\)"):
        check_same_classes([("x", card(("a", "b"))), ("y", card(("a", "c")))])
