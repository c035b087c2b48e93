"""Accuracy against time in one picture: every way to run a model a point, the front a line."""

from __future__ import annotations

from pathlib import Path

from briskseg.benchmark.speed_report import Report
from briskseg.core import plots


def save_front(report: Report, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, by the file's suffix.

    Raises MissingExtraError without matplotlib, BriskError where it cannot be written.
    """
    front = [timing.candidate for timing in report.front]
    with plots.new_figure(10, 6) as figure:
        axes = figure.subplots()
        ends: tuple[list[float], list[float]] = ([], [])
        for timing in sorted(report.speed.timings, key=lambda timing: timing.median("labels")):
            candidate, score = timing.candidate, report.scores[timing.candidate]
            if score is None:
                continue
            x, y, on_front = timing.median("labels"), 100 * score, candidate in front
            color = plots.BLUE if on_front else plots.GRAY
            axes.plot([x], [y], "o", color=color, markersize=4)
            label = f"{Path(candidate.model).stem}, {candidate.way}"
            axes.annotate(
                label, (x, y), (5, 3), textcoords="offset points", fontsize=7, color=color
            )
            if on_front:
                ends[0].append(x)
                ends[1].append(y)
        axes.step(*ends, where="post", color=plots.BLUE, label="nothing is better in both")
        axes.set_xscale("log")
        plots.plain_log_numbers(axes.xaxis)
        axes.margins(x=0.2)
        axes.set_xlabel("ms per frame, from the file's bytes to labels (median)")
        axes.set_ylabel("mIoU, %")
        plots.legend_above(axes, 1)
        plots.save_figure(figure, path)
