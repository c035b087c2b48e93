"""Every way to run a model that this machine has: files, backends, precisions, threads, sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from briskseg.benchmark.speed import Candidate
from briskseg.core.card import Card
from briskseg.core.errors import ExportError, MissingExtraError, RequestError, nearest
from briskseg.core.exported import suffix_of
from briskseg.core.parallel import available_threads
from briskseg.runtime.backends import BACKENDS, WEIGHTS, backends_here
from briskseg.runtime.model_files import find_files, read_file

Size = tuple[int, int]


class File:
    """A file that can be run, its card, what it computes in, and the one size that it takes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.card, exported = read_file(path)
        self.precision = exported.precision if exported else "float32"
        self.fixed = exported.size if exported else None


@dataclass(frozen=True)
class Search:
    """What is to be measured, each model's card, and sentences for the reader of the numbers."""

    candidates: list[Candidate]
    cards: dict[str, Card]
    notes: list[str]


def find_all(
    models: Mapping[str, Path],
    backends: Sequence[str],
    threads: Sequence[int | None],
    sizes: Sequence[Size],
    folder: Path,
) -> Search:
    """All candidates of all models, each a path by what it is called; what must be exported for
    them goes to `folder`.

    Raises RequestError where one of the models gives none, and as `find_files` and `read_file`.
    """
    search = Search([], {}, [])
    for index, (model, path) in enumerate(models.items()):
        files = [File(each) for each in find_files(path, any_size=True)]
        search.cards[model] = files[-1].card
        weights, why = files[-1].path, ""
        if weights.suffix.lower() == WEIGHTS and _lacks_onnx(files, backends):
            from briskseg.export import export

            (folder / str(index)).mkdir()
            file = folder / str(index) / f"{weights.stem}.onnx"
            try:
                export(weights, "onnx", file)
                files.append(File(file))
            except (MissingExtraError, ExportError) as error:
                note = f"Of {model} no ONNX file could be made to measure: {error}."
                search.notes.append(note)
                why = f" ({note})"
        found = find_candidates(model, files, backends, threads, sizes)
        if not found:
            names = ", ".join(file.path.name for file in files)
            raise RequestError(
                f"none of the backends {', '.join(backends)} runs {model} ({names}) at the sizes "
                "asked for; leave out --backend and --size, or make such a file with: "
                f"briskseg export{why}"
            )
        search.candidates.extend(found)
    return search


def _lacks_onnx(files: Sequence[File], backends: Sequence[str]) -> bool:
    """Whether a backend that runs ONNX files has none in float32 to run."""
    suffixes = {suffix_of(file.path) for file in files if file.precision == "float32"}
    kinds = [BACKENDS[name] for name in backends]
    return any(".onnx" in kind.files and suffixes.isdisjoint(kind.files) for kind in kinds)


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
        kind = BACKENDS[backend]
        for suffix in kind.files:  # its own format first
            for file in (file for file in files if suffix_of(file.path) == suffix):
                for size in _sizes(model, file, sizes):
                    found.setdefault((backend, kind.computes_in(file.precision), size), file)
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
