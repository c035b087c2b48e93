"""briskseg bench: how fast models run on this machine, stage by stage, and what fits a budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.console import (
    WIDTH,
    JsonOption,
    check_json,
    counter,
    is_stdout,
    percent,
    plain_console,
    plain_table,
    print_rows,
    write_json,
)
from briskseg.cli.options import read_size
from briskseg.core.errors import RequestError
from briskseg.core.plots import check_figure_file

if TYPE_CHECKING:
    from rich.table import Table

    from briskseg.benchmark.budget import Answer
    from briskseg.benchmark.roofline import Peaks
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
    check_json(json_file)
    sizes = [read_size(text, "--size") for text in size or []]

    from rich.console import Console

    from briskseg.benchmark.budget import check_same_classes, read_budget, solve
    from briskseg.benchmark.candidates import available_backends, find_all, thread_numbers
    from briskseg.benchmark.speed import draw_streets, measure
    from briskseg.benchmark.speed_report import Report, count_all
    from briskseg.core.images import image_size

    limit = None if budget is None else read_budget(budget)
    if plot is not None:
        check_figure_file(plot)
    score = None if limit is None else _scorer(data)
    numbers = [threads] if threads or limit is None else [*thread_numbers()]
    backends = available_backends(backend)
    with tempfile.TemporaryDirectory(prefix="briskseg-bench-") as folder:
        with Console(stderr=True).status("preparing the files to measure"):
            search = find_all(models, backends, numbers, sizes, Path(folder))
        if limit is not None:
            check_same_classes([*search.cards.items()])
        shapes = {candidate.size_hw for candidate in search.candidates}
        if image is None:
            images, name = draw_streets(shapes, Path(folder)), _DRAWN
        else:
            height, width = image_size(image)
            images, name = dict.fromkeys(shapes, image), f"{image.name}, {height}x{width}"
        with counter("measuring", "rounds") as progress:
            speed = measure(search.candidates, images, seconds, progress)
        answer = None
        if limit is not None and score is not None:
            answer = solve(limit, speed.timings, score)
        work = count_all(search.cards, speed)
        report = Report(speed, search.cards, name, work, answer, search.unmeasured)
    _show(report, plot, json_file)
    if answer is not None and not answer.met:
        raise typer.Exit(1)


_DRAWN = "a drawn street of the input's size, JPEG"


def _check(seconds: float, threads: int | None, data: str | None, budget: str | None) -> None:
    if not seconds > 0:
        raise RequestError(f"--seconds {seconds:g}: expected a number above 0")
    if threads is not None and threads < 1:
        raise RequestError(f"--threads {threads}: expected at least 1")
    if data is not None and budget is None:
        raise RequestError("--data scores candidates for --budget, which is not given; add it")


def _scorer(data: str | None) -> Callable[[Candidate], float | None]:
    """The mIoU of a candidate: on the data set's val, or as its card has it."""
    from briskseg.benchmark.budget import card_score
    from briskseg.benchmark.candidates import read_file

    if data is None:
        return lambda one: card_score(read_file(one.path).card, one.precision, one.size_hw)

    from briskseg.benchmark.worker import open_predictor
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
    if plot is not None:
        from briskseg.benchmark.speed_chart import save_picture

        save_picture(report, plot)
    if not is_stdout(json_file):
        _print(report)
    write_json(json_file, report.to_json())


def _print(report: Report) -> None:
    """The stages' times, then rates and sizes, the machine, what to mind, and the budget's answer.

    Candidates are in the order of their speed.
    """
    console = plain_console(WIDTH)
    timings = sorted(report.speed.timings, key=lambda timing: timing.median("labels"))
    console.print(f"On {report.image}; milliseconds, a frame at a time.\n")
    _print_times(report, timings)
    console.print(
        "\nlabels: read to decode, the file's bytes to the label map. whole: overlay too.\n"
    )
    _print_rates(report, timings)
    console.print()
    for line in [*_works(report), *_machine(report), *report.notes]:
        console.print(line)
    if report.answer is not None:
        console.print(f"\n{_answer(report.answer)}")


def _print_times(report: Report, timings: list[Timing]) -> None:
    from briskseg.benchmark.speed import SUMS
    from briskseg.benchmark.speed_report import PERCENTILES
    from briskseg.benchmark.worker import STAGES

    columns = (*STAGES, *SUMS)
    rows: list[list[str]] = []
    for timing in timings:
        rows += [[]] * bool(rows)  # an empty line between candidates
        for line, share in zip(_names(report, timing), PERCENTILES, strict=True):
            rows.append([line, f"p{share}"])
            rows[-1] += [f"{timing.percentile(stage, share):.1f}" for stage in columns]
    print_rows(_table(28, "", *columns), (row or [""] for row in rows), WIDTH)


def _print_rates(report: Report, timings: list[Timing]) -> None:
    table = _table(40, "frames/s", "memory MB", "file MB", "GFLOP/s", "of peak", "spread")
    print_rows(table, (_rates(report, timing) for timing in timings), WIDTH)


def _rates(report: Report, timing: Timing) -> Iterable[str]:
    rate, share = report.flop_per_s(timing), report.peak_share(timing)
    return (
        ", ".join(_names(report, timing)[:2]),
        f"{timing.frames_per_s:.1f}",
        "-" if timing.memory is None else f"{timing.memory / 1e6:.0f}",
        f"{timing.file_bytes / 1e6:.1f}",
        "-" if rate is None else f"{rate / 1e9:.1f}",
        "-" if share is None else f"{share:.0%}",
        f"{timing.spread:.0%}",
    )


def _table(name_width: int, *headings: str) -> Table:
    table = plain_table("candidate", *headings)
    table.columns[0].max_width, table.columns[0].overflow = name_width, "fold"
    return table


def _names(report: Report, timing: Timing) -> list[str]:
    """What distinguishes a candidate, in three lines: what computes, its input, and the file."""
    candidate = timing.candidate
    height, width = candidate.size_hw
    threads = "" if candidate.threads is None else f", {_threads(candidate.threads)}"
    model = f"{Path(candidate.model).name}: " if len(report.cards) > 1 else ""
    return [candidate.way, f"{height}x{width}{threads}", f"{model}{candidate.path.name}"]


def _works(report: Report) -> list[str]:
    lines = []
    for (model, (height, width)), work in report.work.items():
        if work is not None:
            network = report.cards[model].network.name
            lines.append(
                f"{network} at {height}x{width}: {work.flop / 1e9:.2f} GFLOP (1 MAC = 2 FLOP), "
                f"{work.values / 1e6:.0f} million numbers in and out of its layers."
            )
    return list(dict.fromkeys(lines))


def _machine(report: Report) -> list[str]:
    return [
        f"This machine's peaks on {_threads(threads)}: {_peaks(peaks)}."
        for threads, peaks in report.speed.peaks.items()
    ]


def _threads(threads: int | None) -> str:
    return "all threads" if threads is None else f"{threads} thread{'s' * (threads > 1)}"


def _peaks(peaks: Peaks) -> str:
    int8 = "" if peaks.int8 is None else f"int8 {peaks.int8 / 1e9:.0f}, "
    return (
        f"float32 {peaks.float32 / 1e9:.0f}, {int8}in 10^9 operations/s; "
        f"memory copy {peaks.copy / 1e9:.1f} GB/s"
    )


def _answer(answer: Answer) -> str:
    timing, budget = answer.timing, answer.budget
    speed = f"{timing.median('labels'):.1f} ms, {timing.frames_per_s:.1f} frames/s"
    if not answer.met:
        return (
            f"{budget.text} is not met: the nearest is {timing.candidate} with {speed}, "
            f"{answer.over:.1f} ms over."
        )
    score = "its score is not known" if answer.score is None else f"mIoU {percent(answer.score)} %"
    slow = timing.percentile("labels", 95)
    late = ""
    if slow > budget.milliseconds:
        late = f" One frame in twenty takes longer than the budget (p95 {slow:.1f} ms)."
    return f"{budget.text} is met: {timing.candidate} with {speed}; {score}.{late}"
