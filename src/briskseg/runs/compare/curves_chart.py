"""Both curves in one picture, and below them how far apart they are."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import numpy as np

from briskseg.core import plots
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import Axis
from briskseg.runs.compare.two_runs import Comparison

_AXIS: dict[Axis, str] = {"step": "step", "samples": "samples seen", "time": "seconds"}


def save_picture(comparison: Comparison, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, by the file's suffix.

    Raises MissingExtraError without matplotlib, BriskError where it cannot be written.
    """
    with plots.new_figure(9, 6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        _draw_curves(upper, comparison)
        _draw_difference(lower, comparison)
        figure.suptitle(fill(comparison.verdict, 90))
        plots.save_figure(figure, path)


def _draw_curves(axes: plots.Axes, comparison: Comparison) -> None:
    a, b, aligned = comparison.a, comparison.b, comparison.agreement
    names = _names(a.log, b.log)
    for letter, curve, name, smooth, color in (
        ("A", a, names[0], aligned.a, plots.BLUE),
        ("B", b, names[1], aligned.b, plots.ORANGE),
    ):
        at, values = curve.along(comparison.axis)
        if comparison.window is not None:
            plots.draw_raw(axes, at, values, color)
            at, values = aligned.positions, smooth
        plots.draw_line(axes, at, values, color, f"{letter}  {name}", dashed=letter == "B")
    axes.set_ylabel(a.key if a.key == b.key else f"{a.key} / {b.key}")
    axes.grid()
    plots.legend_above(axes, 1)  # names may be long


def _draw_difference(axes: plots.Axes, comparison: Comparison) -> None:
    found = comparison.agreement
    gaps: Floats = np.where(np.isfinite(found.relative), found.relative, np.nan)
    axes.set_xlabel(_AXIS[comparison.axis])
    axes.set_ylabel("relative difference")
    if np.nanmax(gaps, initial=0.0) == 0:
        axes.text(0.5, 0.5, "no difference", ha="center", va="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    axes.plot(found.positions, gaps, color=plots.GRAY, linewidth=1)
    axes.set_yscale("log", nonpositive="mask")
    plots.plain_log_numbers(axes.yaxis)
    bound = found.rule.relative
    axes.axhline(bound, color=plots.INK, linestyle=":", linewidth=1.2, label=f"bound {bound:g}")
    if found.parts_at is not None:
        where = comparison.position(found.parts_at)
        axes.axvline(found.parts_at, color=plots.RED, linewidth=1.2, label=f"part at {where}")
    axes.grid()
    plots.legend_above(axes, 2)


def _names(a: Path, b: Path) -> tuple[str, str]:
    """The parts of the two paths in which they differ, as short names."""
    ours, theirs = list(a.parts), list(b.parts)
    while len(ours) > 1 and len(theirs) > 1 and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    while len(ours) > 1 and len(theirs) > 1 and ours[0] == theirs[0]:
        del ours[0], theirs[0]
    return str(Path(*ours)), str(Path(*theirs))
