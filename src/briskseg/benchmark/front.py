"""Accuracy against time: the ways to run models that no other one here beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from briskseg.benchmark.speed import Candidate, Timing

Scores = Mapping[Candidate, float | None]  # mIoU in [0, 1], None where it is not known


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
