"""How much of an image each class fills, image by image, as violins on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core import plots
from briskseg.core.labels import LabelSet
from briskseg.core.types import Floats
from briskseg.data.frequencies import PixelCounts

_LONGEST = 40  # of a name in the picture; class lists allow 100


def rarest_first(counts: PixelCounts) -> list[tuple[int, Floats]]:
    """(class index, its share of the labeled pixels of each image that holds it, in (0, 1]).

    In the order of the classes' shares of all labeled pixels, the rarest first.
    """
    labeled = counts.counts.sum(axis=1)
    shares = counts.counts / np.maximum(labeled, 1)[:, None]
    order = np.argsort(counts.totals, kind="stable")
    return [(int(index), shares[shares[:, index] > 0, index]) for index in order]


def save_violins(counts: PixelCounts, labels: LabelSet, path: Path) -> None:
    """Draw a violin a class, the rarest on top; its median, and how many images hold it.

    The width of a violin is the density of the images' shares (of their logarithms); an image
    without the class is in no violin. Raises MissingExtraError without matplotlib, BriskError
    where the file cannot be written.
    """
    rows = rarest_first(counts)
    with plots.new_figure(9, 1.5 + 0.42 * len(rows)) as figure:
        axes = figure.add_subplot()
        for row, (index, shares) in enumerate(rows):
            if len(shares):
                _violin(axes, row, np.log10(shares), labels.colors[index])
        least = min((shares.min() for _, shares in rows if len(shares)), default=0.1)
        plots.log_percent_axis(axes, float(np.log10(least)) - 0.15, 0.1)
        axes.set_xlabel("share of an image's labeled pixels (line: median)")
        plots.name_rows(axes, [_shown(counts.classes[index]) for index, _ in rows])
        right = axes.secondary_yaxis("right")
        held = [f"in {len(shares)} of {len(counts.images)}" for _, shares in rows]
        right.set_yticks(range(len(rows)), held)
        right.tick_params(length=0)
        right.spines["right"].set_visible(False)
        axes.set_title("Share of pixels per class per image, the rarest class first")
        plots.save_figure(figure, path)


def _shown(name: str) -> str:
    """A class's name, cut where it would leave no room for the violins."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _violin(axes: plots.Axes, row: int, logs: Floats, color: tuple[int, int, int]) -> None:
    face: Any = tuple(part / 255 for part in color)
    if np.ptp(logs) == 0:  # one image, or all alike: no density
        axes.scatter(logs[:1], [row], 120, color=face, edgecolors=plots.GRAY)
        return
    parts: Any = axes.violinplot(
        [logs], [row], orientation="horizontal", widths=0.85, showextrema=False
    )
    for body in parts["bodies"]:
        body.set(facecolor=face, edgecolor=plots.GRAY, alpha=1, linewidth=0.8)
    for color_, width in (("white", 3.0), (plots.INK, 1.4)):  # seen on any class's color
        axes.plot([np.median(logs)] * 2, [row - 0.3, row + 0.3], color=color_, linewidth=width)
