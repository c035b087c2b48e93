"""How fast models run here, from a file's bytes to labels: each stage, in rounds that take turns.

Every candidate (a file, a backend, threads, a size) runs in a process of its own (`worker.py`).
They take turns, so that whatever else the machine does meets all of them alike, and the machine's
peaks are measured in between.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from briskseg.benchmark.roofline import Peaks
from briskseg.benchmark.worker import STAGES, Worker
from briskseg.core.errors import BriskError
from briskseg.core.exported import files_of
from briskseg.core.types import Progress
from briskseg.core.wording import hxw
from briskseg.runtime.predictor import Ran

ROUNDS = 5
TOGETHER = 6  # candidates whose processes are there at once, and take turns
LEAST = 2  # frames of a round

# Sums of stages: to the label map, and with the overlay drawn.
SUMS = {"labels": STAGES[:4], "whole": STAGES}

# Rounds whose medians lie further apart, as a share of the middle one: the machine was busy.
BUSY = 0.2


@dataclass(frozen=True)
class Candidate:
    """A way to run a model. model: as the user named it; path: the file that is run; precision:
    what it computes in; threads: None leaves the backend its own choice."""

    model: str
    path: Path
    backend: str
    precision: str
    threads: int | None
    size_hw: tuple[int, int]

    @property
    def ran(self) -> Ran:
        return Ran(str(self.path), self.backend, self.precision)

    @property
    def way(self) -> str:
        """Backend and precision; an int8 file's rest may be in bf16, which `-bf16` says then."""
        backend = self.backend if self.precision == "int8" else self.backend.removesuffix("-bf16")
        return f"{backend} {self.precision}"

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", threads {self.threads}"
        return f"{self.model}: {self.way} at {hxw(self.size_hw)}{threads}"


@dataclass
class Timing:
    """What was measured: milliseconds of every frame's stages, a list a round; the process's peak
    memory, and the file's size, in bytes."""

    candidate: Candidate
    file_bytes: int
    rounds: list[list[dict[str, float]]] = field(default_factory=list)
    memory: int | None = None

    def percentile(self, stage: str, percent: float) -> float:
        """Milliseconds of a stage or of a sum ("labels", "whole") within which so many percent of
        the frames are done."""
        return float(np.percentile([t for part in self._times(stage) for t in part], percent))

    def median(self, stage: str) -> float:
        return self.percentile(stage, 50)

    @property
    def frames(self) -> int:
        return sum(map(len, self.rounds))

    @property
    def frames_per_s(self) -> float:
        """From the file's bytes to labels, one frame after the other."""
        return 1e3 / self.median("labels")

    @property
    def spread(self) -> float:
        """How far the rounds' medians lie apart, as a share of the middle one."""
        medians = [statistics.median(part) for part in self._times("labels")]
        return (max(medians) - min(medians)) / statistics.median(medians)

    def _times(self, stage: str) -> list[list[float]]:
        stages = SUMS.get(stage, (stage,))
        return [[sum(frame[s] for s in stages) for frame in part] for part in self.rounds]


@dataclass(frozen=True)
class Speed:
    """Timings of the candidates that ran, why others did not, and peaks by number of threads."""

    timings: list[Timing] = field(default_factory=list)
    failures: list[tuple[Candidate, str]] = field(default_factory=list)
    peaks: dict[int | None, Peaks] = field(default_factory=dict)


def measure(
    candidates: Sequence[Candidate],
    images: Mapping[tuple[int, int], Path],
    seconds: float = 4.0,
    progress: Progress | None = None,
) -> Speed:
    """Time each candidate for about `seconds` in all, in rounds that take turns, on the image file
    for its input size.

    A candidate that fails is reported with its sentence, and the others go on. Raises BriskError
    where all fail.
    """
    speed, steps = Speed(), ROUNDS + 1  # of a candidate: opening is a step, and so is every round
    for start in range(0, len(candidates), TOGETHER):
        group = candidates[start : start + TOGETHER]
        for done in _measure_group(group, images, seconds, speed):
            if progress is not None:
                progress(steps * start + done, steps * len(candidates))
    if not speed.timings:
        candidate, error = speed.failures[0]
        raise BriskError(f"nothing could be measured; {candidate}: {error}")
    return speed


def _measure_group(
    group: Sequence[Candidate],
    images: Mapping[tuple[int, int], Path],
    seconds: float,
    speed: Speed,
) -> Iterator[int]:
    """Add the group's timings and failures to `speed`; the steps done, after each."""
    done = 0
    with ExitStack() as stack:
        probe = stack.enter_context(Worker())
        running: list[tuple[Timing, Worker]] = []
        for one in group:
            worker = stack.enter_context(Worker())
            try:
                worker.ask(
                    "open",
                    path=str(one.path),
                    backend=one.backend,
                    threads=one.threads,
                    size_hw=one.size_hw,
                    image=str(images[one.size_hw]),
                )
                size = sum(file.stat().st_size for file in files_of(one.path))
                running.append((Timing(one, size), worker))
                done += 1
            except BriskError as error:
                speed.failures.append((one, str(error)))
                done += ROUNDS + 1
            yield done
        for left in reversed(range(ROUNDS)):  # rounds that follow
            for threads in sorted({t.candidate.threads for t, _ in running}, key=str):
                found = Peaks(**probe.ask("peaks", threads=threads))
                speed.peaks[threads] = found.best(speed.peaks.get(threads, found))
            for timing, worker in [*running]:
                try:
                    measured = worker.ask("frames", seconds=seconds / ROUNDS, least=LEAST)
                    timing.rounds.append(measured["frames"])
                    timing.memory = measured["memory"]
                except BriskError as error:
                    speed.failures.append((timing.candidate, str(error)))
                    running.remove((timing, worker))
                    done += left
                done += 1
                yield done
    speed.timings.extend(timing for timing, _ in running)
