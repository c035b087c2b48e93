"""briskseg convert: weights of another program -> a file of ours, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app

if TYPE_CHECKING:
    from briskseg.core.card import Card
    from briskseg.core.labels import LabelSet
    from briskseg.models.weights.convert import Conversion


@app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            help="Published weights (.pth, .pt, .ckpt, .tar, .safetensors), or a .keras file that "
            "`briskseg export` wrote."
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            help="The classes that published weights were trained with: cityscapes, camvid (the 11 "
            "of camvid11), camvid32, or a classes.txt with a name a line, in the order of the "
            "network's outputs."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default FILE with the suffix .safetensors. A file that is "
            "there is not overwritten."
        ),
    ] = None,
) -> None:
    """Turn published weights, or a Keras file of ours, into a file of ours with its card.

    Recognizes the weights of the authors' ERFNet, of MMSegmentation's ERFNet and Fast-SCNN, and of
    Tramac/Fast-SCNN-pytorch by their names and shapes. The authors' ERFNet for Cityscapes has a
    20th output for ignored pixels; with --labels cityscapes it is left out. Their encoder
    pretrained on ImageNet alone is no network: train one from it with --set model.encoder=FILE.

    A .keras file has its card inside, and comes back with the weights that it was exported with, or
    that it has been trained to since.

    Example: briskseg convert erfnet_pretrained.pth --labels cityscapes
    """
    from briskseg.core.errors import MissingExtraError

    if file.suffix == ".keras":
        _convert_keras(file, labels, out)
        return
    label_set = None if labels is None else _label_set(labels)
    try:
        from briskseg.models.weights.convert import convert as convert_weights
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "reading published weights", "train") from error
    _print(convert_weights(file, label_set, out))


def _convert_keras(file: Path, labels: str | None, out: Path | None) -> None:
    from briskseg.core.errors import MissingExtraError, RequestError

    if labels is not None:
        raise RequestError(f"{file} has its classes in its card; leave --labels out")
    try:
        from briskseg.export.keras_reader import convert_keras
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "reading a .keras file", "train") from error
    card, written = convert_keras(file, out)
    print("recognized  Keras, as `briskseg export` writes it")
    _print_card(card)
    print(f"wrote       {written}")


def _print(done: Conversion) -> None:
    dropped = ", the last one (ignored pixels) left out" if done.void_dropped else ""
    print(f"recognized  {done.found.layout.title}; {done.found.classes} classes{dropped}")
    _print_card(done.card)
    print(f"wrote       {done.out}")


def _print_card(card: Card) -> None:
    size = card.input.size
    sized = f"resized to {size[0]}x{size[1]}" if size else "as they are"
    mean, std = (" ".join(f"{x:g}" for x in xs) for xs in (card.input.mean, card.input.std))
    names = card.labels.names
    print(f"network     {card.network.name}, {len(names)} classes: {names[0]} ... {names[-1]}")
    print(f"images      {sized}; mean {mean}, std {std} (RGB in [0, 1])")


def _label_set(labels: str) -> LabelSet:
    from briskseg.core.errors import RequestError, nearest
    from briskseg.core.labels import LABEL_SETS, LabelSet

    if (name := "camvid11" if labels == "camvid" else labels) in LABEL_SETS:
        return LABEL_SETS[name]
    if not Path(labels).is_file():
        raise RequestError(
            f"--labels {labels} is no label set and no file; {nearest(labels, LABEL_SETS)}, "
            "or a classes.txt with a name a line"
        )
    return LabelSet.from_classes_txt(Path(labels))
