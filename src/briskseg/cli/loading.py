"""MODEL, --backend and --threads, and the predictor that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from briskseg.runtime.predictor import Predictor

ModelArgument = Annotated[
    Path,
    typer.Argument(
        help="A run folder, a .safetensors, .onnx or .xml file, or a name that `briskseg models` "
        "lists."
    ),
]
BackendOption = Annotated[
    str,
    typer.Option(
        help="What runs the network: torch, onnx, openvino, openvino-bf16, or auto, the fastest on "
        "this machine of those that run the file."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(help="CPU threads; by default what is fastest here.")
]


def load_model(model: Path, backend: str, threads: int | None) -> Predictor:
    """As `briskseg.load`; on a terminal it says what takes long."""
    from rich.console import Console

    from briskseg.runtime.predictor import load

    with Console(stderr=True).status("loading; the first time here backends are measured"):
        return load(model, backend, threads)
