"""What `bench` found, as tables that fit 100 columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from briskseg.benchmark.budget import Answer
    from briskseg.benchmark.roofline import Peaks
    from briskseg.benchmark.speed import Timing
    from briskseg.benchmark.speed_report import Report

_WIDTH = 100


def print_report(report: Report) -> None:
    """The stages' times, then rates and sizes, the machine, what to mind, and the budget's answer.

    Candidates are in the order of their speed.
    """
    console = Console(highlight=False, markup=False, width=_WIDTH, soft_wrap=False)
    timings = sorted(report.speed.timings, key=lambda timing: timing.median("labels"))
    console.print(f"On {report.image}; milliseconds, a frame at a time.\n")
    console.print(_times(report, timings))
    console.print(
        "\nlabels: read to decode, the file's bytes to the label map. whole: overlay too.\n"
    )
    console.print(_rates(report, timings))
    console.print()
    for line in [*_works(report), *_machine(report), *report.notes]:
        console.print(line)
    if report.answer is not None:
        console.print(f"\n{_answer(report.answer)}")


def _times(report: Report, timings: list[Timing]) -> Table:
    from briskseg.benchmark.speed import SUMS
    from briskseg.benchmark.speed_report import PERCENTILES
    from briskseg.benchmark.stopwatch import STAGES

    columns = (*STAGES, *SUMS)
    table = Table(box=None, pad_edge=False)
    table.add_column("candidate", max_width=28, overflow="fold")
    table.add_column("")
    for stage in columns:
        table.add_column(stage, justify="right")
    for place, timing in enumerate(timings):
        lines = _names(report, timing)
        for line, percent in enumerate(PERCENTILES):
            name = lines[line] if line < len(lines) else ""
            values = [timing.percentile(s, percent) for s in columns]
            table.add_row(Text(name), f"p{percent}", *(f"{value:.1f}" for value in values))
        if place < len(timings) - 1:
            table.add_row()
    return table


def _rates(report: Report, timings: list[Timing]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("candidate", max_width=40, overflow="fold")
    for heading in ("frames/s", "memory MB", "file MB", "GFLOP/s", "of peak", "spread"):
        table.add_column(heading, justify="right")
    for timing in timings:
        rate, share = report.flop_per_s(timing), report.peak_share(timing)
        table.add_row(
            Text(", ".join(_names(report, timing)[:2])),
            f"{timing.frames_per_s:.1f}",
            "-" if timing.memory is None else f"{timing.memory / 1e6:.0f}",
            f"{timing.file_bytes / 1e6:.1f}",
            "-" if rate is None else f"{rate / 1e9:.1f}",
            "-" if share is None else f"{share:.0%}",
            f"{timing.spread:.0%}",
        )
    return table


def _names(report: Report, timing: Timing) -> list[str]:
    """What tells a candidate apart, in up to three lines."""
    candidate = timing.candidate
    height, width = candidate.size_hw
    threads = "" if candidate.threads is None else f", {_threads(candidate.threads)}"
    model = [Path(candidate.model).name] if len(report.cards) > 1 else []
    return [candidate.way, f"{height}x{width}{threads}", *model]


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
    told = f"{timing.median('labels'):.1f} ms, {timing.frames_per_s:.1f} frames/s"
    if not answer.met:
        return (
            f"{budget.text} is not met: the nearest is {timing.candidate} with {told}, "
            f"{answer.over:.1f} ms over."
        )
    score = "its score is not known" if answer.score is None else f"mIoU {100 * answer.score:.2f} %"
    slow = timing.percentile("labels", 95)
    late = ""
    if slow > budget.milliseconds:
        late = f" One frame in twenty takes longer than the budget (p95 {slow:.1f} ms)."
    return f"{budget.text} is met: {timing.candidate} with {told}; {score}.{late}"
