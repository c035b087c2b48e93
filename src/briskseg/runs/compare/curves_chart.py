"""Both curves in one picture, and below them how far apart they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.runs.compare.curve import Axis, Curve
from briskseg.runs.compare.two_runs import Comparison
from briskseg.core.errors import MissingExtraError
from briskseg.core.plots import save_figure
from briskseg.core.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GRAY = "#2563eb", "#ea580c", "#475569"
_AXIS: dict[Axis, str] = {"step": "step", "samples": "samples seen", "time": "seconds"}
_STYLE: Any = {
    "svg.hashsalt": "briskseg",  # the same comparison gives the same file
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def save_picture(comparison: Comparison, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, by the file's suffix.

    Raises MissingExtraError without matplotlib, BriskError where it cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "the picture", "report") from None
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        _draw_curves(upper, comparison)
        _draw_difference(lower, comparison)
        figure.suptitle(comparison.verdict, fontsize=10)
        save_figure(figure, path)


def _draw_curves(axes: Axes, comparison: Comparison) -> None:
    names = _names(comparison.a.log, comparison.b.log)
    for curve, name, color, dashes in (
        (comparison.a, f"A  {names[0]}", _BLUE, "-"),
        (comparison.b, f"B  {names[1]}", _ORANGE, (0, (4, 2))),
    ):
        places, values = curve.along(comparison.axis)
        if comparison.window is not None:
            axes.plot(places, values, color=color, alpha=0.25, linewidth=0.7)
        else:
            axes.plot(places, values, color=color, linestyle=dashes, linewidth=1.4, label=name)
    if comparison.window is not None:
        curves = comparison.agreement.curves
        axes.plot(curves.places, curves.a, color=_BLUE, linewidth=1.8, label=f"A  {names[0]}")
        axes.plot(
            curves.places,
            curves.b,
            color=_ORANGE,
            linestyle=(0, (4, 2)),
            linewidth=1.8,
            label=f"B  {names[1]}",
        )
    axes.set_ylabel(_label(comparison.a, comparison.b))
    axes.legend()


def _draw_difference(axes: Axes, comparison: Comparison) -> None:
    found = comparison.agreement
    gaps: Floats = np.where(np.isfinite(found.relative), found.relative, np.nan)
    axes.set_xlabel(_AXIS[comparison.axis])
    axes.set_ylabel("relative difference")
    bound = found.rule.relative
    if np.nanmax(gaps, initial=0.0) == 0:
        middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "no difference", color=_GRAY, **middle)  # type: ignore[arg-type]
        axes.set_yticks([])
        return
    axes.plot(found.curves.places, gaps, color=_GRAY, linewidth=1)
    axes.set_yscale("log", nonpositive="mask")
    axes.axhline(bound, color="black", linestyle=":", linewidth=1, label=f"bound {bound:g}")
    if found.parts_at is not None:
        where = comparison.place(found.parts_at)
        axes.axvline(found.parts_at, color="#dc2626", linewidth=1.2, label=f"part at {where}")
    axes.legend()


def _label(a: Curve, b: Curve) -> str:
    return a.key if a.key == b.key else f"{a.key} / {b.key}"


def _names(a: Path, b: Path) -> tuple[str, str]:
    """The parts of the two paths in which they differ, so that they can be told apart."""
    ours, theirs = list(a.parts), list(b.parts)
    while len(ours) > 1 and len(theirs) > 1 and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    while len(ours) > 1 and len(theirs) > 1 and ours[0] == theirs[0]:
        del ours[0], theirs[0]
    return str(Path(*ours)), str(Path(*theirs))
