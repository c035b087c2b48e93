"""Every picture with axes: one style, the parts that several charts share, and how it is written.

Only this file imports matplotlib. A chart opens a figure with `new_figure`, draws on its axes, and
writes it with `save_figure`, or with `inline_svg` for a page. Equal figures give equal bytes.
"""

from __future__ import annotations

import importlib.util
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.core.errors import MissingExtraError, RequestError, nearest, needs
from briskseg.core.files.atomic import refuse_unwritable

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure

    from briskseg.core.types import Floats

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")

# Seen apart by the color-blind too where they stand side by side, on white and on a dark page.
BLUE, ORANGE, GREEN, RED, PURPLE = "#3b82f6", "#ea580c", "#10b981", "#dc2626", "#8b5cf6"
MARKERS = "os^Dv*PX"  # by which points of one color are told apart
AMBER, GRAY, PALE = "#fbbf24", "#64748b", "#e2e8f0"
INK = "#0f172a"  # of text and axes alone: `inline_svg` replaces it by the page's text color

_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "figure.titlesize": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-2, 5),  # 0.003 as 3 under a 1e-3, which is narrower
    "text.parse_math": False,  # names may hold "$"; so no number is set as math either
    "grid.color": INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "savefig.dpi": 120,
    "svg.hashsalt": "briskseg",  # else an SVG's names are random
}
_FEW = 40  # up to so many points are shown as dots on their line


def check_figure_file(path: Path) -> None:
    """Raises RequestError where `save_figure` could not write `path`, before there is work."""
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        known = nearest(path.suffix, FIGURE_SUFFIXES)
        raise RequestError(f"{path} is no kind of picture that can be written; {known}")
    refuse_unwritable(path.parent)
    if not path.parent.is_dir():
        raise RequestError(f"{path}: the folder {path.parent} is not there; make it")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "the picture", "report")


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of so many inches; draw on it and write it within the block.

    Raises MissingExtraError without matplotlib.
    """
    with needs("the picture", "report"):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    with rc_context(_STYLE), warnings.catch_warnings():
        # of a letter that the font lacks; a box stands for it, as in a browser
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield Figure(figsize=(width, height), layout="constrained")


def plain_log_numbers(axis: Axis) -> None:
    """Have a logarithmic axis show its numbers as plain text."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(Plain(minor_thresholds=(1, 0.4)))


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, SVG or PDF, by the suffix, without the date.

    Raises BriskError where it cannot be written.
    """
    date = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
    metadata: dict[str, Any] = {} if date is None else {date: None}
    from briskseg.core.images import write_picture  # loads OpenCV, which the check above need not

    written = io.BytesIO()
    figure.savefig(written, format=path.suffix.lower().removeprefix("."), metadata=metadata)
    write_picture(path, written.getvalue())


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, without the date."""
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def inline_svg(figure: Figure) -> str:
    """An <svg> element for an HTML page: no background, and text in the page's font and color."""
    from matplotlib import rc_context

    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    written = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")  # HTML knows no XML prolog


def draw_line(
    axes: Axes, x: Floats, y: Floats, color: str, label: str, dashed: bool = False
) -> None:
    """A curve; its points are marked where they are few. Nothing where there is no point."""
    if len(x):
        axes.plot(
            x,
            y,
            color=color,
            label=label,
            linewidth=1.8,
            linestyle=(0, (4, 2)) if dashed else "-",
            marker="o" if len(x) <= _FEW else "",
            markersize=3.5,
        )


def draw_raw(axes: Axes, x: Floats, y: Floats, color: str) -> None:
    """What a smoothed curve was made of, pale behind it."""
    axes.plot(x, y, color=color, alpha=0.3, linewidth=0.8)


def legend_above(axes: Axes, columns: int) -> None:
    """The legend over the axes, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderpad=0.2)


def name_rows(
    axes: Axes, names: Sequence[str], colors: Sequence[tuple[int, int, int]] = ()
) -> None:
    """One row of the y axis for each name, the first on top; with colors (RGB in [0, 255]) a chip
    before each name."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    if colors:
        axes.tick_params(axis="y", length=0, pad=16)
        axes.scatter(
            [-0.02] * len(names),  # of the width of the axes, left of them
            range(len(names)),
            90,
            [tuple(part / 255 for part in color) for color in colors],
            marker="s",
            edgecolors=GRAY,
            linewidths=0.6,
            transform=axes.get_yaxis_transform(),
            clip_on=False,
        )


def log_percent_axis(axes: Axes, least: float, most: float) -> None:
    """An x axis that holds the logarithms (base 10) of shares, ticked in percent.

    least, most: its ends, as logarithms; 0 is 100 %.
    """
    decades = range(math.ceil(least), 1)
    percents = [f"{10.0 ** (decade + 2):.{max(0, -decade - 2)}f} %" for decade in decades]
    axes.set_xticks([*decades], percents)
    minor = [d + math.log10(n) for d in (decades[0] - 1, *decades[:-1]) for n in range(2, 10)]
    axes.set_xticks(minor, minor=True)
    axes.set_xlim(least, most)
    axes.grid(axis="x")
