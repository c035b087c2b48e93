"""Which file, backend and number of threads is fastest on this machine: measured once, remembered.

A candidate counts where its labels are those of the file's first candidate, but for a share of
pixels that rounding explains. Exported files were checked against their network when they were
made. What was found is kept in the user's cache folder, under a key made of the files, the sizes
they run at, the machine and the versions of the packages; it is measured again where any of these
is another.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import cv2
import numpy as np

from briskseg.core.errors import BriskError, MissingExtraError, RequestError
from briskseg.core.exported import files_of
from briskseg.core.files import cache_folder, sha256
from briskseg.core.files.atomic import write_whole
from briskseg.core.types import Labels
from briskseg.core.wording import counted
from briskseg.runtime.backends import BACKENDS, WEIGHTS, backends_here
from briskseg.runtime.model_files import read_file, weights_folder
from briskseg.runtime.predictor import Predictor

# Which backend is fastest depends on the size, so they are measured at the one that runs. Where
# neither file nor card names one, images run at their own: between CamVid's and Cityscapes' then.
_USUAL_HW = (512, 1024)
_RUNS = 3
_CLEARLY = 1.3  # times as long as the fastest so far: a candidate that no further run would save

# The share of pixels whose labels may be others. bfloat16 and int8 have 8 bits.
_FLOAT32_DIFFERS, _ROUNDED_DIFFERS = 1e-3, 2e-2


class Config(NamedTuple):
    """A way to run a network. threads: None leaves the backend's own number."""

    file: Path
    backend: str
    threads: int | None

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", {counted(self.threads, 'thread')}"
        return f"{self.file.name} with {self.backend}{threads}"


def autotune(files: Sequence[Path], backend: str, threads: int | None) -> Config:
    """The fastest of `files` on `backend`, or on any that is installed for "auto".

    Raises RequestError where the backend runs none of the files, MissingExtraError where nothing
    installed does, and the first candidate's error where every one fails.
    """
    candidates = _candidates(files, backend, threads)
    if len(candidates) == 1:
        return candidates[0]
    memory = cache_folder() / "backends" / f"{_key(candidates)}.json"
    with suppress(OSError, ValueError, LookupError, TypeError, StopIteration):  # none, or damaged
        best = json.loads(memory.read_text("utf-8"))["best"]
        return next(config for config in candidates if str(config) == best)
    times = _times(candidates)
    fastest = min(times, key=lambda config: times[config])
    milliseconds = {str(config): round(1e3 * seconds, 2) for config, seconds in times.items()}
    text = json.dumps({"best": str(fastest), "milliseconds": milliseconds}, indent=1)
    with suppress(OSError):  # where nothing can be written it is measured again next time
        write_whole(memory, text + "\n")
    return fastest


def _candidates(files: Sequence[Path], backend: str, threads: int | None) -> list[Config]:
    asked = [*BACKENDS] if backend == "auto" else [backend]
    runs = [(file, name) for file in files for name in asked if BACKENDS[name].opens(file)]
    if not runs:
        kind, file = BACKENDS[backend], files[-1]
        hint = "name the weights file, or leave out --backend"
        if kind.export is not None and file.suffix.lower() == WEIGHTS:
            is_shipped = file.parent == weights_folder()
            name = file.stem if is_shipped else quote(str(file))
            hint = f"make one with: briskseg export {name} --to {kind.export}"
            hint += ", and name that file" if is_shipped else ""
            # what lies beside a run's weights and is not among the files was made of other weights
            older = next((o for e in kind.files if (o := file.with_suffix(e)).exists()), None)
            if older is not None and not is_shipped:
                hint = f"{older} is of other weights: remove it, and {hint}"
        raise RequestError(
            f"the backend {backend} runs {' or '.join(kind.files)} files, found {file.name}; {hint}"
        )
    if backend == "auto":
        here = backends_here(dict.fromkeys(name for _, name in runs))
    else:  # the user's word counts, though this processor be slow at it
        here = asked if BACKENDS[backend].installed() else []
    found = [(file, name) for file, name in runs if name in here]
    if not found:
        (file, name), *_ = runs
        kind = BACKENDS[name]
        raise MissingExtraError(kind.package, f"running {file.name}", kind.extra)
    return [Config(f, name, t) for f, name in found for t in _thread_numbers(name, threads)]


def _thread_numbers(backend: str, threads: int | None) -> list[int | None]:
    """What is tried: the backend's own number, and half of the processors where these are many.

    For torch its own alone: its number holds for the whole process, the caller's work included.
    """
    processors = os.cpu_count() or 1
    if threads is not None or processors < 4 or backend == "torch":
        return [threads]
    return [None, processors // 2]


def _times(candidates: Sequence[Config]) -> dict[Config, float]:
    """Seconds an image of those whose labels are right."""
    expected: dict[Path, Labels] = {}
    times: dict[Config, float] = {}
    first_error: BriskError | None = None
    for config in candidates:
        try:
            labels_hw, seconds = _measure(config, min(times.values(), default=math.inf))
        except BriskError as error:
            first_error = first_error or error
            continue
        differing = np.mean(expected.setdefault(config.file, labels_hw) != labels_hw)
        precision = BACKENDS[config.backend].precision_of(config.file)
        if differing <= (_FLOAT32_DIFFERS if precision == "float32" else _ROUNDED_DIFFERS):
            times[config] = seconds
    if not times:
        assert first_error is not None  # the first that runs agrees with itself
        raise first_error
    return times


def _measure(config: Config, fastest: float) -> tuple[Labels, float]:
    """Labels of the image that all are measured on, and the least seconds of a few runs, or of the
    first where that is clearly slower than the `fastest` so far."""
    backend, card = BACKENDS[config.backend].open(config.file, config.threads)
    predictor = Predictor(backend, card.model_copy(update={"input": type(card.input)()}))
    # Smooth patches of color, so that labels have regions and borders as those of a photo do.
    patches = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    enlarged = cv2.resize(patches, _size(config.file)[::-1], interpolation=cv2.INTER_CUBIC)
    image_hwc = np.asarray(enlarged, dtype=np.uint8)
    labels_hw = predictor(image_hwc)  # the first run prepares
    seconds: list[float] = []
    while len(seconds) < _RUNS and min(seconds, default=0.0) <= _CLEARLY * fastest:
        started = time.perf_counter()
        predictor(image_hwc)
        seconds.append(time.perf_counter() - started)
    return labels_hw, min(seconds)


def _size(file: Path) -> tuple[int, int]:
    """The (height, width) at which a file runs: its one size, or its card's, or the usual one."""
    card, exported = read_file(file)
    return (exported and exported.size) or card.input.size or _USUAL_HW


def _key(candidates: Sequence[Config]) -> str:
    files = {}
    for file in {config.file for config in candidates}:
        parts = [part for part in files_of(file) if part.is_file()]
        files[file.name] = [sha256(part) for part in parts], _size(file)
    packages = sorted({"briskseg", *(BACKENDS[config.backend].package for config in candidates)})
    versions = []
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):  # run from its source
            versions.append(importlib.metadata.version(name))
    parts_of_key = [files, [str(config) for config in candidates], _machine(), versions]
    return hashlib.sha256(json.dumps(parts_of_key, sort_keys=True).encode()).hexdigest()[:32]


def _machine() -> list[str]:
    """The processor's name and what it can, and how many there are."""
    found = [platform.machine(), platform.processor(), str(os.cpu_count())]
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return found
    names = ("model name", "flags", "Features")
    return found + sorted({line for line in lines if line.startswith(names)})
