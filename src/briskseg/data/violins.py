"""How much of an image each class fills, image by image, as violins on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from briskseg.core.errors import MissingExtraError
from briskseg.core.labels import LabelSet
from briskseg.core.plots import save_figure
from briskseg.core.types import Floats
from briskseg.data.frequencies import PixelCounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_EDGE, _INK = "#475569", "#0f172a"
_ROW_INCHES, _MARGIN_INCHES = 0.42, 1.5


def rarest_first(counts: PixelCounts) -> list[tuple[int, Floats]]:
    """(class index, its share of the labeled pixels of each image that holds it, in (0, 1]).

    In the order of the classes' shares of all labeled pixels, the rarest first.
    """
    labeled = counts.counts.sum(axis=1)
    shares = counts.counts / np.maximum(labeled, 1)[:, None]
    order = np.argsort(counts.totals, kind="stable")
    return [(int(index), shares[shares[:, index] > 0, index]) for index in order]


def save_violins(counts: PixelCounts, labels: LabelSet, path: Path) -> None:
    """Draw a violin a class as PNG, the rarest on top; its median, and how many images hold it.

    The width of a violin is the density of the images' shares (of their logarithms); an image
    without the class is in no violin. Raises MissingExtraError without matplotlib, BriskError
    where the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "the violin plot", "report") from None
    rows = rarest_first(counts)
    figure = Figure(figsize=(9, _MARGIN_INCHES + _ROW_INCHES * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, (index, shares) in enumerate(rows):
        if len(shares):
            _violin(axes, place, np.log10(shares), labels.colors[index])
    _label(axes, rows, counts)
    save_figure(figure, path, dpi=110)


def _violin(axes: Axes, place: int, logs: Floats, color: tuple[int, int, int]) -> None:
    face: Any = tuple(part / 255 for part in color)
    if np.ptp(logs) == 0:  # one image, or all alike: nothing to spread
        axes.plot(logs[:1], [place], marker="o", markersize=11, color=face, markeredgecolor=_EDGE)
        return
    parts: Any = axes.violinplot(
        [logs], [place], orientation="horizontal", widths=0.85, showextrema=False
    )
    for body in parts["bodies"]:
        body.set(facecolor=face, edgecolor=_EDGE, alpha=1, linewidth=0.8)
    middle = float(np.median(logs))
    axes.plot([middle, middle], [place - 0.3, place + 0.3], color="white", linewidth=3)
    axes.plot([middle, middle], [place - 0.3, place + 0.3], color=_INK, linewidth=1.4)


def _label(axes: Axes, rows: list[tuple[int, Floats]], counts: PixelCounts) -> None:
    least = min((float(np.log10(shares.min())) for _, shares in rows if len(shares)), default=-1.0)
    start = least - 0.15
    decades = range(int(np.ceil(start)), 1)
    percents = [np.format_float_positional(10.0 ** (decade + 2), trim="-") for decade in decades]
    axes.set_xticks([*decades], [f"{percent} %" for percent in percents])
    minor = [d + np.log10(n) for d in (decades[0] - 1, *decades) for n in range(2, 10)]
    axes.set_xticks([tick for tick in minor if tick <= 0], minor=True)
    axes.set_xlim(start, 0.1)
    axes.set_xlabel("share of an image's labeled pixels (line: median)")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [counts.classes[index] for index, _ in rows])
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    right = axes.secondary_yaxis("right")
    right.set_yticks(
        range(len(rows)), [f"in {len(shares)} of {len(counts.images)}" for _, shares in rows]
    )
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    axes.set_title("Share of pixels per class per image, the rarest class first", fontsize=11)
