"""The curves of a run as SVG, in the page's own text color so that they fit light and dark."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.errors import MissingExtraError
from briskseg.core.types import Floats
from briskseg.runs.report.run_content import Row, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stands for the page's text color until the SVG is written; nothing else is drawn in it.
_INK = "#010203"
_BLUE, _ORANGE, _GREEN = "#3b82f6", "#f97316", "#10b981"
_FEW = 40  # up to so many points are dots on their line
_SMOOTHED_OVER = 40  # the thick loss line averages this share of all rows: one in 40


def curves(run: Run) -> dict[str, str]:
    """Title -> SVG of the run's curves: loss, validation scores, learning rate; those that exist.

    Raises MissingExtraError without matplotlib.
    """
    training = [row for row in run.metrics if "loss" in row]
    validations = run.validations
    charts = {}
    if training or any("val_loss" in row for row in validations):
        charts["Loss"] = _svg(run, lambda axes: _loss(axes, run, training))
    if validations:
        charts["Validation scores"] = _svg(run, lambda axes: _scores(axes, run))
    if any("lr" in row for row in training):
        charts["Learning rate"] = _svg(
            run, lambda axes: _line(axes, *_points(run, training, "lr"), _BLUE, "learning rate")
        )
    return charts


def _loss(axes: Axes, run: Run, training: Sequence[Row]) -> None:
    at, loss = _points(run, training, "loss")
    window = len(loss) // _SMOOTHED_OVER
    if window > 1:
        axes.plot(at, loss, color=_BLUE, alpha=0.25, linewidth=0.8)
        loss = _moving_average(loss, window)
    _line(axes, at, loss, _BLUE, "training" + (", smoothed" if window > 1 else ""))
    _line(axes, *_points(run, run.validations, "val_loss"), _ORANGE, "validation")
    axes.legend()


def _scores(axes: Axes, run: Run) -> None:
    for key, color, label in (
        ("val_miou", _BLUE, "mIoU"),
        ("val_pixel_accuracy", _GREEN, "pixel accuracy"),
    ):
        at, share = _points(run, run.validations, key)
        _line(axes, at, 100 * share, color, label)
    axes.set_ylabel("%")
    axes.legend()


def _points(run: Run, rows: Iterable[Row], key: str) -> tuple[Floats, Floats]:
    """Where and what: the column `key` of the rows that hold it, along the run."""
    per_step = _epochs_per_step(run)
    held = [(row.get("step", 0.0) * (per_step or 1), row[key]) for row in rows if key in row]
    table = np.array(held, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _epochs_per_step(run: Run) -> float | None:
    """Every epoch has as many steps; None before the first validation, which counts both."""
    last = run.validations[-1] if run.validations else {}
    return last["epoch"] / last["step"] if last.get("epoch") and last.get("step") else None


def _moving_average(values: Floats, window: int) -> Floats:
    """The mean of the last `window` values, of as many as there are at the start."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    mean: Floats = (total[end] - total[start]) / (end - start)
    return mean


def _line(axes: Axes, at: Floats, values: Floats, color: str, label: str) -> None:
    if len(at):
        dots = "o" if len(at) <= _FEW else ""
        axes.plot(at, values, color=color, linewidth=1.8, marker=dots, markersize=3.5, label=label)


def _svg(run: Run, draw: Callable[[Axes], None]) -> str:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "the report", "report") from error
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "briskseg",  # the same run gives the same file
        "font.size": 11,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.grid": True,
        "grid.color": _INK,
        "grid.alpha": 0.15,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(4.8, 3.1), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        draw(axes)
        axes.set_xlabel("epoch" if _epochs_per_step(run) else "step")
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    svg = text[text.index("<svg") :]  # without the XML prolog, which HTML does not know
    return svg.replace(_INK, "currentColor")
