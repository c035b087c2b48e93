"""A checked data set in one picture: what share each class has, in how many images, which sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from briskseg.core import plots
from briskseg.core.labels import LabelSet
from briskseg.core.types import Floats
from briskseg.core.wording import counted
from briskseg.data.check.check_report import CheckReport

_COLORS = {"train": plots.BLUE, "val": plots.ORANGE, "test": plots.GREEN}
_BAR_INCHES, _GAP_INCHES = 0.19, 0.12  # of a bar, as high as its figure; between two classes
_SIZES = 12  # the most frequent ones are shown


def save_picture(report: CheckReport, labels: LabelSet, path: Path) -> None:
    """Draw the classes' shares and the sizes, as the suffix says: PNG, SVG or PDF.

    Raises MissingExtraError without matplotlib, BriskError where the file cannot be written.
    """
    row = _GAP_INCHES + _BAR_INCHES * max(1, len(report.splits))
    classes = 0.6 + row * len(report.classes)
    sizes = 0.6 + 0.28 * min(len(report.sizes), _SIZES + 1)
    with plots.new_figure(11, classes + sizes + 0.6) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=[classes, sizes])
        left = figure.add_subplot(grid[0, 0])
        _shares(left, report)
        plots.name_rows(left, report.classes, labels.colors)
        right = figure.add_subplot(grid[0, 1], sharey=left)
        _images(right, report)
        _sizes(figure.add_subplot(grid[1, :]), report)
        figure.suptitle(report.root.resolve().name)
        handles, names = right.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper right", ncols=max(1, len(names)))
        plots.save_figure(figure, path)


def _shares(axes: plots.Axes, report: CheckReport) -> None:
    """A bar a class and split on a logarithmic scale."""
    shares = {s: np.array(x.pixels) / max(1, sum(x.pixels)) for s, x in report.splits.items()}
    positive = [share for each in shares.values() for share in each if share > 0]
    least = float(np.floor(np.log10(min(0.1, *positive)))) if positive else -1.0
    for number, (split, each) in enumerate(shares.items()):
        lengths = np.log10(np.maximum(each, 10**least)) - least
        _bars(axes, report, number, split, lengths, [_percent(share) for share in each], least)
    most = float(np.log10(max(positive, default=1)))
    plots.log_percent_axis(axes, least, most + 0.45)  # room for the figures
    axes.set_title("share of the labeled pixels")


def _images(axes: plots.Axes, report: CheckReport) -> None:
    for number, (split, summary) in enumerate(report.splits.items()):
        percents = 100 * np.array(summary.images) / max(1, summary.pairs)
        _bars(axes, report, number, split, percents, [str(n) for n in summary.images])
    axes.set_xlim(0, 112)
    axes.set_xticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(left=False, labelleft=False)
    axes.grid(axis="x")
    axes.set_title("images that hold the class")


def _bars(
    axes: plots.Axes,
    report: CheckReport,
    number: int,
    split: str,
    lengths: Floats,
    texts: Sequence[str],
    left: float = 0.0,
) -> None:
    """A bar a class for the split of this number, side by side with those of the others."""
    height = _BAR_INCHES / (_GAP_INCHES + _BAR_INCHES * len(report.splits))
    rows = np.arange(len(lengths)) + height * (number - (len(report.splits) - 1) / 2)
    color = _COLORS.get(split, plots.PURPLE)
    label = f"{split}: {counted(report.splits[split].pairs, 'pair')}"
    bars = axes.barh(rows, lengths, height, left=left, color=color, label=label)
    axes.bar_label(bars, texts, padding=3)


def _percent(share: float) -> str:
    """With two digits, three from 99.5 % on."""
    percent = 100 * share
    if not share:
        return "none"
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def _sizes(axes: plots.Axes, report: CheckReport) -> None:
    sizes = [*report.sizes.items()][:_SIZES]
    names = [f"{width}x{height}" for (height, width), _ in sizes]
    numbers = [n for _, n in sizes]
    if rest := sum(report.sizes.values()) - sum(numbers):
        names, numbers = [*names, f"{len(report.sizes) - _SIZES} more"], [*numbers, rest]
    axes.bar_label(axes.barh(range(len(names)), numbers, 0.6, color=plots.GRAY), padding=3)
    plots.name_rows(axes, names)
    axes.set_xlim(0, 1.08 * max(numbers, default=1))
    axes.locator_params(axis="x", integer=True)
    axes.set_title("images of each size, width x height in pixels")
