"""Speed in one picture: each candidate's stages one after the other, frames a second, and how near
its inference comes to what the machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.benchmark.speed import Timing
from briskseg.benchmark.speed_report import Report
from briskseg.benchmark.worker import STAGES
from briskseg.core.errors import MissingExtraError
from briskseg.core.plots import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = {
    "read": "#94a3b8",
    "resize": "#fbbf24",
    "inference": "#2563eb",
    "decode": "#10b981",
    "overlay": "#e2e8f0",
}
_STYLE: Any = {
    "svg.hashsalt": "briskseg",  # the same report gives the same file
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def save_picture(report: Report, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, by the file's suffix.

    Raises MissingExtraError without matplotlib, BriskError where it cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "the picture", "report") from None
    timings = sorted(report.speed.timings, key=lambda t: t.median("labels"))
    with rc_context(_STYLE):
        figure = Figure(figsize=(11, 1.9 + 0.52 * len(timings)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        _draw_stages(left, report, timings)
        _draw_shares(right, report, timings)
        figure.legend(loc="outside lower center", ncols=len(STAGES))
        figure.suptitle(f"From the file's bytes to labels: {report.image}")
        save_figure(figure, path)


def _draw_stages(axes: Axes, report: Report, timings: list[Timing]) -> None:
    places = list(range(len(timings)))
    starts = [0.0] * len(timings)
    for stage in STAGES:
        medians = [timing.median(stage) for timing in timings]
        label = f"{stage} (not in frames/s)" if stage == "overlay" else stage
        axes.barh(places, medians, left=starts, color=_COLORS[stage], label=label, height=0.7)
        starts = [start + median for start, median in zip(starts, medians, strict=True)]
    longest = max(starts)
    for place, end, timing in zip(places, starts, timings, strict=True):
        axes.text(end + 0.01 * longest, place, f"{timing.frames_per_s:.1f} frames/s", va="center")
    budget = None if report.answer is None else report.answer.budget
    if budget is not None and budget.milliseconds < longest:  # beyond it all are within
        axes.axvline(budget.milliseconds, color="#dc2626", linewidth=1.2, linestyle="--")
        axes.text(budget.milliseconds, -0.62, f" {budget.text}", color="#dc2626", va="center")
    axes.set_yticks(places, [_name(report, timing) for timing in timings])
    axes.invert_yaxis()  # the fastest on top
    axes.set_xlim(0, 1.22 * longest)
    axes.set_xlabel("ms a frame, medians")


def _draw_shares(axes: Axes, report: Report, timings: list[Timing]) -> None:
    for place, timing in enumerate(timings):
        share = report.peak_share(timing)
        if share is None:
            axes.text(1, place, "not known", va="center", color="#64748b")
            continue
        axes.barh(place, 100, color="#f1f5f9", height=0.7)
        axes.barh(place, 100 * share, color="#7c3aed", height=0.7)
        axes.text(100 * min(share, 1) + 2, place, f"{share:.0%}", va="center")
    axes.set_xlim(0, 118)
    axes.tick_params(left=False)
    axes.set_xlabel("inference, % of the machine's\nmeasured peak in its precision")


def _name(report: Report, timing: Timing) -> str:
    """What tells the candidates apart."""
    candidate = timing.candidate
    parts = [candidate.way]
    if len(report.cards) > 1:
        parts.insert(0, Path(candidate.model).name)
    if len({t.candidate.size_hw for t in report.speed.timings}) > 1:
        parts.append(f"{candidate.size_hw[0]}x{candidate.size_hw[1]}")
    if candidate.threads is not None:
        parts.append(f"{candidate.threads} thread{'s' * (candidate.threads > 1)}")
    return ", ".join(parts)
