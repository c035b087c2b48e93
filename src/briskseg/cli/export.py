"""briskseg export: a network as a file that another program runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.sizes import read_size

if TYPE_CHECKING:
    from briskseg.export import Export, Image


@app.command()
def export(
    model: Annotated[
        Path, typer.Argument(help="A run folder, a .safetensors file, or a shipped name.")
    ],
    to: Annotated[str, typer.Option(help="The format: onnx, openvino, keras.")],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the images that the file will take; by default any, or for "
            "keras the input size in the model's card.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A data set, of whose val split eight images are compared too."),
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

    onnx, openvino: an .onnx file, or an .xml with its .bin, that takes plain images (N, H, W, 3),
    uint8 RGB, of any size and number, and gives labels (N, H, W), uint8, and the logits as large as
    the network computes them. The card is inside: `predict` and `evaluate` take the file as it is,
    without torch, and beside its weights it is taken in their place.

    keras: a .keras file of standard layers, which Keras 3 loads on torch, JAX or TensorFlow with
    no need of briskseg, in the version of Keras that wrote it or a later one. It takes images
    (N, H, W, 3), RGB from 0 to 255, of one size, and gives logits (N, H, W, classes).
    `briskseg convert FILE.keras` makes it a file of ours again.

    The file is run beside the network on drawn images and on those of --data, and not kept where
    any logit differs by more than 1e-4 of their standard deviation, or a label is another where the
    two best logits are more than 1e-3 of it apart.

    Example: briskseg export runs/first --to onnx
    """
    from rich.console import Console

    from briskseg.export import export as export_model

    size_hw = read_size(size, "--size")
    images = _images(data)
    with Console(stderr=True).status(f"writing and checking for {to}"):
        done = export_model(model, to, out, size_hw, images)
    _print(done)


def _images(data: str | None) -> list[Image]:
    """The first images of the val split."""
    if data is None:
        return []
    from briskseg.core.images import read_image
    from briskseg.data import open_dataset

    return [read_image(pair.image) for pair in open_dataset(data).pairs("val")[:8]]


def _print(done: Export) -> None:
    network, agreement, factor = done.card.network, done.agreement, done.exported.factor
    height, width = done.exported.size or ("H", "W")
    small = {None: "h, w", 1: f"{height}, {width}"}.get(
        factor, f"{height}/{factor}, {width}/{factor}"
    )
    shape = {"height": height, "width": width, "classes": network.classes, "small": small}
    print(f"network  {network.name}, {network.classes} classes")
    print(f"takes    {done.format.takes.format(**shape)}")
    print(f"gives    {done.format.gives.format(**shape)}")
    print(
        f"agrees   to {agreement.difference:.1e} of the logits' standard deviation, "
        f"on {agreement.images} images{', and in every label' if agreement.labels else ''}"
    )
    print(f"wrote    {done.out}, {done.format.title}")
