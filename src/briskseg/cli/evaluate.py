"""briskseg evaluate: a model's scores on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.core.errors import BriskError, RequestError

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A run folder, or a .safetensors file.")],
    data: Annotated[str, typer.Option(help="The data set's folder, or `streets`.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
    classes: Annotated[
        str | None, typer.Option(help="The class set, where the data has several: camvid32 ...")
    ] = None,
    scales: Annotated[
        str, typer.Option(help="See each image at these scales: 0.5,0.75,1,1.25,1.5,1.75.")
    ] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="See each image mirrored too.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the scores as JSON; - for stdout."),
    ] = None,
) -> None:
    """Score a model on a data set: IoU and accuracy of each class.

    Each image is scored at its label's own size. With one scale and no flip the labels are those
    that `predict` gives; otherwise softmax probabilities are averaged over the scales and flips.

    Example: briskseg evaluate runs/first --data CamVid --json scores.json
    """
    wanted = _numbers(scales)
    if json_file is not None and str(json_file) != "-" and not json_file.parent.is_dir():
        raise RequestError(
            f"--json {json_file}: the folder {json_file.parent} is not there; make it"
        )

    from briskseg.cli.counter import counter
    from briskseg.data import open_dataset
    from briskseg.evaluation.accuracy import evaluate as score
    from briskseg.runtime.predictor import load

    predictor, dataset = load(model), open_dataset(data, classes)
    with counter("scoring") as progress:
        result = score(predictor, dataset, split, wanted, flip, progress)
    text = json.dumps({**result.to_json(), "model": str(model)}, indent=1, allow_nan=False)
    if str(json_file) == "-":
        print(text)
        return
    _print(result, model)
    if json_file is not None:
        try:
            json_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise BriskError(f"--json {json_file} cannot be written: {error.strerror}") from None


def _numbers(scales: str) -> tuple[float, ...]:
    try:
        return tuple(float(scale) for scale in scales.split(","))
    except ValueError:
        raise RequestError(
            f"--scales {scales} is no list of numbers, expected for example 0.5,1,1.5"
        ) from None


def _print(result: Evaluation, model: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    scores, counts = result.confusion.scores(result.names), result.confusion.counts
    pixels = counts.sum(axis=1) / max(1, counts.sum())
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for heading in ("IoU", "accuracy", "share of pixels"):
        table.add_column(heading, justify="right")
    for name, share in zip(result.names, pixels, strict=True):
        one = scores["classes"][name]
        table.add_row(Text(name), *(_percent(x) for x in (one["iou"], one["accuracy"], share)))
    console.print(table)
    console.print()
    for name, key in (
        ("mIoU", "miou"),
        ("pixel accuracy", "pixel_accuracy"),
        ("mean accuracy", "mean_accuracy"),
        ("frequency-weighted IoU", "frequency_weighted_iou"),
    ):
        console.print(f"{name:<24}{_percent(scores[key]):>8}")
    console.print()
    console.print(f"{model} on {len(result.per_image)} images of '{result.split}'{_seen(result)}.")
    absent = [n for n, one in scores["classes"].items() if one["iou"] is None]
    if absent:
        console.print(
            f"Neither in the labels nor predicted, so without an IoU and left out of the mean (-): "
            f"{', '.join(absent)}."
        )
    console.print(
        "A class that was predicted but is not in the labels has IoU 0 and counts in the mean."
    )


def _seen(result: Evaluation) -> str:
    if result.scales == (1.0,) and not result.flip:
        return ""
    scales = ", ".join(f"{scale:g}" for scale in result.scales)
    return f" at scales {scales}{' and mirrored' if result.flip else ''}, probabilities averaged"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
