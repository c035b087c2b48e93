"""briskseg convert: weights of another program -> a file of ours, with its card."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.core.errors import MissingExtraError, RequestError, nearest
from briskseg.core.wording import counted, hxw

if TYPE_CHECKING:
    from briskseg.core.card import Card
    from briskseg.core.labels import LabelSet


@app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Published weights (.pth, .pt, .ckpt, .tar, .pdparams, .safetensors), or a .keras "
            "file that `briskseg export` wrote.",
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            help="The classes of the published weights: cityscapes, camvid (the 11 of camvid11), "
            "camvid32, or a classes.txt with one name a line, in the order of the network's "
            "outputs."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default FILE with the suffix .safetensors. An existing "
            "file is not overwritten."
        ),
    ] = None,
) -> None:
    """Convert published weights, or a Keras file of ours, into a weights file with its card.

    The weights of every network in `briskseg models` are recognized by their names and shapes, as
    published by their authors, MMSegmentation, torchvision, transformers, PaddleSeg,
    CoinCheung/BiSeNet and Tramac/Fast-SCNN-pytorch. The authors' ERFNet for Cityscapes has a 20th
    output for ignored pixels, which --labels cityscapes drops. Their encoder pretrained on ImageNet
    is not a whole network: begin a training with it by --set model.encoder=FILE.

    A .keras file has its card inside. Its weights are taken as they are now, also if Keras has
    trained them further.

    Example: briskseg convert erfnet_pretrained.pth --labels cityscapes
    """
    from briskseg.hub.client import repository_of

    if repository_of(file.as_posix()) is not None:
        raise RequestError(
            "convert takes a file, and a repository's model is ours already: name it where a MODEL "
            "is asked for, as in `briskseg export`; published weights download yourself first"
        )
    is_keras = file.suffix == ".keras"
    if is_keras and labels is not None:
        raise RequestError(f"{file} has its classes in its card; leave --labels out")
    label_set = None if labels is None else _label_set(labels)
    if importlib.util.find_spec("torch") is None:
        what = "a .keras file" if is_keras else "published weights"
        raise MissingExtraError("torch", f"reading {what}", "train")
    if is_keras:
        from briskseg.export.keras_reader import convert_keras

        card, written = convert_keras(file, out)
        recognized = "Keras, as `briskseg export` writes it"
    else:
        from briskseg.models.weights.convert import convert as convert_weights

        done = convert_weights(file, label_set, out)
        card, written = done.card, done.out
        dropped = ", the last one (ignored pixels) left out" if done.void_dropped else ""
        recognized = f"{done.found.layout.title}; {counted(done.found.classes, 'class')}{dropped}"
    print(f"recognized  {recognized}")
    _print_card(card)
    print(f"wrote       {written}")


def _print_card(card: Card) -> None:
    size, names = card.input.size, card.labels.names
    sized = f"resized to {hxw(size)}" if size else "as they are"
    mean, std = (" ".join(f"{x:g}" for x in xs) for xs in (card.input.mean, card.input.std))
    classes = f"{counted(len(names), 'class')}: {names[0]} ... {names[-1]}"
    print(f"network     {card.network.name}, {classes}")
    print(f"images      {sized}; mean {mean}, std {std} (RGB in [0, 1])")
    if card.license:
        print(f"license     {card.license}")


def _label_set(labels: str) -> LabelSet:
    from briskseg.core.labels import LABEL_SETS, LabelSet

    if (name := "camvid11" if labels == "camvid" else labels) in LABEL_SETS:
        return LABEL_SETS[name]
    if not Path(labels).is_file():
        raise RequestError(
            f"--labels {labels} is no label set and no file; {nearest(labels, LABEL_SETS)}, "
            "or a classes.txt with a name a line"
        )
    return LabelSet.from_classes_txt(Path(labels))
