"""What `briskseg bench` prints: times by stage, rates and sizes, the front, a budget's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from briskseg.cli import console
from briskseg.core.wording import counted, hxw

if TYPE_CHECKING:
    from briskseg.benchmark.budget import Answer
    from briskseg.benchmark.speed import Timing
    from briskseg.benchmark.speed_report import Report


def print_report(report: Report) -> None:
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
        f"{report.cards[model].network.name} at {hxw(size_hw)}: {work.flop / 1e9:.2f} GFLOP "
        f"(1 MAC = 2 FLOP), {work.values / 1e6:.0f} million numbers in and out of its layers."
        for (model, size_hw), work in report.work.items()
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
    if report.scores:
        lines.print("\nAccuracy against time; * nothing here beats it in both.\n")
        _print_front(report, timings)
    if report.answer is not None:
        lines.print(f"\n{_answer(report.answer)}")


def _print_times(report: Report, timings: list[Timing]) -> None:
    from briskseg.benchmark.speed import SUMS
    from briskseg.benchmark.speed_report import PERCENTILES
    from briskseg.benchmark.worker import STAGES

    columns = (*STAGES, *SUMS)
    rows: list[list[str]] = []
    for timing in timings:
        rows += [[""]] * bool(rows)  # an empty line between candidates
        for line, share in zip(_names(report, timing), PERCENTILES, strict=True):
            times = [f"{timing.percentile(stage, share):.1f}" for stage in columns]
            rows.append([line, f"p{share}", *times])
    console.print_table(("candidate", "", *columns), rows, width=console.WIDTH, name_width=36)


def _print_rates(report: Report, timings: list[Timing]) -> None:
    headings = ("candidate", "frames/s", "memory MB", "file MB", "GFLOP/s", "of peak", "spread")
    rows = []
    for timing in timings:
        rate, share = report.flop_per_s(timing), report.peak_share(timing)
        rows.append(
            (
                _in_one_line(report, timing),
                f"{timing.frames_per_s:.1f}",
                "-" if timing.memory is None else f"{timing.memory / 1e6:.0f}",
                f"{timing.file_bytes / 1e6:.1f}",
                "-" if rate is None else f"{rate / 1e9:.1f}",
                "-" if share is None else f"{share:.0%}",
                f"{timing.spread:.0%}",
            )
        )
    console.print_table(headings, rows, width=console.WIDTH, name_width=40)


def _print_front(report: Report, timings: list[Timing]) -> None:
    headings = ("candidate", "mIoU", "ms", "frames/s", "")
    rows = []
    for timing in timings:
        score = report.scores[timing.candidate]
        name = _in_one_line(report, timing)
        shown = "not known" if score is None else console.percent(score)
        mark = "*" * any(one is timing for one in report.front)
        rows.append(
            (name, shown, f"{timing.median('labels'):.1f}", f"{timing.frames_per_s:.1f}", mark)
        )
    console.print_table(headings, rows, width=console.WIDTH, name_width=60)


def _names(report: Report, timing: Timing) -> list[str]:
    """What distinguishes a candidate, in three lines: what computes, its input, and the file."""
    candidate = timing.candidate
    threads = "" if candidate.threads is None else f", {_threads(candidate.threads)}"
    model, file = report.names[candidate.model], candidate.path.name
    named = f"{model}: " if len(report.cards) > 1 and file.partition(".")[0] != model else ""
    return [candidate.way, f"{hxw(candidate.size_hw)}{threads}", f"{named}{file}"]


def _in_one_line(report: Report, timing: Timing) -> str:
    """Likewise, without the file; the model where there are several."""
    model = f"{report.names[timing.candidate.model]}: " if len(report.cards) > 1 else ""
    return model + ", ".join(_names(report, timing)[:2])


def _threads(threads: int | None) -> str:
    return "all threads" if threads is None else counted(threads, "thread")


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
