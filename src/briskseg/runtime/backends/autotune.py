"""Which file, backend, precision and number of threads is fastest here: measured once, remembered.

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
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.cache import cache_folder
from briskseg.core.errors import BriskError, MissingExtraError, RequestError
from briskseg.core.exported import read_exported
from briskseg.core.files.atomic import write_whole
from briskseg.runtime.backends import BACKENDS, backends_here
from briskseg.runtime.model_files import EXPORTED, sha256

# Which backend is fastest depends on the size, so they are measured at the one that runs. Where
# neither file nor card names one, images run at their own: between CamVid's and Cityscapes' then.
_USUAL_HW = (512, 1024)
_RUNS = 3
_CLEARLY = 1.3  # times as long as the fastest so far: a candidate that no further run would save

# The share of pixels whose labels may be others. bfloat16 and int8 have 8 bits.
_FLOAT32_DIFFERS, _ROUNDED_DIFFERS = 1e-3, 2e-2


class Choice(NamedTuple):
    """threads: None leaves the backend's own number."""

    file: Path
    backend: str
    threads: int | None

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", {self.threads} threads"
        return f"{self.file.name} with {self.backend}{threads}"


def choose(files: Sequence[Path], backend: str, threads: int | None) -> Choice:
    """The fastest of `files` (exported ones first) on `backend`, or on any that is installed for
    "auto". A weights file is taken where there is no exported one, or torch was asked for.

    Raises RequestError where the backend runs none of the files, MissingExtraError where nothing
    installed does, and the first candidate's error where every one fails.
    """
    if backend in ("auto", "torch"):
        exported = [file for file in files if file.suffix.lower() in EXPORTED]
        if backend == "torch" or not exported:
            return Choice(_of_kind(files, "torch"), "torch", threads)
    candidates = _candidates(files, backend, threads)
    if len(candidates) == 1:
        return candidates[0]
    key = _key(candidates)
    remembered = _remembered(key, candidates)
    return remembered if remembered is not None else _measured(candidates, key)


def _candidates(files: Sequence[Path], backend: str, threads: int | None) -> list[Choice]:
    if backend != "auto":
        _of_kind(files, backend)
    names = [n for n in BACKENDS if n != "torch"] if backend == "auto" else [backend]
    runs = [(f, n) for f in files for n in names if f.suffix.lower() in BACKENDS[n].files]
    here = backends_here() if backend == "auto" else [n for n in names if BACKENDS[n].installed()]
    there = [(file, name) for file, name in runs if name in here]
    if not there:
        name = runs[0][1]
        extra = "openvino" if name.startswith("openvino") else ""
        raise MissingExtraError(BACKENDS[name].package, f"running {runs[0][0].name}", extra)
    return [Choice(f, n, t) for f, n in there for t in _thread_numbers(threads)]


def _of_kind(files: Sequence[Path], backend: str) -> Path:
    suffixes = BACKENDS[backend].files
    for file in files:
        if file.suffix.lower() in suffixes:
            return file
    cure = "torch" if backend == "torch" else "openvino" if ".xml" in suffixes else "onnx"
    told = (
        "name the weights file, or leave out --backend"
        if cure == "torch"
        else f"make one with: briskseg export {files[-1]} --to {cure}"
    )
    raise RequestError(
        f"the backend {backend} runs {' or '.join(suffixes)} files, found {files[-1].name}; {told}"
    )


def _thread_numbers(threads: int | None) -> list[int | None]:
    """What is tried: the backend's own number, and half of the processors where these are many."""
    if threads is not None:
        return [threads]
    processors = os.cpu_count() or 1
    return [None, processors // 2] if processors >= 4 else [None]


def _measured(candidates: Sequence[Choice], key: str) -> Choice:
    """The fastest whose labels are right; remembered."""
    expected: dict[Path, npt.NDArray[np.uint8]] = {}
    times: dict[Choice, float] = {}
    first_error: BriskError | None = None
    for choice in candidates:
        try:
            labels_hw, seconds = _run(choice, min(times.values(), default=math.inf))
        except BriskError as error:
            first_error = first_error or error
            continue
        differing = np.mean(expected.setdefault(choice.file, labels_hw) != labels_hw)
        if differing <= _may_differ(choice):
            times[choice] = seconds
    if not times:
        assert first_error is not None  # the first that runs agrees with itself
        raise first_error
    best = min(times, key=lambda choice: times[choice])
    _remember(key, best, times)
    return best


def _may_differ(choice: Choice) -> float:
    rounds = choice.backend == "openvino-bf16"
    rounds = rounds or read_exported(choice.file)[1].precision == "int8"
    return _ROUNDED_DIFFERS if rounds else _FLOAT32_DIFFERS


def _run(choice: Choice, fastest: float) -> tuple[npt.NDArray[np.uint8], float]:
    """Labels of the image that all are measured on, and the least seconds of a few runs, or of the
    first where that is clearly slower than the `fastest` so far."""
    from briskseg.runtime.predictor import Predictor

    backend, card = BACKENDS[choice.backend].open(choice.file, choice.threads)
    predictor = Predictor(backend, card.model_copy(update={"input": type(card.input)()}))
    image_hwc = _image(_size(choice.file))
    labels_hw = predictor(image_hwc)  # the first run prepares
    seconds: list[float] = []
    while len(seconds) < _RUNS and min(seconds, default=0.0) <= _CLEARLY * fastest:
        started = time.perf_counter()
        predictor(image_hwc)
        seconds.append(time.perf_counter() - started)
    return labels_hw, min(seconds)


def _size(file: Path) -> tuple[int, int]:
    """The (height, width) at which a file runs: its one size, or its card's, or the usual one."""
    card, exported = read_exported(file)
    return exported.size or card.input.size or _USUAL_HW


def _image(size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Smooth patches of color."""
    patches = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = cv2.resize(patches, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(image, dtype=np.uint8)


def _key(candidates: Sequence[Choice]) -> str:
    files = {}
    for file in {choice.file for choice in candidates}:
        parts = [part for part in (file, file.with_suffix(".bin")) if part.is_file()]
        files[file.name] = [sha256(part) for part in parts], _size(file)
    packages = ("briskseg", "onnxruntime", "openvino")
    facts = [files, [str(c) for c in candidates], _machine(), [_version(name) for name in packages]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _machine() -> list[str]:
    """The processor's name and what it can, and how many there are."""
    told = [platform.machine(), platform.processor(), str(os.cpu_count())]
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return told
    return told + sorted({ln for ln in lines if ln.startswith(("model name", "flags", "Features"))})


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _remembered(key: str, candidates: Sequence[Choice]) -> Choice | None:
    try:
        best = json.loads((_folder() / f"{key}.json").read_text("utf-8"))["best"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return next((choice for choice in candidates if str(choice) == best), None)


def _remember(key: str, best: Choice, times: dict[Choice, float]) -> None:
    """Keep what was found; where nothing can be written it is measured again next time."""
    milliseconds = {str(choice): round(1e3 * seconds, 2) for choice, seconds in times.items()}
    text = json.dumps({"best": str(best), "milliseconds": milliseconds}, indent=1)
    with suppress(OSError):
        write_whole(_folder() / f"{key}.json", text + "\n")


def _folder() -> Path:
    return cache_folder() / "backends"
