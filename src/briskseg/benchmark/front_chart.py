"""Accuracy against time in one picture: every way to run a model a point, the front a line.

A point's shape says the backend and the precision; a model is named at its fastest.
"""

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
        named, shapes = set[str](), dict[str, str]()
        sizes = {timing.candidate.size_hw for timing in report.speed.timings}
        for timing in sorted(report.speed.timings, key=lambda timing: timing.median("labels")):
            candidate, score = timing.candidate, report.scores[timing.candidate]
            if score is None:
                continue
            x, y, on_front = timing.median("labels"), 100 * score, candidate in front
            color = plots.BLUE if on_front else plots.GRAY
            shape = shapes.setdefault(
                candidate.way, plots.MARKERS[len(shapes) % len(plots.MARKERS)]
            )
            axes.plot([x], [y], shape, color=color, markersize=5)
            name = report.names[candidate.model]
            if len(sizes) > 1:
                name += f", {candidate.size_hw[0]}x{candidate.size_hw[1]}"
            if name not in named:
                named.add(name)
                axes.annotate(
                    name, (x, y), (5, 4), textcoords="offset points", fontsize=8, color=color
                )
            if on_front:
                ends[0].append(x)
                ends[1].append(y)
        axes.step(*ends, where="post", color=plots.BLUE, label="nothing is better in both")
        for way, shape in shapes.items():
            axes.plot([], [], shape, color=plots.GRAY, markersize=5, label=way)
        axes.set_xscale("log")
        plots.plain_log_numbers(axes.xaxis)
        axes.margins(x=0.2)
        axes.set_xlabel("ms per frame, from the file's bytes to labels (median)")
        axes.set_ylabel("mIoU, %")
        plots.legend_above(axes, 1 + len(shapes))
        plots.save_figure(figure, path)
