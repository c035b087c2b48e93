"""Every way to run a model that this machine has: files, backends, precisions, threads, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from briskseg.benchmark.roofline import available_threads
from briskseg.benchmark.speed import Candidate
from briskseg.core.card import Card, read_card
from briskseg.core.errors import RequestError, nearest
from briskseg.core.exported import read_exported
from briskseg.runtime.backends import BACKENDS, backends_here
from briskseg.runtime.model_files import EXPORTED

Size = tuple[int, int]


@dataclass(frozen=True)
class File:
    """A file that can be run, its card, what it computes in, and the one size that it takes."""

    path: Path
    card: Card
    precision: str = "float32"
    fixed: Size | None = None


def read_file(path: Path) -> File:
    """Raises as `read_card` and `read_exported`."""
    if path.suffix.lower() in EXPORTED:
        card, exported = read_exported(path)
        return File(path, card, exported.precision, exported.size)
    return File(path, read_card(path))


def find_candidates(
    model: str,
    files: Sequence[File],
    backends: Sequence[str],
    threads: Sequence[int | None],
    sizes: Sequence[Size],
) -> list[Candidate]:
    """The model's files, each with every one of the backends that runs it, at every size.

    Without `sizes` it is the file's only size, or its card's. A file that takes one size alone is
    left out at others, and so is one where the backend has a file of its own format in the same
    precision. Raises RequestError where no size is known.
    """
    found: dict[tuple[str, str, Size], File] = {}
    for backend in backends:
        suffixes = BACKENDS[backend].files
        runs = [file for file in files if file.path.suffix.lower() in suffixes]
        for file in sorted(runs, key=lambda f: suffixes.index(f.path.suffix.lower())):
            for size in _sizes(model, file, sizes):
                found.setdefault((backend, _precision(file, backend), size), file)
    return [
        Candidate(model, file.path, backend, precision, number, size)
        for (backend, precision, size), file in found.items()
        for number in threads
    ]


def available_backends(asked: str) -> list[str]:
    """`backends_here()`; for another name than "all" that one, or RequestError."""
    if asked == "all":
        return backends_here()
    if asked not in BACKENDS:
        raise RequestError(f"unknown backend '{asked}'; {nearest(asked, ['all', *BACKENDS])}")
    return [asked]


def thread_numbers() -> list[int]:
    """What a search tries: 1, 2, 4 ... and all that there are."""
    most = available_threads()
    return sorted({most, *(2**n for n in range(most.bit_length()) if 2**n <= most)})


def _precision(file: File, backend: str) -> str:
    return "bf16" if backend.endswith("-bf16") and file.precision == "float32" else file.precision


def _sizes(model: str, file: File, asked: Sequence[Size]) -> list[Size]:
    if file.fixed is not None:
        return [file.fixed] if not asked or file.fixed in asked else []
    if asked:
        return list(asked)
    if file.card.input.size is None:
        raise RequestError(
            f"{model} takes images of any size, and its speed depends on it; name one: "
            "--size HxW, as in --size 512x1024"
        )
    return [file.card.input.size]
