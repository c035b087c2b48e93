"""briskseg predict: masks and overlays of images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app

if TYPE_CHECKING:
    from briskseg.runtime.inputs import Input
    from briskseg.runtime.predictor import Predictor


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A run folder, or a .safetensors file.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Images, videos, folders, patterns ('a/*.jpg')."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("predictions"),
) -> None:
    """Label images and videos, each at its own size.

    Of an image NAME: NAME_labels.png (one channel, class indices), NAME_color.png (the classes'
    colors) and NAME_overlay.png (the colors over the image, a legend below). Of a video:
    NAME_color.mp4 and NAME_overlay.mp4. A folder's results keep its subfolders; equal names get
    -2, -3 ... An input that is damaged is named, and the others are done.

    Example: briskseg predict runs/first photos/ --out labeled
    """
    from briskseg.runtime.inputs import find_inputs
    from briskseg.runtime.predictor import load

    found = find_inputs(inputs, out)
    predictor = load(model)
    failed = _predict_all(predictor, found, out)
    done = len(found) - len(failed)
    if done:
        print(f"{done} of {len(found)} labeled, in {out}")
    if failed:
        from briskseg.core.errors import DataError

        heading = f"{len(failed)} of {len(found)} inputs failed:\n" if len(found) > 1 else ""
        raise DataError(heading + "\n".join(failed))


def _predict_all(predictor: Predictor, found: list[Input], out: Path) -> list[str]:
    """Write every input's predictions; what went wrong, a line each."""
    from briskseg.cli.counter import counter
    from briskseg.core.errors import DataError
    from briskseg.runtime.predictions import write_predictions

    failed = []
    if len(found) == 1 and found[0].is_video:
        with counter("labeling", "frames") as progress:
            write_predictions(predictor, found[0], out, progress)
        return []
    with counter("labeling", "inputs") as progress:
        for done, source in enumerate(found, start=1):
            try:
                write_predictions(predictor, source, out)
            except DataError as error:
                failed.append(str(error))
            progress(done, len(found))
    return failed
