"""briskseg bench: how fast models run on this machine, stage by stage, and what fits a budget."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.json_file import JsonOption, check_place, is_stdout, write_json
from briskseg.cli.sizes import read_size
from briskseg.core.errors import RequestError
from briskseg.core.plots import check_figure_file

if TYPE_CHECKING:
    from briskseg.benchmark.candidates import File
    from briskseg.benchmark.speed import Candidate
    from briskseg.benchmark.speed_report import Report
    from briskseg.core.card import Card

_Models = Annotated[
    list[str], typer.Argument(help="Run folders, weights, exported files or shipped names.")
]
_Sizes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HxW",
        help="The network's input size, by default the card's; several times to compare sizes.",
    ),
]


_Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU threads; by default each backend's own number, and 1, 2, 4 ... with --budget."
    ),
]
_Budget = Annotated[
    str | None,
    typer.Option(metavar="30fps", help="Find the most accurate that meets it; or as 33ms."),
]
_Data = Annotated[
    str | None,
    typer.Option(help="With --budget: score on this data set's val, at every size."),
]
_Image = Annotated[
    Path | None, typer.Option(help="The image to run on; by default a drawn street.")
]
_Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: .png, .svg or .pdf.")]


@app.command()
def bench(
    models: _Models,
    size: _Sizes = None,
    backend: Annotated[str, typer.Option(help="all, or one: torch, onnx, openvino ...")] = "all",
    threads: _Threads = None,
    budget: _Budget = None,
    data: _Data = None,
    image: _Image = None,
    seconds: Annotated[float, typer.Option(help="How long each is measured.")] = 4.0,
    plot: _Plot = None,
    json_file: JsonOption = None,
) -> None:
    """Measure models here, end to end: read, resize, inference, decode, overlay.

    Every backend and precision at hand takes its turn on one image, each in a process of its own.
    Exported files that lie beside the weights take part (`briskseg export`, `--int8`); where there
    is none, one is made for the measurement. frames/s and --budget go from the file's bytes to the
    label map, one frame after the other. GFLOP count a multiplication with its addition as 2, and
    are compared with the peaks of this machine, measured in between.

    --budget answers with the most accurate candidate that meets it: by the mIoU in the card at the
    card's own size, or by --data at every size. Exit status: 0 met, 1 not, 2 the request was wrong.

    Example: briskseg bench runs/first --budget 30fps --plot speed.png
    """
    _check(seconds, threads, data, budget)
    check_place("--json", json_file)
    sizes = [read_size(text, "--size") for text in size or []]

    from briskseg.benchmark.budget import check_same_classes, read_budget, solve
    from briskseg.benchmark.candidates import thread_numbers
    from briskseg.benchmark.speed import measure
    from briskseg.benchmark.speed_report import Report, count_all
    from briskseg.cli.counter import counter

    limit = None if budget is None else read_budget(budget)
    if plot is not None:
        check_figure_file(plot)
    score = None if limit is None else _scorer(data)
    numbers = [threads] if threads or limit is None else [*thread_numbers()]
    with tempfile.TemporaryDirectory(prefix="briskseg-bench-") as folder:
        candidates, cards = _candidates(models, backend, numbers, sizes, Path(folder))
        if limit is not None:
            check_same_classes([*cards.items()])
        images, name = _images(image, candidates, Path(folder))
        with counter("measuring", "rounds") as progress:
            speed = measure(candidates, images, seconds, progress)
        answer = None
        if limit is not None and score is not None:
            answer = solve(limit, speed.timings, score)
        report = Report(speed, cards, name, count_all(cards, speed), answer)
    _show(report, plot, json_file)
    if answer is not None and not answer.met:
        raise typer.Exit(1)


def _check(seconds: float, threads: int | None, data: str | None, budget: str | None) -> None:
    if not seconds > 0:
        raise RequestError(f"--seconds {seconds:g}: expected a number above 0")
    if threads is not None and threads < 1:
        raise RequestError(f"--threads {threads}: expected at least 1")
    if data is not None and budget is None:
        raise RequestError("--data scores candidates for --budget, which is not given; add it")


def _candidates(
    models: Sequence[str],
    backend: str,
    numbers: Sequence[int | None],
    sizes: Sequence[tuple[int, int]],
    folder: Path,
) -> tuple[list[Candidate], dict[str, Card]]:
    """All candidates, and each model's card. What is exported for the measurement goes to
    `folder`."""
    from briskseg.benchmark.candidates import available_backends, find_candidates, read_file
    from briskseg.runtime.model_files import find_files

    backends = available_backends(backend)
    candidates: list[Candidate] = []
    cards: dict[str, Card] = {}
    for index, model in enumerate(dict.fromkeys(models)):
        files = [read_file(path) for path in find_files(Path(model))]
        cards[model] = files[-1].card
        files += _exported(files, backends, folder / str(index))
        found = find_candidates(model, files, backends, numbers, sizes)
        if not found:
            names = ", ".join(file.path.name for file in files)
            raise RequestError(
                f"none of the backends {', '.join(backends)} runs {model} ({names}) at the sizes "
                "asked for; leave out --backend and --size, or make such a file with: "
                "briskseg export"
            )
        candidates += found
    return candidates, cards


def _exported(files: Sequence[File], backends: Sequence[str], folder: Path) -> list[File]:
    """An ONNX file made of the weights, where the backends that run one have none in float32."""
    from rich.console import Console

    from briskseg.benchmark.candidates import read_file
    from briskseg.runtime.backends import BACKENDS

    weights = files[-1].path
    there = {file.path.suffix.lower() for file in files if file.precision == "float32"}
    wanting = [name for name in backends if there.isdisjoint(BACKENDS[name].files)]
    if weights.suffix != ".safetensors" or not any(
        ".onnx" in BACKENDS[name].files for name in wanting
    ):
        return []

    from briskseg.core.errors import MissingExtraError
    from briskseg.export import export

    folder.mkdir()
    with Console(stderr=True).status(f"exporting {weights} to measure it"):
        try:
            export(weights, "onnx", folder / f"{weights.stem}.onnx")
        except MissingExtraError as error:
            print(f"briskseg: only torch is measured: {error}", file=sys.stderr)
            return []
    return [read_file(folder / f"{weights.stem}.onnx")]


def _images(
    image: Path | None, candidates: Sequence[Candidate], folder: Path
) -> tuple[dict[tuple[int, int], Path], str]:
    """The image file for each input size, and what it is: the user's own, else a drawn street."""
    from briskseg.benchmark.speed import draw_street
    from briskseg.core.images import image_size

    sizes = {candidate.size_hw for candidate in candidates}
    if image is not None:
        height, width = image_size(image)
        return dict.fromkeys(sizes, image), f"{image.name}, {height}x{width}"
    drawn = {}
    for height, width in sizes:
        drawn[height, width] = folder / f"street-{height}x{width}.jpg"
        draw_street((height, width), drawn[height, width])
    return drawn, "a drawn street of the input's size, JPEG"


def _scorer(data: str | None) -> Callable[[Candidate], float | None]:
    """The mIoU of a candidate: on the data set's val, or as its card has it."""
    from briskseg.benchmark.budget import card_score
    from briskseg.benchmark.candidates import read_file

    if data is None:
        return lambda one: card_score(read_file(one.path).card, one.precision, one.size_hw)

    from briskseg.benchmark.stopwatch import open_predictor
    from briskseg.cli.counter import counter
    from briskseg.data import open_dataset
    from briskseg.evaluation.accuracy import evaluate

    dataset = open_dataset(data)
    known: dict[tuple[Path, str, tuple[int, int]], float] = {}

    def score(one: Candidate) -> float | None:
        key = one.path, one.backend, one.size_hw
        if key not in known:
            with counter(f"scoring {one}") as progress:
                predictor = open_predictor(one.path, one.backend, one.threads, one.size_hw)
                found = evaluate(predictor, dataset, progress=progress)
            known[key] = found.miou
        return known[key]

    return score


def _show(report: Report, plot: Path | None, json_file: Path | None) -> None:
    from briskseg.benchmark.speed_chart import save_picture
    from briskseg.cli.speed_table import print_report

    if plot is not None:
        save_picture(report, plot)
    if not is_stdout(json_file):
        print_report(report)
    write_json(json_file, report.to_json())
