"""briskseg data: the kinds of data sets there are, and drawing the streets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app
from briskseg.core.errors import BriskError, RequestError

data_app = typer.Typer()
app.add_typer(data_app, name="data")


@data_app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List the kinds of data sets and how each lies on disk, or draw one.

    Example: briskseg data draw streets
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from briskseg.data import DATASET_KINDS

    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    table.add_column("recognized by")
    for name, kind in DATASET_KINDS.items():
        for row, layout in enumerate(kind.layouts):
            table.add_row(Text(name if row == 0 else ""), Text(layout))
    console = Console(width=100, highlight=False, markup=False)
    console.print(table)
    console.print(
        "\nclasses.txt: a class a line as `name` or `name r g b`; labels hold its line's number"
        "\nfrom 0, or its color; 255 is ignored unless a line says `ignore N`."
    )


@data_app.command()
def draw(
    folder: Annotated[Path, typer.Argument(help="Where to; a new or an empty folder.")],
    train: Annotated[int, typer.Option(help="How many training images.")] = 200,
    val: Annotated[int, typer.Option(help="How many validation images.")] = 40,
    size: Annotated[str, typer.Option(metavar="HxW", help="Their height and width.")] = "240x320",
    seed: Annotated[int, typer.Option(help="Another seed, other streets.")] = 0,
) -> None:
    """Draw a data set of street scenes with exact labels, in CamVid's 11 classes.

    Example: briskseg data draw streets --train 400 --val 80 --size 360x480
    """
    sides = re.fullmatch(r"(\d+)x(\d+)", size)
    if sides is None:
        raise RequestError(f"--size {size} is no size, expected HxW as in 240x320")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is a file"
        raise RequestError(f"{folder} {what}; name a new folder, nothing is overwritten")

    from briskseg.cli.counter import counter
    from briskseg.data.synthetic import draw_dataset

    with counter("drawing") as progress:
        try:
            draw_dataset(folder, train, val, (int(sides[1]), int(sides[2])), seed, progress)
        except OSError as error:
            raise BriskError(f"{folder} cannot be written: {error.strerror or error}") from None
    print(f"{folder}: {train} train and {val} val images of {size}, seed {seed}")
    print(f"look at it: briskseg check {folder}")
