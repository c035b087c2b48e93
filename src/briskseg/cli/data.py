"""briskseg data: the kinds of data sets there are, drawing the streets, and a set in pictures."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from briskseg.cli import app, console
from briskseg.cli.options import (
    ClassesOption,
    DataArgument,
    UnlabeledOption,
    open_data,
    read_size,
    usual_recipe,
)
from briskseg.core.errors import RequestError, nearest
from briskseg.core.files.atomic import refuse_taken, refuse_unwritable, writing
from briskseg.core.wording import counted

data_app = typer.Typer()
app.add_typer(data_app, name="data")


@data_app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List the kinds of data sets and their layouts; draw, show or convert a data set.

    Example: briskseg data show CamVid
    """
    if context.invoked_subcommand is not None:
        return
    from briskseg.data import FORMATS

    rows = [
        (name if row == 0 else "", layout)
        for name, entry in FORMATS.items()
        for row, layout in enumerate(entry.layouts)
    ]
    console.print_table(("kind", "recognized by"), rows, names=2, width=console.WIDTH)
    print(
        "\nclasses.txt: a class a line as `name` or `name r g b`; labels hold its line's number"
        "\nfrom 0, or its color; 255 is ignored unless a line says `ignore N`."
    )


@data_app.command()
def draw(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A new or empty folder to write to.")
    ],
    train: Annotated[int, typer.Option(help="The number of training images.")] = 200,
    val: Annotated[int, typer.Option(help="The number of validation images.")] = 40,
    size: Annotated[str, typer.Option(metavar="HxW", help="The images' size.")] = "240x320",
    seed: Annotated[int, typer.Option(help="Another seed draws other streets.")] = 0,
) -> None:
    """Draw a data set of street scenes with exact labels, in CamVid's 11 classes.

    Example: briskseg data draw streets --train 400 --val 80 --size 360x480
    """
    size_hw = read_size(size, "--size")
    refuse_taken(folder)

    from briskseg.data.synthetic import draw_dataset

    with console.counter("drawing") as progress, writing(folder):
        draw_dataset(folder, train, val, size_hw, seed, progress)
    print(f"{folder}: {train} train and {val} val images of {size}, seed {seed}")
    print(f"look at it: briskseg check {quote(str(folder))}")


@data_app.command()
def show(
    data: DataArgument,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder for the pictures.")
    ] = Path("pictures"),
    split: Annotated[str, typer.Option(help="The split to show.")] = "train",
    classes: ClassesOption = None,
    unlabeled: UnlabeledOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Whose augmentation to show; by default the usual recipe's."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=50, help="The number of samples.")] = 4,
) -> None:
    """Show a data set in pictures: images with labels, augmented samples, shares of the classes.

    It writes samples.png (image, labels, overlay), augmented.png and augmented-overlay.png (a row
    for each sample, over five epochs of training), and class-shares.png (violin plots, the rarest
    class first).

    Example: briskseg data show CamVid --out pictures --recipe erfnet-camvid11
    """
    from briskseg.recipe import Recipe, load_recipe
    from briskseg.training.samples.show import show_dataset

    refuse_unwritable(out)
    dataset = open_data(data, classes, unlabeled=unlabeled)
    name = recipe or usual_recipe(dataset.kind)
    described = load_recipe(name)
    if not isinstance(described, Recipe):
        raise RequestError(f"the recipe '{name}' is not for images with labels; name another")
    before = console.files_in(out)
    with console.counter("counting", "label files") as progress:
        written = show_dataset(dataset, split, described, out, samples, progress)
    for path in written:
        print(path)
    console.say_replaced(out, before, written)
    console.warn_of_dark([pair.image for pair in dataset.pairs(split)])
    print(f"the augmentation is that of the recipe {name}")


@data_app.command()
def convert(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="The data set's folder, or `streets`.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder to write to.")],
    to: Annotated[str, typer.Option(help="folder (masks), labelme, coco or shards.")] = "folder",
    classes: ClassesOption = None,
    unlabeled: UnlabeledOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, if the data has none.")] = 0,
) -> None:
    """Write a data set in another format: masks in the folder layout, labelme's files, COCO's, or
    shards (WebDataset's tar archives), for data of very many files.

    Images keep their splits, and their names unless two in a split have the same one. Every pixel
    keeps its class. Data need not be converted to be trained on: this is for other programs.

    Example: briskseg data convert data/labelme data/masks
    """
    from briskseg.data.conversion import WRITTEN, convert_dataset

    if to not in WRITTEN:
        raise RequestError(f"--to {to}; {nearest(to, WRITTEN)}")
    dataset = open_data(source, classes, seed, unlabeled)
    with console.counter("writing") as progress:
        written = convert_dataset(dataset, out, to, progress)
    console.warn_of_dark([pair.image for some in dataset.splits.values() for pair in some])
    counts = ", ".join(f"{split} {len(pairs)}" for split, pairs in written.items())
    print(f"{out}: {counts} pairs ({to})")
    names = ((pair.image, stem) for pairs in written.values() for stem, pair in pairs.items())
    if renamed := [(image, stem) for image, stem in names if stem != image.stem]:
        image, stem = renamed[0]
        many = counted(len(renamed), "image")
        print(f"renamed: {many}, as {image.relative_to(dataset.root)} to {stem}")
    is_sure = to in ("folder", "shards") or dataset.names[0] == "background"
    option = "" if is_sure else " --unlabeled ignored"
    print(f"look at it: briskseg check {quote(str(out))}{option}")
