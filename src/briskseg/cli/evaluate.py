"""briskseg evaluate: a model's scores on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from briskseg.cli import app
from briskseg.cli.console import (
    JsonOption,
    check_json,
    is_stdout,
    percent,
    plain_console,
    plain_table,
    print_rows,
    warn_of_dark,
    write_json,
)
from briskseg.cli.options import (
    ClassesOption,
    ModelArgument,
    StrideOption,
    ThreadsOption,
    WindowOption,
    load_model,
    read_size,
)
from briskseg.core.errors import RequestError

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation

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


_Backend = Annotated[
    str | None,
    typer.Option(
        help="What runs the network: torch, onnx, openvino, openvino-bf16, or auto, the fastest "
        "here. By default torch, where it is installed and MODEL is not an exported file."
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
    classes: ClassesOption = None,
    scales: _Scales = "1",
    flip: Annotated[bool, typer.Option("--flip", help="See each image mirrored too.")] = False,
    window: WindowOption = None,
    stride: StrideOption = None,
    backend: _Backend = None,
    threads: ThreadsOption = None,
    label_size: _LabelSize = None,
    json_file: JsonOption = None,
) -> None:
    """Score a model on a data set: IoU and accuracy of each class, mIoU with its interval.

    Each image is scored at its label's own size. With one scale and no flip the labels are those
    that `predict` gives; otherwise softmax probabilities are averaged over the scales and flips.
    Of a run the weights are scored; exported files where one is MODEL, or by --backend.
    On Cityscapes the benchmark's own scores are there too: IoU and instance-weighted IoU (iIoU) of
    classes and categories, as cityscapesScripts counts them.

    Example: briskseg evaluate runs/first --data CamVid --json scores.json
    """
    wanted, size_hw = _numbers(scales), read_size(label_size, "--label-size")
    check_json(json_file)

    from briskseg.cli.console import counter
    from briskseg.data import open_dataset
    from briskseg.evaluation.accuracy import evaluate as score

    predictor = load_model(model, backend or _usual_backend(model), threads, window, stride)
    dataset = open_dataset(data, classes)
    with counter("scoring") as progress:
        result = score(predictor, dataset, split, wanted, flip, progress, size_hw)
    warn_of_dark([pair.image for pair in dataset.pairs(split)])
    if not is_stdout(json_file):
        _print(result, f"{model} ({predictor.ran})")
        card = predictor.card
        if split == "val" and card.has_seen_val and card.training.get("data") == dataset.kind:
            typer.echo(_SEEN)
    write_json(json_file, {**result.to_json(), "model": str(model), "ran": predictor.ran._asdict()})


def _usual_backend(model: Path) -> str:
    """A run's score is its weights' score, though a faster file lie beside them."""
    from briskseg.runtime.backends import BACKENDS
    from briskseg.runtime.model_files import is_exported

    return "torch" if BACKENDS["torch"].installed() and not is_exported(model) else "auto"


def _numbers(scales: str) -> tuple[float, ...]:
    try:
        return tuple(float(scale) for scale in scales.split(","))
    except ValueError:
        raise RequestError(
            f"--scales {scales} is no list of numbers, expected for example 0.5,1,1.5"
        ) from None


def _print(result: Evaluation, ran: str) -> None:
    if result.label_size is not None:
        typer.echo(
            f"Labels resized to {_size(result.label_size)} before scoring: not comparable with "
            "scores at the labels' own size.\n"
        )
    scores = result.confusion.scores(result.names)
    _print_classes(result, scores)
    print()
    for name, key in (
        ("mIoU", "miou"),
        ("pixel accuracy", "pixel_accuracy"),
        ("mean accuracy", "mean_accuracy"),
        ("frequency-weighted IoU", "frequency_weighted_iou"),
    ):
        beside = _interval(result) if key == "miou" else ""
        print(f"{name:<24}{percent(scores[key], ' %'):>8}{beside}")
    print()
    if cityscapes := result.benchmark.get("cityscapes"):
        _print_benchmark(cityscapes)
        print()
        if "instanceScoresLeftOut" in cityscapes:
            print(f"Without iIoU: {cityscapes['instanceScoresLeftOut']}.")
    absent = ", ".join(result.confusion.absent(result.names))
    plain_console().print(
        f"{ran} on {len(result.per_image)} images of '{result.split}'{_seen(result)}.\n"
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
    span = f"{percent(low, ' %')} to {percent(high, ' %')}"
    return f"   {100 * LEVEL:g} % interval over images: {span}"


def _print_classes(result: Evaluation, scores: dict[str, Any]) -> None:
    counts = result.confusion.counts
    columns = {
        "IoU": [scores["classes"][name]["iou"] for name in result.names],
        "accuracy": [scores["classes"][name]["accuracy"] for name in result.names],
        "share of pixels": (counts.sum(axis=1) / max(1, counts.sum())).tolist(),
    }
    weighted = result.benchmark.get("cityscapes", {})
    if "classInstScores" in weighted:
        inst = [weighted["classInstScores"][name] for name in result.names]
        columns = {"IoU": columns.pop("IoU"), "iIoU": inst, **columns}
    rows = zip(result.names, *columns.values(), strict=True)
    print_rows(
        plain_table("class", *columns),
        ((name, *(percent(value, " %") for value in values)) for name, *values in rows),
    )


def _print_benchmark(scores: dict[str, Any]) -> None:
    """Categories and averages, as the Cityscapes benchmark lists them; void is never scored."""
    weighted = "categoryInstScores" in scores
    rows = [
        (name, iou, scores["categoryInstScores"][name] if weighted else None)
        for name, iou in scores["categoryScores"].items()
        if name != "void"
    ]
    for name, key in (("average of classes", "Classes"), ("average of categories", "Categories")):
        average = scores.get(f"averageScoreInst{key}")
        rows.append((name, scores[f"averageScore{key}"], average))
    headings = ("IoU", "iIoU") if weighted else ("IoU",)
    print_rows(
        plain_table("Cityscapes category", *headings),
        (
            (name, *(percent(value, " %") for value in values[: len(headings)]))
            for name, *values in rows
        ),
    )


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
