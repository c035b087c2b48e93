"""Speed in one picture: each candidate's stages one after the other, frames a second, and how near
its inference comes to what the machine can do."""

from __future__ import annotations

from pathlib import Path

from briskseg.benchmark.speed import Timing
from briskseg.benchmark.speed_report import Report
from briskseg.benchmark.worker import STAGES
from briskseg.core import plots
from briskseg.core.wording import counted, hxw

_COLORS = {
    "read": plots.GRAY,
    "resize": plots.AMBER,
    "inference": plots.BLUE,
    "decode": plots.GREEN,
    "overlay": plots.PALE,
}


def save_picture(report: Report, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, by the file's suffix.

    Raises MissingExtraError without matplotlib, BriskError where it cannot be written.
    """
    timings = sorted(report.speed.timings, key=lambda t: t.median("labels"))
    with plots.new_figure(11, 1.9 + 0.52 * len(timings)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        _draw_stages(left, report, timings)
        _draw_shares(right, report, timings)
        plots.name_rows(left, [_name(report, timing) for timing in timings])
        figure.legend(loc="outside lower center", ncols=len(STAGES) + 1)
        figure.suptitle(f"From the file's bytes to labels: {report.image}")
        plots.save_figure(figure, path)


def _draw_stages(axes: plots.Axes, report: Report, timings: list[Timing]) -> None:
    rows, starts = range(len(timings)), [0.0] * len(timings)
    for stage in STAGES:
        medians = [timing.median(stage) for timing in timings]
        label = f"{stage} (not in frames/s)" if stage == "overlay" else stage
        bars = axes.barh(rows, medians, 0.7, starts, color=_COLORS[stage], label=label)
        starts = [start + median for start, median in zip(starts, medians, strict=True)]
    axes.bar_label(bars, [f"{timing.frames_per_s:.1f} frames/s" for timing in timings], padding=4)
    budget = None if report.answer is None else report.answer.budget
    if budget is not None and budget.milliseconds < max(starts):  # beyond it all are within
        label = f"budget {budget.text}"
        axes.axvline(
            budget.milliseconds, color=plots.RED, linewidth=1.2, linestyle="--", label=label
        )
    axes.set_xlim(0, 1.22 * max(starts))
    axes.grid(axis="x")
    axes.set_xlabel("ms per frame, medians")


def _draw_shares(axes: plots.Axes, report: Report, timings: list[Timing]) -> None:
    for row, timing in enumerate(timings):
        share = report.peak_share(timing)
        if share is None:
            axes.text(2, row, "not known", va="center", color=plots.GRAY)
            continue
        axes.barh(row, 100, 0.7, color=plots.PALE)
        bar = axes.barh(row, 100 * share, 0.7, color=plots.PURPLE)
        axes.bar_label(bar, [f"{100 * share:.0f} %"], padding=3)
    axes.set_xlim(0, 118)
    axes.tick_params(left=False)
    axes.set_xlabel("inference, % of the machine's\nmeasured peak in its precision")


def _name(report: Report, timing: Timing) -> str:
    """What tells the candidates apart."""
    candidate = timing.candidate
    parts = [candidate.way]
    if len(report.cards) > 1:
        parts.insert(0, report.names[candidate.model])
    if len({t.candidate.size_hw for t in report.speed.timings}) > 1:
        parts.append(hxw(candidate.size_hw))
    if candidate.threads is not None:
        parts.append(counted(candidate.threads, "thread"))
    return ", ".join(parts)
