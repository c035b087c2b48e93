"""A checked data set in one picture: what share each class has, in how many images, which sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.errors import MissingExtraError
from briskseg.core.labels import LabelSet
from briskseg.core.plots import save_figure
from briskseg.data.check.check_report import CheckReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = {"train": "#0f766e", "val": "#d97706", "test": "#7c3aed"}
_OTHER, _EDGE = "#64748b", "#475569"
_ROW_INCHES, _MARGIN_INCHES, _SIZES_INCHES = 0.42, 1.6, 2.4
_SIZES = 12  # the most frequent ones


def save_picture(report: CheckReport, labels: LabelSet, path: Path) -> None:
    """Draw the classes' shares and the sizes, as the suffix says: PNG, SVG or PDF.

    Raises MissingExtraError without matplotlib, BriskError where the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "the picture", "report") from None
    rows = _ROW_INCHES * len(report.classes) + _MARGIN_INCHES
    figure = Figure(figsize=(11, rows + _SIZES_INCHES), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[rows, _SIZES_INCHES])
    left = figure.add_subplot(grid[0, 0])
    _shares(left, report, labels)
    _images(figure.add_subplot(grid[0, 1], sharey=left), report)
    _sizes(figure.add_subplot(grid[1, :]), report)
    pairs = ", ".join(f"{split} {s.pairs}" for split, s in report.splits.items())
    figure.suptitle(f"{report.root.resolve().name}: {pairs} pairs", fontsize=12)
    save_figure(figure, path)


def _shares(axes: Axes, report: CheckReport, labels: LabelSet) -> None:
    """A dot a split on a logarithmic scale; the class's color before its name."""
    shares = {}
    for split, summary in report.splits.items():
        shares[split] = np.array(summary.pixels) / max(1, sum(summary.pixels))
    positive = [share for each in shares.values() for share in each if share > 0]
    least = min(positive, default=0.1)
    start = 10.0 ** np.floor(np.log10(least)) if least < 1 else 0.1
    height = 0.7 / max(1, len(shares))
    for number, (split, each) in enumerate(shares.items()):
        places = np.arange(len(each)) - 0.35 + height * (number + 0.5)
        widths = np.maximum(each, start) - start
        axes.barh(places, widths, height, left=start, color=_color(split), label=split)
        for place, share in zip(places, each, strict=True):
            text = f" {_percent(share)}" if share else " none"
            axes.text(max(share, start), place, text, va="center", fontsize=7, color=_EDGE)
    axes.set_xscale("log")
    axes.set_xlim(start, 3 * max(positive, default=1))  # room for the figures
    ticks = [10.0**power for power in range(round(np.log10(start)), 1)]
    axes.set_xticks(ticks, [f"{100 * t:g} %" for t in ticks], minor=False)
    axes.minorticks_off()
    axes.set_yticks(range(len(report.classes)), [*report.classes])
    for tick, color in zip(axes.get_yticklabels(), labels.colors, strict=True):
        face: Any = tuple(part / 255 for part in color)
        tick.set_bbox({"facecolor": face, "edgecolor": _EDGE, "pad": 1.5, "linewidth": 0.5})
        tick.set_color("white" if sum(color) < 382 else "black")
    axes.set_ylim(len(report.classes) - 0.4, -0.6)
    axes.set_title("share of the labeled pixels", fontsize=10)
    _plain(axes)


def _percent(share: float) -> str:
    """With two digits, three from 99.5 % on."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def _images(axes: Axes, report: CheckReport) -> None:
    height = 0.7 / max(1, len(report.splits))
    for number, (split, summary) in enumerate(report.splits.items()):
        places = np.arange(len(summary.images)) - 0.35 + height * (number + 0.5)
        shares = 100 * np.array(summary.images) / max(1, summary.pairs)
        axes.barh(places, shares, height, color=_color(split), label=f"{split} ({summary.pairs})")
        for place, share, n in zip(places, shares, summary.images, strict=True):
            axes.text(share, place, f" {n}", va="center", fontsize=7, color=_EDGE)
    axes.set_xlim(0, 112)
    axes.set_xticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(labelleft=False)
    axes.set_title("images that hold the class", fontsize=10, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8)
    _plain(axes)


def _sizes(axes: Axes, report: CheckReport) -> None:
    sizes = [*report.sizes.items()][:_SIZES]
    names = [f"{width}x{height}" for (height, width), _ in sizes]
    numbers = [n for _, n in sizes]
    rest = sum(report.sizes.values()) - sum(numbers)
    if rest:
        names, numbers = [*names, f"{len(report.sizes) - _SIZES} more"], [*numbers, rest]
    axes.bar(range(len(names)), numbers, width=0.6, color=_OTHER)
    for place, n in enumerate(numbers):
        axes.text(place, n, str(n), ha="center", va="bottom", fontsize=8, color=_EDGE)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(-0.6, max(len(names), 6) - 0.4)
    axes.set_ylim(0, 1.2 * max(numbers, default=1))
    axes.set_title("images of each size, width x height", fontsize=10)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.set_axisbelow(True)


def _color(split: str) -> str:
    return _COLORS.get(split, _OTHER)
