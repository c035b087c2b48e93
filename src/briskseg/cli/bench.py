"""briskseg bench: how fast models run on this machine, stage by stage, and what fits a budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app, console
from briskseg.cli.options import PlotOption, open_data, read_size
from briskseg.core.errors import RequestError
from briskseg.core.wording import hxw

if TYPE_CHECKING:
    from briskseg.benchmark.speed import Candidate
    from briskseg.benchmark.speed_report import Report
    from briskseg.data.dataset import Dataset

_Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="Run folders, weights, exported files, shipped names or hf://OWNER/NAME.",
    ),
]
_All = Annotated[
    bool,
    typer.Option(
        "--all",
        help="Show which models no other beats in both accuracy and time. Without MODEL: of all "
        "networks with a published score on Cityscapes.",
    ),
]
_Sizes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HxW",
        help="The network's input size, by default the card's. Repeat it to compare sizes.",
    ),
]
_Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU threads; by default each backend's own choice, with --budget 1, 2, 4 ..."
    ),
]
_Budget = Annotated[
    str | None,
    typer.Option(metavar="30fps", help="Find the most accurate that meets this budget; or 33ms."),
]
_Data = Annotated[
    str | None,
    typer.Option(help="With --budget or --all: score on this data set's val split, at every size."),
]
_Image = Annotated[
    Path | None, typer.Option(help="The image to run on; by default a drawn street.")
]


@app.command()
def bench(
    models: _Models = None,
    compares: _All = False,
    size: _Sizes = None,
    backend: Annotated[str, typer.Option(help="all, or one: torch, onnx, openvino ...")] = "all",
    threads: _Threads = None,
    budget: _Budget = None,
    data: _Data = None,
    image: _Image = None,
    seconds: Annotated[float, typer.Option(help="How long to measure each candidate.")] = 4.0,
    plot: PlotOption = None,
    json_file: console.JsonOption = None,
) -> None:
    """Measure models on this machine, end to end: read, resize, inference, decode, overlay.

    Each installed backend and precision is measured on one image, in a process of its own. Exported
    files beside the weights take part (`briskseg export`, `--int8`); if there are none, one is made
    for the measurement. frames/s and --budget count from the file's bytes to the label map, one
    frame at a time. GFLOP count a multiplication and an addition as 2, and are compared with this
    machine's peak, measured in the same run.

    --budget finds the most accurate candidate that meets it: by the mIoU in the card, which is for
    the card's size, or by --data at every size. Exit status: 0 met, 1 not met, 2 the request was
    wrong.

    --all compares models by these scores in a table, and with --plot in a picture of mIoU against
    milliseconds. The published networks are timed with random weights, which take the same time.

    Example: briskseg bench runs/first --size 480x640 --budget 30fps --plot speed.png
    """
    _check(models, compares, seconds, threads, data, budget)
    if image is not None:
        _check_image(image)
    sizes = [read_size(text, "--size") for text in size or []]

    from rich.console import Console

    from briskseg.benchmark.budget import check_same_classes, read_budget, solve
    from briskseg.benchmark.candidates import available_backends, find_all, thread_numbers
    from briskseg.benchmark.speed import measure
    from briskseg.benchmark.speed_report import Report, count_all
    from briskseg.benchmark.untrained import write_untrained
    from briskseg.cli.bench_output import print_report
    from briskseg.evaluation.accuracy import check_classes

    limit = None if budget is None else read_budget(budget)
    numbers = [threads] if threads or limit is None else [*thread_numbers()]
    backends = available_backends(backend)
    dataset = None if data is None else open_data(data)
    score = _scorer(dataset)
    with tempfile.TemporaryDirectory(prefix="briskseg-bench-") as folder:
        with Console(stderr=True).status("preparing the files to measure"):
            chosen = {name: Path(name) for name in models or []} or write_untrained(Path(folder))
            search = find_all(chosen, backends, numbers, sizes, Path(folder))
        if not models:
            search.notes.append(
                "The networks have random weights, which change no time; their mIoU is the "
                "published one on Cityscapes val, at the published size."
            )
        if limit is not None or compares:
            check_same_classes([*search.cards.items()])
        if dataset is not None:
            for card in search.cards.values():
                check_classes(card.labels.names, dataset.of_classes(card.labels.names))
        shapes = {candidate.size_hw for candidate in search.candidates}
        images, name = _images(image, shapes, Path(folder))
        with console.counter("measuring", "rounds") as progress:
            speed = measure(search.candidates, images, seconds, progress)
        answer = None if limit is None else solve(limit, speed.timings, score)
        scores = {t.candidate: score(t.candidate) for t in speed.timings if compares}
        work = count_all(search.cards, speed)
        report = Report(speed, search.cards, name, work, answer, search.notes, scores)
    if not console.is_stdout(json_file):
        print_report(report)
    if plot is not None:
        _draw(report, plot)
    console.write_json(json_file, report.to_json())
    if answer is not None and not answer.met:
        raise typer.Exit(1)


def _check(
    models: list[str] | None,
    compares: bool,
    seconds: float,
    threads: int | None,
    data: str | None,
    budget: str | None,
) -> None:
    if not models and not compares:
        raise RequestError(
            "nothing to measure: name models, or add --all for every network with a published score"
        )
    if not seconds > 0:
        raise RequestError(f"--seconds {seconds:g}: expected a number above 0")
    if threads is not None and threads < 1:
        raise RequestError(f"--threads {threads}: expected at least 1")
    if data is not None and budget is None and not compares:
        raise RequestError("--data scores candidates for --budget or --all; add one of them")
    if data is not None and not models:
        raise RequestError(
            "--all without models times networks of random weights, which --data cannot score; "
            "name trained ones: briskseg bench MODEL ... --all --data DIR"
        )


def _check_image(image: Path) -> None:
    from briskseg.core.images import read_image

    if not image.is_file():
        raise RequestError(f"--image {image} is no file, expected a picture; name one")
    read_image(image)  # a damaged one is named before files are made to measure


def _images(
    image: Path | None, shapes: set[tuple[int, int]], folder: Path
) -> tuple[dict[tuple[int, int], Path], str]:
    """The image file to run on at each input size, and what the report calls it."""
    from briskseg.core.images import image_size, write_jpeg
    from briskseg.data.synthetic import SMALLEST, draw_scene

    if image is not None:
        return dict.fromkeys(shapes, image), f"{image.name}, {hxw(image_size(image))}"
    drawn = {}
    for shape in shapes:
        if min(shape) < SMALLEST:
            raise RequestError(
                f"no street is drawn at {hxw(shape)} pixels, the size that is to be measured; "
                "name a picture with --image FILE"
            )
        drawn[shape] = folder / f"street-{hxw(shape)}.jpg"
        write_jpeg(drawn[shape], draw_scene(0, shape)[0])
    return drawn, "a drawn street of the input's size, JPEG"


def _scorer(dataset: Dataset | None) -> Callable[[Candidate], float | None]:
    """The mIoU of a candidate: on the data set's val, or as its card has it."""
    from briskseg.benchmark.budget import card_score
    from briskseg.runtime.model_files import read_file

    if dataset is None:
        return lambda one: card_score(read_file(one.path)[0], one.precision, one.size_hw)

    from briskseg.benchmark.worker import open_predictor
    from briskseg.evaluation.accuracy import evaluate

    known: dict[tuple[Path, str, tuple[int, int]], float] = {}

    def score(one: Candidate) -> float | None:
        key = one.path, one.backend, one.size_hw  # threads change no label
        if key not in known:
            with console.counter(f"scoring {one}") as progress:
                predictor = open_predictor(one.path, one.backend, one.threads, one.size_hw)
                known[key] = evaluate(predictor, dataset, progress=progress).miou
        return known[key]

    return score


def _draw(report: Report, path: Path) -> None:
    from briskseg.benchmark.front_chart import save_front
    from briskseg.benchmark.speed_chart import save_picture

    if report.scores:
        save_front(report, path)
    else:
        save_picture(report, path)
