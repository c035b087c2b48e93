"""briskseg export: a network as a file that another program runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.sizes import read_size

if TYPE_CHECKING:
    from briskseg.export import Export


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A run folder, or a .safetensors file.")],
    to: Annotated[str, typer.Option(help="The format: keras.")],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the images that the file will take; by default the input "
            "size in the model's card.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default the weights file with the format's suffix. A file "
            "that is there is not overwritten."
        ),
    ] = None,
) -> None:
    """Write a network for another program, and check that it computes the same there.

    keras: a .keras file of standard layers, which Keras 3 loads on torch, JAX or TensorFlow with
    no need of briskseg, in the version of Keras that wrote it or a later one. It takes images
    (N, H, W, 3), RGB from 0 to 255, of one size, and gives logits (N, H, W, classes).
    `briskseg convert FILE.keras` makes it a file of ours again.

    The file is run beside the network on drawn images, and not kept where any logit differs by more
    than 1e-4 of their standard deviation.

    Example: briskseg export runs/first --to keras --size 512x1024
    """
    from rich.console import Console

    from briskseg.export import export as export_model

    size_hw = read_size(size, "--size")
    with Console(stderr=True).status(f"writing and checking for {to}"):
        done = export_model(model, to, out, size_hw)
    _print(done)


def _print(done: Export) -> None:
    (height, width), network, agreement = done.size_hw, done.card.network, done.agreement
    shape = {"height": height, "width": width, "classes": network.classes}
    print(f"network  {network.name}, {network.classes} classes")
    print(f"takes    {done.format.takes.format(**shape)}")
    print(f"gives    {done.format.gives.format(**shape)}")
    print(
        f"agrees   to {agreement.difference:.1e} of the logits' standard deviation, "
        f"on {agreement.images} images"
    )
    print(f"wrote    {done.out}, {done.format.title}")
