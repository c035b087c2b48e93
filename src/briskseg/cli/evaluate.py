"""briskseg evaluate: a model's scores on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from briskseg.cli import app, console, options
from briskseg.core.errors import RequestError
from briskseg.core.wording import counted, hxw

if TYPE_CHECKING:
    from briskseg.evaluation.accuracy import Evaluation

_Scales = Annotated[
    str, typer.Option(help="Average over each image at these scales: 0.5,0.75,1,1.25,1.5,1.75.")
]
_LabelSize = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Resize labels to this size before scoring, as the official ERFNet code does "
        "(512x1024). Such scores cannot be compared with others.",
    ),
]
_Backend = Annotated[
    str | None,
    typer.Option(
        help="What runs the network: torch, onnx, openvino, openvino-bf16, or auto for the "
        "fastest. By default torch, if it is installed and MODEL is not an exported file."
    ),
]


@app.command()
def evaluate(
    model: options.ModelArgument,
    data: options.DataOption,
    split: Annotated[str, typer.Option(help="The split to score on.")] = "val",
    classes: options.ClassesOption = None,
    unlabeled: options.UnlabeledOption = None,
    scales: _Scales = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Also see each image mirrored.")] = False,
    window: options.WindowOption = None,
    stride: options.StrideOption = None,
    backend: _Backend = None,
    threads: options.ThreadsOption = None,
    label_size: _LabelSize = None,
    json_file: console.JsonOption = None,
) -> None:
    """Score a model on a data set: IoU and accuracy of each class, mIoU with its interval.

    Each image is scored at the size of its labels. With one scale and no flip, the labels are those
    that `predict` writes; otherwise softmax probabilities are averaged over scales and flips.
    If MODEL is a run, its weights are scored; name an exported file, or --backend, to score that.
    On Cityscapes the benchmark's own scores are added: IoU and instance-weighted IoU (iIoU) of
    classes and categories, as in cityscapesScripts.

    Example: briskseg evaluate runs/first --data CamVid --json scores.json
    """
    try:
        wanted = tuple(float(scale) for scale in scales.split(","))
    except ValueError:
        raise RequestError(
            f"--scales {scales} is no list of numbers, expected for example 0.5,1,1.5"
        ) from None
    size_hw = None if label_size is None else options.read_size(label_size, "--label-size")

    from briskseg.evaluation.accuracy import evaluate as score
    from briskseg.runtime.backends import BACKENDS
    from briskseg.runtime.model_files import as_named, is_exported

    local = options.fetched_model(model, backend or "auto")
    if backend is None:  # a run's score is its weights' score, though a faster file lie beside them
        usual = BACKENDS["torch"].installed() and not is_exported(local)
        backend = "torch" if usual else "auto"
    predictor = options.load_model(local, backend, threads, window, stride)
    dataset = options.open_data(data, classes, unlabeled=unlabeled)
    with console.counter("scoring") as progress:
        result = score(predictor, dataset, split, wanted, flip, progress, size_hw)
    console.warn_of_dark([pair.image for pair in dataset.pairs(split)])
    if not console.is_stdout(json_file):
        _print(result, f"{as_named(model)} ({predictor.ran})")
        card = predictor.card
        if split == "val" and card.has_seen_val and card.training.get("data") == dataset.kind:
            print(
                "The model was trained on val of such data too: if these are its images, the "
                "scores say\nnothing about new ones."
            )
    ran = predictor.ran._asdict()
    console.write_json(json_file, {**result.to_json(), "model": as_named(model), "ran": ran})


def _print(result: Evaluation, ran: str) -> None:
    from briskseg.core.metrics.intervals import LEVEL
    from briskseg.runs.scores import seen

    if result.label_size is not None:
        print(
            f"Labels resized to {hxw(result.label_size)} before scoring: not comparable with "
            "scores at the labels' own size.\n"
        )
    scores = result.confusion.scores(result.names)
    _print_classes(result, scores)
    print()
    low, high = result.miou_interval  # what the images alone leave open, beside the mean
    interval = "   no interval from a single image"
    if low is not None and high is not None:
        span = f"{console.percent(low, ' %')} to {console.percent(high, ' %')}"
        interval = f"   {100 * LEVEL:g} % interval over images: {span}"
    for name, key, beside in (
        ("mIoU", "miou", interval),
        ("pixel accuracy", "pixel_accuracy", ""),
        ("mean accuracy", "mean_accuracy", ""),
        ("frequency-weighted IoU", "frequency_weighted_iou", ""),
    ):
        print(f"{name:<24}{console.percent(scores[key], ' %'):>8}{beside}")
    print()
    if cityscapes := result.benchmark.get("cityscapes"):
        _print_benchmark(cityscapes)
        print()
        if "instanceScoresLeftOut" in cityscapes:
            print(f"Without iIoU: {cityscapes['instanceScoresLeftOut']}.")
    views = seen(result.scales, result.flip, result.window, result.stride)
    averaged = views and f"{views}, probabilities averaged"
    absent = ", ".join(result.confusion.absent(result.names))
    console.plain_console().print(
        f"{ran} on {counted(len(result.per_image), 'image')} of '{result.split}'{averaged}.\n"
        "A class that was predicted but is not in the labels has IoU 0 and counts in the mean.\n"
        "One that is in neither has no IoU and is left out of the mean (-)"
        f"{': ' * bool(absent)}{absent}."
    )


def _print_classes(result: Evaluation, scores: dict[str, Any]) -> None:
    counts = result.confusion.counts
    columns = {"IoU": [scores["classes"][name]["iou"] for name in result.names]}
    weighted = result.benchmark.get("cityscapes", {})
    if "classInstScores" in weighted:
        columns["iIoU"] = [weighted["classInstScores"][name] for name in result.names]
    columns["accuracy"] = [scores["classes"][name]["accuracy"] for name in result.names]
    columns["share of pixels"] = (counts.sum(axis=1) / max(1, counts.sum())).tolist()
    rows = [(name, *values) for name, *values in zip(result.names, *columns.values(), strict=True)]
    _print_shares(("class", *columns), rows)


def _print_benchmark(scores: dict[str, Any]) -> None:
    """Categories and averages, as the Cityscapes benchmark lists them; void is never scored."""
    kinds = {"IoU": ""} | ({"iIoU": "Inst"} if "categoryInstScores" in scores else {})
    rows = [
        (name, *(scores[f"category{kind}Scores"][name] for kind in kinds.values()))
        for name in scores["categoryScores"]
        if name != "void"
    ]
    for name, key in (("average of classes", "Classes"), ("average of categories", "Categories")):
        rows.append((name, *(scores[f"averageScore{kind}{key}"] for kind in kinds.values())))
    _print_shares(("Cityscapes category", *kinds), rows)


def _print_shares(headings: Iterable[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table of names and shares in [0, 1]."""
    cells = ((name, *(console.percent(value, " %") for value in row)) for name, *row in rows)
    console.print_table(headings, cells)
