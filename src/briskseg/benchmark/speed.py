"""How fast models run here, from a file's bytes to labels: each stage, in rounds that take turns.

Every candidate (a file, a backend, threads, a size) runs in a process of its own (`stopwatch.py`).
They take turns, so that whatever else the machine does meets all of them alike, and the machine's
peaks are measured in between.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.benchmark.roofline import Peaks
from briskseg.benchmark.stopwatch import STAGES
from briskseg.core.errors import BriskError
from briskseg.core.images import write_jpeg
from briskseg.core.types import Progress
from briskseg.data.synthetic import draw_scene

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
    def way(self) -> str:
        """Backend and precision; an int8 file's rest may be in bf16, which `-bf16` tells then."""
        backend = self.backend if self.precision == "int8" else self.backend.removesuffix("-bf16")
        return f"{backend} {self.precision}"

    def __str__(self) -> str:
        height, width = self.size_hw
        threads = "" if self.threads is None else f", threads {self.threads}"
        return f"{self.model}: {self.way} at {height}x{width}{threads}"


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
    tell = progress or (lambda done, total: None)
    speed, total = Speed(), _steps(len(candidates))
    for start in range(0, len(candidates), TOGETHER):
        group = candidates[start : start + TOGETHER]
        for done in _measure_group(group, images, seconds, speed):
            tell(_steps(start) + done, total)
    if not speed.timings:
        candidate, error = speed.failures[0]
        raise BriskError(f"nothing could be measured; {candidate}: {error}")
    return speed


def _steps(candidates: int) -> int:
    """Opening is a step, and so is every round."""
    return candidates * (ROUNDS + 1)


def _measure_group(
    group: Sequence[Candidate],
    images: Mapping[tuple[int, int], Path],
    seconds: float,
    speed: Speed,
) -> Iterator[int]:
    """Add the group's timings and failures to `speed`; the steps done, after each."""
    done = 0
    with ExitStack() as stack:
        probe = stack.enter_context(_worker())
        running = []
        for candidate in group:
            worker = stack.enter_context(_worker())
            error = worker.open(candidate, images[candidate.size_hw])
            if error is None:
                running.append((Timing(candidate, _file_bytes(candidate.path)), worker))
            else:
                speed.failures.append((candidate, error))
            done += _steps(1) if error else 1
            yield done
        for _ in range(ROUNDS):
            for threads in sorted({t.candidate.threads for t, _ in running}, key=str):
                _raise_peaks(speed.peaks, threads, probe.peaks(threads))
            for timing, worker in [*running]:
                error = worker.round(timing, seconds / ROUNDS)
                if error is not None:
                    speed.failures.append((timing.candidate, error))
                    running.remove((timing, worker))
                done += 1
                yield done
    speed.timings.extend(timing for timing, _ in running)


def draw_street(size_hw: tuple[int, int], path: Path) -> None:
    """A street of this size as a JPEG file, as cameras give them."""
    image_hwc, _ = draw_scene(0, size_hw)
    write_jpeg(path, image_hwc)


def _file_bytes(path: Path) -> int:
    """Of the file, and of the second one that an OpenVINO model has."""
    weights = path.with_suffix(".bin")
    more = [weights] if path.suffix.lower() == ".xml" and weights.is_file() else []
    return sum(file.stat().st_size for file in [path, *more])


def _raise_peaks(peaks: dict[int | None, Peaks], threads: int | None, found: Peaks) -> None:
    peaks[threads] = found.best(peaks[threads]) if threads in peaks else found


class _Worker:
    """The other end of `stopwatch.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises BriskError with the process's sentence, or where it is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            status = self.process.wait()
            raise BriskError(f"its process ended with status {status}: out of memory, or a defect")
        content: dict[str, Any] = json.loads(answer)
        if "error" in content:
            raise BriskError(content["error"])
        return content

    def open(self, candidate: Candidate, image: Path) -> str | None:
        """Load the candidate and run a frame; why not, where that fails."""
        found = self.try_to(
            do="open",
            path=str(candidate.path),
            backend=candidate.backend,
            threads=candidate.threads,
            size_hw=candidate.size_hw,
            image=str(image),
        )
        return found if isinstance(found, str) else None

    def round(self, timing: Timing, seconds: float) -> str | None:
        """Add a round to the timing; why not, where that fails."""
        found = self.try_to(do="frames", seconds=seconds, least=LEAST)
        if isinstance(found, str):
            return found
        timing.rounds.append(found["frames"])
        timing.memory = found["memory"]
        return None

    def try_to(self, **request: Any) -> dict[str, Any] | str:
        try:
            return self.ask(**request)
        except BriskError as error:
            return str(error)

    def peaks(self, threads: int | None) -> Peaks:
        return Peaks(**self.ask(do="peaks", threads=threads)["peaks"])


@contextmanager
def _worker() -> Iterator[_Worker]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "briskseg.benchmark.stopwatch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is ours alone
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        yield _Worker(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
