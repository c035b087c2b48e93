"""What `bench` found: numbers of each candidate, and what a reader must know to believe them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.benchmark.budget import Answer
from briskseg.benchmark.speed import BUSY, Candidate, Speed, Timing
from briskseg.benchmark.worker import STAGES
from briskseg.core.card import Card
from briskseg.core.errors import MissingExtraError
from briskseg.core.parallel import available_threads
from briskseg.runtime.model_files import model_name

if TYPE_CHECKING:
    from briskseg.benchmark.layers import Work

PERCENTILES = (50, 95, 99)

Scores = Mapping[Candidate, float | None]  # mIoU in [0, 1], None where it is not known


@dataclass(frozen=True)
class Report:
    """speed: what was timed. cards: of each model. image: what was run on. work: of each
    timing's network, None without torch. answer: of `--budget`, None where none was asked.
    search_notes: of the search for candidates, what was not made, or is not what it seems.
    scores: with `--all`, the mIoU of every timing's candidate, None where it is not known."""

    speed: Speed
    cards: Mapping[str, Card]
    image: str
    work: Mapping[tuple[str, tuple[int, int]], Work | None]
    answer: Answer | None = None
    search_notes: Sequence[str] = ()
    scores: Scores = field(default_factory=dict)

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """What each model is called here: as elsewhere, or where two would meet as it was given."""
        short = {model: model_name(Path(model)) for model in self.cards}
        met = {name for name, n in Counter(short.values()).items() if n > 1}
        return {model: model if name in met else name for model, name in short.items()}

    @functools.cached_property
    def front(self) -> list[Timing]:
        """Of those with scores, the fastest first, those that none beats in time and accuracy."""
        return pareto_front(self.speed.timings, self.scores) if self.scores else []

    def flop_per_s(self, timing: Timing) -> float | None:
        work = self.work[timing.candidate.model, timing.candidate.size_hw]
        return None if work is None else work.flop / (timing.median("inference") * 1e-3)

    def peak_share(self, timing: Timing) -> float | None:
        """Of the machine's peak in the candidate's precision, on its threads, what inference
        reaches."""
        rate = self.flop_per_s(timing)
        peak = self.speed.peaks[timing.candidate.threads].of(timing.candidate.precision)
        return None if rate is None or peak is None else rate / peak

    @property
    def notes(self) -> list[str]:
        """What a reader must know to believe the numbers."""
        notes = [*self.search_notes]
        widest = max(self.speed.timings, key=lambda timing: timing.spread)
        if widest.spread > BUSY:
            notes.append(
                f"The machine was busy: medians of rounds lie up to {widest.spread:.0%} apart "
                f"({widest.candidate}). Close other programs and run it again; comparisons within "
                "this run still hold better than its milliseconds."
            )
        fewest = min(timing.frames for timing in self.speed.timings)
        if fewest < 100:
            notes.append(
                f"p99 of {fewest} frames is nearly their slowest; --seconds measures for longer."
            )
        if None in self.work.values():
            notes.append("GFLOP are counted by torch, which is not installed.")
        notes += [f"{candidate} was left out: {why}" for candidate, why in self.speed.failures]
        return notes

    def to_json(self) -> dict[str, Any]:
        """The whole report: milliseconds, bytes, operations per second, shares in [0, 1]."""
        budget = self.answer and {
            "milliseconds": self.answer.budget.milliseconds,
            "met": self.answer.met,
            "over": max(0.0, self.answer.over),
            "candidate": self.speed.timings.index(self.answer.timing),
            "miou": self.answer.score,
        }
        return {
            "image": self.image,
            "threads": available_threads(),
            "peaks": [
                {"threads": threads, **asdict(peaks)} for threads, peaks in self.speed.peaks.items()
            ],
            "candidates": [self._candidate(timing) for timing in self.speed.timings],
            "budget": budget,
            "notes": self.notes,
        }

    def _candidate(self, timing: Timing) -> dict[str, Any]:
        work = self.work[timing.candidate.model, timing.candidate.size_hw]
        named = {**asdict(timing.candidate), "path": str(timing.candidate.path)}
        named["size"] = list(named.pop("size_hw"))
        scored = {}
        if self.scores:
            on_front = any(one is timing for one in self.front)
            scored = {"miou": self.scores[timing.candidate], "on_front": on_front}
        return {
            **named,
            **scored,
            "ran": timing.candidate.ran._asdict(),
            "frames": timing.frames,
            "milliseconds": {
                stage: {f"p{p}": timing.percentile(stage, p) for p in PERCENTILES}
                for stage in (*STAGES, "labels", "whole")
            },
            "frames_per_s": timing.frames_per_s,
            "spread": timing.spread,
            "peak_memory": timing.memory,
            "file_bytes": timing.file_bytes,
            "flop": None if work is None else work.flop,
            "flop_per_s": self.flop_per_s(timing),
            "peak_share": self.peak_share(timing),
        }


def pareto_front(timings: Sequence[Timing], scores: Scores) -> list[Timing]:
    """The timings that no other beats: whatever takes no longer is less accurate. The fastest
    comes first; those whose score is not known are left out."""
    known = [(timing.median("labels"), -score, i) for i, timing in enumerate(timings)
             if (score := scores[timing.candidate]) is not None]  # fmt: skip
    front, best = [], float("-inf")
    for _, minus_score, i in sorted(known):  # of equally fast ones the most accurate first
        if -minus_score > best:
            front.append(timings[i])
            best = -minus_score
    return front


def count_all(
    cards: Mapping[str, Card], speed: Speed
) -> dict[tuple[str, tuple[int, int]], Work | None]:
    """The work of each network at each size, as `Report.work` wants it; None without torch."""
    wanted = {(t.candidate.model, t.candidate.size_hw) for t in speed.timings}
    try:
        from briskseg.benchmark.layers import count_work
    except MissingExtraError:
        return dict.fromkeys(wanted)
    return {(m, size): count_work(cards[m].network, size) for m, size in wanted}
