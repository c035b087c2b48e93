"""One candidate in a process of its own: its frames' stages timed, and its peak memory.

`python -m briskseg.benchmark.worker` answers requests, a line of JSON each, on standard output;
`Worker` asks. A process of its own, so that memory is the candidate's alone and no library's
threads or settings reach another candidate.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import cv2

from briskseg.benchmark.roofline import measure_peaks
from briskseg.core.errors import BriskError
from briskseg.core.images import read_image
from briskseg.core.overlay import overlay
from briskseg.runtime.load import open_file
from briskseg.runtime.predictor import Predictor

STAGES = ("read", "resize", "inference", "decode", "overlay")


class Worker:
    """Such a process, from the outside. Use as a context, which ends it.

    Every request raises BriskError with the process's sentence, or where it is gone.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "briskseg.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is ours alone
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The answer to a request, as `serve` lists them."""
        try:
            self._requests.write(json.dumps({"do": do, **request}) + "\n")
            self._requests.flush()
            answer = self._answers.readline()
        except OSError:
            answer = ""
        if not answer:
            status = self._process.wait()
            raise BriskError(f"its process ended with status {status}: out of memory, or a defect")
        content: dict[str, Any] = json.loads(answer)
        if "error" in content:
            raise BriskError(content["error"])
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # of a request that was still to be sent
            self._requests.close()
        self._answers.close()


class Stopwatch:
    """A predictor and an image file; `frames` times them."""

    def __init__(
        self,
        path: str,
        backend: str,
        threads: int | None,
        size_hw: Sequence[int],
        image: str,
    ) -> None:
        height, width = size_hw
        if threads is not None:
            cv2.setNumThreads(threads)
        self.predictor = open_predictor(Path(path), backend, threads, (height, width))
        self.predictor.on_stage_end = self._stage_ends
        self.label_set = self.predictor.card.labels.to_label_set()
        self.image = Path(image)
        self._times: dict[str, float] = {}
        self._last = 0.0

    def _stage_ends(self, stage: str) -> None:
        now = time.perf_counter()
        self._times[stage] = 1e3 * (now - self._last)
        self._last = now

    def frame(self) -> dict[str, float]:
        """Milliseconds of each stage: from the file's bytes to labels, and to the overlay."""
        self._times, self._last = {}, time.perf_counter()
        image_hwc = read_image(self.image)
        self._stage_ends("read")
        labels_hw = self.predictor(image_hwc)
        overlay(image_hwc, labels_hw, self.label_set)
        self._stage_ends("overlay")
        return self._times

    def frames(self, seconds: float, least: int) -> list[dict[str, float]]:
        """Frames for so long, or so many if that takes longer; one before them is not counted, as
        meanwhile another candidate had the caches."""
        self.frame()
        end = time.perf_counter() + seconds
        times: list[dict[str, float]] = []
        while len(times) < least or time.perf_counter() < end:
            times.append(self.frame())
        return times


def open_predictor(
    path: Path, backend: str, threads: int | None, size_hw: tuple[int, int]
) -> Predictor:
    """The file on this backend, whatever others there are, seeing images at `size_hw`."""
    predictor = open_file(path, backend, threads)
    sized = predictor.card.input.model_copy(update={"size": size_hw})
    predictor.card = predictor.card.model_copy(update={"input": sized})
    return predictor


def peak_memory() -> int | None:
    """Bytes; None on a system that does not say."""
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        # Not getrusage, which here begins with what the process that started this one had.
        status = Path("/proc/self/status").read_text("ascii", "replace")
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.M)
        return 1024 * int(found[1]) if found else None  # some containers leave it out
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def serve(requests: Iterable[str], answer: Callable[[dict[str, Any]], None]) -> None:
    """Answer requests until there are no more, with {"error": ...} where one fails.

    open: load a file and run a frame, as `Stopwatch` takes it; nothing. frames: as
    `Stopwatch.frames` takes it; {"frames", "memory"}: each frame's stages in ms, the process's peak
    memory in bytes. peaks: {"threads"}; the fields of `Peaks`.
    """
    stopwatch: Stopwatch | None = None
    found: dict[str, Any]
    for line in requests:
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do == "peaks":
                found = asdict(measure_peaks(**request))
            elif do == "open":
                stopwatch, found = Stopwatch(**request), {}
                stopwatch.frame()
            else:
                assert stopwatch is not None, "open comes first"
                found = {"frames": stopwatch.frames(**request), "memory": peak_memory()}
        except BriskError as error:
            found = {"error": str(error)}
        except Exception as error:  # one candidate's, as a library raised it
            found = {"error": f"{type(error).__name__}: {error}"}
        answer(found)


def main() -> None:
    # Whatever a library prints goes to standard error, the answers alone to standard output.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)

        def answer(content: dict[str, Any]) -> None:
            answers.write(f"{json.dumps(content)}\n".encode())

        with suppress(BrokenPipeError):  # who asked is gone, and nobody waits for an answer
            serve(sys.stdin, answer)


if __name__ == "__main__":
    main()
