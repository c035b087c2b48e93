"""The curves of a run as SVG, in the page's own text color so that they fit light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from briskseg.core import plots
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import smoothed
from briskseg.runs.report.run_content import Run
from briskseg.runs.run_folder import Row

_WINDOWS = 40  # the loss is averaged over this part of the run, so that its trend is seen


def curves(run: Run) -> dict[str, str]:
    """Title -> SVG of the run's curves: loss, validation scores, learning rate; those that exist.

    Raises MissingExtraError without matplotlib.
    """
    charts = {}
    if any("loss" in row or "val_loss" in row for row in run.metrics):
        charts["Loss"] = _svg(run, _draw_loss)
    if run.validations:
        charts["Validation scores"] = _svg(run, _draw_scores)
    if any("lr" in row for row in run.metrics):
        charts["Learning rate"] = _svg(
            run,
            lambda axes, run: plots.draw_line(
                axes, *_points(run, run.metrics, "lr"), plots.BLUE, "learning rate"
            ),
        )
    return charts


def curves_png(run: Run) -> bytes:
    """Loss and validation scores side by side, as a PNG file for pages that take no SVG.

    Raises MissingExtraError without matplotlib.
    """
    draws = [_draw_loss, _draw_scores] if run.validations else [_draw_loss]
    with plots.new_figure(4.4 * len(draws), 2.9) as figure:
        for number, draw in enumerate(draws, start=1):
            _fill(figure.add_subplot(1, len(draws), number), run, draw)
        return plots.png(figure)


def _svg(run: Run, draw: Callable[[plots.Axes, Run], None]) -> str:
    with plots.new_figure(4.4, 2.9) as figure:
        _fill(figure.add_subplot(), run, draw)
        return plots.inline_svg(figure)


def _fill(axes: plots.Axes, run: Run, draw: Callable[[plots.Axes, Run], None]) -> None:
    draw(axes, run)
    axes.set_xlabel("epoch" if _epochs_per_step(run) else "step")
    axes.locator_params(axis="x", integer=True)
    axes.grid()


def _draw_loss(axes: plots.Axes, run: Run) -> None:
    at, loss = _points(run, run.metrics, "loss")
    label = "training"
    if len(at) > 2 * _WINDOWS:
        plots.draw_raw(axes, at, loss, plots.BLUE)
        loss = smoothed(at, loss, (at[-1] - at[0]) / _WINDOWS)
        label = "training, smoothed"
    plots.draw_line(axes, at, loss, plots.BLUE, label)
    plots.draw_line(axes, *_points(run, run.validations, "val_loss"), plots.ORANGE, "validation")
    plots.legend_above(axes, 2)


def _draw_scores(axes: plots.Axes, run: Run) -> None:
    scores = (
        ("val_miou", plots.BLUE, "mIoU"),
        ("val_pixel_accuracy", plots.GREEN, "pixel accuracy"),
        ("val_top1", plots.BLUE, "top-1 accuracy"),
        ("val_top5", plots.GREEN, "top-5 accuracy"),
    )
    for key, color, label in scores:
        at, share = _points(run, run.validations, key)
        if not len(at):  # another kind of run
            continue
        plots.draw_line(axes, at, 100 * share, color, label)
    axes.set_ylabel("%")
    plots.legend_above(axes, 2)


def _points(run: Run, rows: Iterable[Row], key: str) -> tuple[Floats, Floats]:
    """Where and what: the column `key` of the rows that hold it, along the run."""
    per_step = _epochs_per_step(run) or 1
    held = [(row.get("step", 0.0) * per_step, row[key]) for row in rows if key in row]
    table = np.array(held, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _epochs_per_step(run: Run) -> float | None:
    """Every epoch has as many steps, but for the last one where the steps or the time ran out; None
    before the first validation, which counts both."""
    first = run.validations[0] if run.validations else {}
    return first["epoch"] / first["step"] if first.get("epoch") and first.get("step") else None
