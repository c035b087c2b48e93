"""briskseg evaluate: a model's scores on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from briskseg.cli import app
from briskseg.cli.json_file import JsonOption, check_place, is_stdout, write_json
from briskseg.cli.loading import BackendOption, ModelArgument, ThreadsOption, load_model
from briskseg.cli.sizes import read_size
from briskseg.cli.tables import score_table
from briskseg.cli.windows import StrideOption, WindowOption, through_windows
from briskseg.core.errors import RequestError

if TYPE_CHECKING:
    from rich.table import Table

    from briskseg.evaluation.accuracy import Evaluation


_Classes = Annotated[
    str | None, typer.Option(help="The class set, where the data has several: camvid32 ...")
]
_Scales = Annotated[
    str, typer.Option(help="See each image at these scales: 0.5,0.75,1,1.25,1.5,1.75.")
]
_LabelSize = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Resize labels to this size before scoring, as the official ERFNet code does with "
        "512x1024; such scores do not compare with others.",
    ),
]


_SEEN = (
    "The model was trained on val of such data too: if these are its images, the scores say\n"
    "nothing about new ones."
)


@app.command()
def evaluate(
    model: ModelArgument,
    data: Annotated[str, typer.Option(help="The data set's folder, or `streets`.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
    classes: _Classes = None,
    scales: _Scales = "1",
    flip: Annotated[bool, typer.Option("--flip", help="See each image mirrored too.")] = False,
    window: WindowOption = None,
    stride: StrideOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = None,
    label_size: _LabelSize = None,
    json_file: JsonOption = None,
) -> None:
    """Score a model on a data set: IoU and accuracy of each class, mIoU with its interval.

    Each image is scored at its label's own size. With one scale and no flip the labels are those
    that `predict` gives; otherwise softmax probabilities are averaged over the scales and flips.
    On Cityscapes the benchmark's own scores are there too: IoU and instance-weighted IoU (iIoU) of
    classes and categories, as cityscapesScripts counts them.

    Example: briskseg evaluate runs/first --data CamVid --json scores.json
    """
    wanted, size_hw = _numbers(scales), read_size(label_size, "--label-size")
    check_place("--json", json_file)

    from briskseg.cli.counter import counter
    from briskseg.data import open_dataset
    from briskseg.evaluation.accuracy import evaluate as score

    predictor = through_windows(load_model(model, backend, threads), window, stride)
    dataset = open_dataset(data, classes)
    with counter("scoring") as progress:
        result = score(predictor, dataset, split, wanted, flip, progress, size_hw)
    if not is_stdout(json_file):
        _print(result, model)
        card = predictor.card
        if split == "val" and card.has_seen_val and card.training.get("data") == dataset.kind:
            typer.echo(_SEEN)
    write_json(json_file, {**result.to_json(), "model": str(model)})


def _numbers(scales: str) -> tuple[float, ...]:
    try:
        return tuple(float(scale) for scale in scales.split(","))
    except ValueError:
        raise RequestError(
            f"--scales {scales} is no list of numbers, expected for example 0.5,1,1.5"
        ) from None


def _print(result: Evaluation, model: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    scores = result.confusion.scores(result.names)
    if result.label_size is not None:
        console.print(
            f"Labels resized to {_size(result.label_size)} before scoring: not comparable with "
            "scores at the labels' own size.\n"
        )
    console.print(_class_table(result, scores))
    console.print()
    for name, key in (
        ("mIoU", "miou"),
        ("pixel accuracy", "pixel_accuracy"),
        ("mean accuracy", "mean_accuracy"),
        ("frequency-weighted IoU", "frequency_weighted_iou"),
    ):
        beside = _interval(result) if key == "miou" else ""
        console.print(f"{name:<24}{_percent(scores[key]):>8}{beside}")
    console.print()
    if cityscapes := result.benchmark.get("cityscapes"):
        console.print(_benchmark_table(cityscapes))
        console.print()
        if "instanceScoresLeftOut" in cityscapes:
            console.print(f"Without iIoU: {cityscapes['instanceScoresLeftOut']}.", soft_wrap=True)
    console.print(f"{model} on {len(result.per_image)} images of '{result.split}'{_seen(result)}.")
    absent = ", ".join(result.confusion.absent(result.names))
    console.print(
        "A class that was predicted but is not in the labels has IoU 0 and counts in the mean.\n"
        "One that is in neither has no IoU and is left out of the mean (-)"
        f"{': ' * bool(absent)}{absent}."
    )


def _interval(result: Evaluation) -> str:
    """What the images alone leave open, beside the mean."""
    from briskseg.core.metrics.intervals import LEVEL

    low, high = result.miou_interval
    if low is None or high is None:
        return "   no interval from a single image"
    return f"   {100 * LEVEL:g} % interval over images: {_percent(low)} to {_percent(high)}"


def _class_table(result: Evaluation, scores: dict[str, Any]) -> Table:
    from rich.text import Text

    counts = result.confusion.counts
    shares = counts.sum(axis=1) / max(1, counts.sum())
    columns = [
        ("IoU", [scores["classes"][name]["iou"] for name in result.names]),
        ("accuracy", [scores["classes"][name]["accuracy"] for name in result.names]),
        ("share of pixels", shares.tolist()),
    ]
    weighted = result.benchmark.get("cityscapes", {})
    if "classInstScores" in weighted:
        columns.insert(1, ("iIoU", [weighted["classInstScores"][name] for name in result.names]))
    table = score_table("class", [heading for heading, _ in columns])
    for row, name in enumerate(result.names):
        table.add_row(Text(name), *(_percent(values[row]) for _, values in columns))
    return table


def _benchmark_table(scores: dict[str, Any]) -> Table:
    """Categories and averages, as the Cityscapes benchmark lists them; void is never scored."""
    weighted = "categoryInstScores" in scores
    table = score_table("Cityscapes category", ["IoU", "iIoU"] if weighted else ["IoU"])
    for name, iou in scores["categoryScores"].items():
        if name != "void":
            one = [iou, scores["categoryInstScores"][name]] if weighted else [iou]
            table.add_row(name, *map(_percent, one))
    for name, key in (("average of classes", "Classes"), ("average of categories", "Categories")):
        average = [scores[f"averageScore{key}"], scores.get(f"averageScoreInst{key}")]
        table.add_row(name, *map(_percent, average if weighted else average[:1]))
    return table


def _seen(result: Evaluation) -> str:
    views = []
    if result.scales != (1.0,) or result.flip:
        scales = ", ".join(f"{scale:g}" for scale in result.scales)
        views.append(f" at scales {scales}{' and mirrored' if result.flip else ''}")
    if result.window is not None and result.stride is not None:
        views.append(f" through windows of {_size(result.window)} every {_size(result.stride)}")
    return "".join(views) + ", probabilities averaged" if views else ""


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[0]}x{size_hw[1]}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
