"""The options --window and --stride, which `evaluate` and `predict` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli.sizes import read_size
from briskseg.core.errors import RequestError

if TYPE_CHECKING:
    from briskseg.runtime.predictor import Predictor

WindowOption = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="See each image through windows of this size (of the image as the network takes it), "
        "their probabilities averaged: for images larger than memory likes.",
    ),
]
StrideOption = Annotated[
    str | None,
    typer.Option(metavar="HxW", help="From one window to the next; without it 2/3 of the window."),
]


def through_windows(predictor: Predictor, window: str | None, stride: str | None) -> Predictor:
    """The predictor, seeing images through windows where they were asked for."""
    window_hw, stride_hw = read_size(window, "--window"), read_size(stride, "--stride")
    if window_hw is None:
        if stride_hw is not None:
            raise RequestError(f"--stride {stride} without --window; name the windows' size too")
        return predictor

    from briskseg.runtime.sliding_window import WindowPredictor

    return WindowPredictor(predictor, window_hw, stride_hw)
