"""briskseg bench: how fast models run on this machine, stage by stage, and what fits a budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app, console
from briskseg.cli.options import PlotOption, read_size
from briskseg.core.errors import RequestError

if TYPE_CHECKING:
    from briskseg.benchmark.budget import Answer
    from briskseg.benchmark.speed import Candidate, Timing
    from briskseg.benchmark.speed_report import Report

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
    plot: PlotOption = None,
    json_file: console.JsonOption = None,
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
    sizes = [read_size(text, "--size") for text in size or []]

    from rich.console import Console

    from briskseg.benchmark.budget import check_same_classes, read_budget, solve
    from briskseg.benchmark.candidates import available_backends, find_all, thread_numbers
    from briskseg.benchmark.speed import measure
    from briskseg.benchmark.speed_report import Report, count_all

    limit = None if budget is None else read_budget(budget)
    numbers = [threads] if threads or limit is None else [*thread_numbers()]
    backends = available_backends(backend)
    score = _scorer(data)
    with tempfile.TemporaryDirectory(prefix="briskseg-bench-") as folder:
        with Console(stderr=True).status("preparing the files to measure"):
            search = find_all(models, backends, numbers, sizes, Path(folder))
        if limit is not None:
            check_same_classes([*search.cards.items()])
        shapes = {candidate.size_hw for candidate in search.candidates}
        images, name = _images(image, shapes, Path(folder))
        with console.counter("measuring", "rounds") as progress:
            speed = measure(search.candidates, images, seconds, progress)
        answer = None if limit is None else solve(limit, speed.timings, score)
        work = count_all(search.cards, speed)
        report = Report(speed, search.cards, name, work, answer, search.unmeasured)
    if plot is not None:
        from briskseg.benchmark.speed_chart import save_picture

        save_picture(report, plot)
    if not console.is_stdout(json_file):
        _print(report)
    console.write_json(json_file, report.to_json())
    if answer is not None and not answer.met:
        raise typer.Exit(1)


def _check(seconds: float, threads: int | None, data: str | None, budget: str | None) -> None:
    if not seconds > 0:
        raise RequestError(f"--seconds {seconds:g}: expected a number above 0")
    if threads is not None and threads < 1:
        raise RequestError(f"--threads {threads}: expected at least 1")
    if data is not None and budget is None:
        raise RequestError("--data scores candidates for --budget, which is not given; add it")


def _images(
    image: Path | None, shapes: set[tuple[int, int]], folder: Path
) -> tuple[dict[tuple[int, int], Path], str]:
    """The image file to run on at each input size, and what the report calls it."""
    from briskseg.core.images import image_size, write_jpeg
    from briskseg.data.synthetic import draw_scene

    if image is not None:
        height, width = image_size(image)
        return dict.fromkeys(shapes, image), f"{image.name}, {height}x{width}"
    drawn = {}
    for height, width in shapes:
        drawn[height, width] = folder / f"street-{height}x{width}.jpg"
        write_jpeg(drawn[height, width], draw_scene(0, (height, width))[0])
    return drawn, "a drawn street of the input's size, JPEG"


def _scorer(data: str | None) -> Callable[[Candidate], float | None]:
    """The mIoU of a candidate: on the data set's val, or as its card has it."""
    from briskseg.benchmark.budget import card_score
    from briskseg.runtime.model_files import read_file

    if data is None:
        return lambda one: card_score(read_file(one.path)[0], one.precision, one.size_hw)

    from briskseg.benchmark.worker import open_predictor
    from briskseg.data import open_dataset
    from briskseg.evaluation.accuracy import evaluate

    dataset = open_dataset(data)
    known: dict[tuple[Path, str, tuple[int, int]], float] = {}

    def score(one: Candidate) -> float | None:
        key = one.path, one.backend, one.size_hw  # threads change no label
        if key not in known:
            with console.counter(f"scoring {one}") as progress:
                predictor = open_predictor(one.path, one.backend, one.threads, one.size_hw)
                known[key] = evaluate(predictor, dataset, progress=progress).miou
        return known[key]

    return score


def _print(report: Report) -> None:
    """The stages' times, then rates and sizes, the machine, what to mind, and the budget's answer.

    Candidates are in the order of their speed.
    """
    lines = console.plain_console(console.WIDTH)
    timings = sorted(report.speed.timings, key=lambda timing: timing.median("labels"))
    lines.print(f"On {report.image}; milliseconds, a frame at a time.\n")
    _print_times(report, timings)
    lines.print(
        "\nlabels: read to decode, the file's bytes to the label map. whole: overlay too.\n"
    )
    _print_rates(report, timings)
    lines.print()
    works = [
        f"{report.cards[model].network.name} at {height}x{width}: {work.flop / 1e9:.2f} GFLOP "
        f"(1 MAC = 2 FLOP), {work.values / 1e6:.0f} million numbers in and out of its layers."
        for (model, (height, width)), work in report.work.items()
        if work is not None
    ]
    for line in dict.fromkeys(works):  # once where several models have the same network
        lines.print(line)
    for threads, peaks in report.speed.peaks.items():
        lines.print(
            f"This machine's peaks on {_threads(threads)}: float32 {peaks.float32 / 1e9:.0f}, "
            f"int8 {peaks.int8 / 1e9:.0f}, in 10^9 operations/s; "
            f"memory copy {peaks.copy / 1e9:.1f} GB/s."
        )
    for note in report.notes:
        lines.print(note)
    if report.answer is not None:
        lines.print(f"\n{_answer(report.answer)}")


def _print_times(report: Report, timings: list[Timing]) -> None:
    from briskseg.benchmark.speed import SUMS
    from briskseg.benchmark.speed_report import PERCENTILES
    from briskseg.benchmark.worker import STAGES

    columns = (*STAGES, *SUMS)
    table = console.plain_table("candidate", "", *columns)
    table.columns[0].max_width, table.columns[0].overflow = 28, "fold"
    rows: list[list[str]] = []
    for timing in timings:
        rows += [[""]] * bool(rows)  # an empty line between candidates
        for line, share in zip(_names(report, timing), PERCENTILES, strict=True):
            times = [f"{timing.percentile(stage, share):.1f}" for stage in columns]
            rows.append([line, f"p{share}", *times])
    console.print_rows(table, rows, console.WIDTH)


def _print_rates(report: Report, timings: list[Timing]) -> None:
    headings = ("frames/s", "memory MB", "file MB", "GFLOP/s", "of peak", "spread")
    table = console.plain_table("candidate", *headings)
    table.columns[0].max_width, table.columns[0].overflow = 40, "fold"
    rows = []
    for timing in timings:
        rate, share = report.flop_per_s(timing), report.peak_share(timing)
        rows.append(
            (
                ", ".join(_names(report, timing)[:2]),
                f"{timing.frames_per_s:.1f}",
                "-" if timing.memory is None else f"{timing.memory / 1e6:.0f}",
                f"{timing.file_bytes / 1e6:.1f}",
                "-" if rate is None else f"{rate / 1e9:.1f}",
                "-" if share is None else f"{share:.0%}",
                f"{timing.spread:.0%}",
            )
        )
    console.print_rows(table, rows, console.WIDTH)


def _names(report: Report, timing: Timing) -> list[str]:
    """What distinguishes a candidate, in three lines: what computes, its input, and the file."""
    candidate = timing.candidate
    height, width = candidate.size_hw
    threads = "" if candidate.threads is None else f", {_threads(candidate.threads)}"
    model = f"{Path(candidate.model).name}: " if len(report.cards) > 1 else ""
    return [candidate.way, f"{height}x{width}{threads}", f"{model}{candidate.path.name}"]


def _threads(threads: int | None) -> str:
    return "all threads" if threads is None else f"{threads} thread{'s' * (threads > 1)}"


def _answer(answer: Answer) -> str:
    timing, budget = answer.timing, answer.budget
    speed = f"{timing.median('labels'):.1f} ms, {timing.frames_per_s:.1f} frames/s"
    if not answer.met:
        return (
            f"{budget.text} is not met: the nearest is {timing.candidate} with {speed}, "
            f"{answer.over:.1f} ms over."
        )
    score = "its score is not known"
    if answer.score is not None:
        score = f"mIoU {console.percent(answer.score, ' %')}"
    slow = timing.percentile("labels", 95)
    late = ""
    if slow > budget.milliseconds:
        late = f" One frame in twenty takes longer than the budget (p95 {slow:.1f} ms)."
    return f"{budget.text} is met: {timing.candidate} with {speed}; {score}.{late}"
