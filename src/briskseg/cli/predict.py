"""briskseg predict: masks and overlays of images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.windows import StrideOption, WindowOption, through_windows

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
    cityscapes_ids: Annotated[
        bool,
        typer.Option(
            "--cityscapes-ids", help="Write Cityscapes label ids alone, as its server takes them."
        ),
    ] = False,
    window: WindowOption = None,
    stride: StrideOption = None,
) -> None:
    """Label images and videos, each at its own size.

    Of an image NAME: NAME_labels.png (one channel, class indices), NAME_color.png (the classes'
    colors) and NAME_overlay.png (the colors over the image, a legend below). Of a video:
    NAME_color.mp4 and NAME_overlay.mp4. A folder's results keep its subfolders; equal names get
    -2, -3 ... An input that is damaged is named, and the others are done.

    With --cityscapes-ids, of CITY_000000_000019_leftImg8bit.png: CITY_000000_000019_labelIds.png
    alone (one channel, label ids), fit for the evaluation server.

    Example: briskseg predict runs/first photos/ --out labeled
    """
    from briskseg.runtime.inputs import find_inputs
    from briskseg.runtime.predictor import load
    from briskseg.runtime.server_files import check_knows_cityscapes, server_paths

    found = find_inputs(inputs, out)
    targets = server_paths(found, out) if cityscapes_ids else None
    predictor = through_windows(load(model), window, stride)
    if cityscapes_ids:
        check_knows_cityscapes(predictor)
    failed = _predict_all(predictor, found, out, targets)
    done = len(found) - len(failed)
    if done:
        print(f"{done} of {len(found)} labeled, in {out}")
    if failed:
        from briskseg.core.errors import DataError

        heading = f"{len(failed)} of {len(found)} inputs failed:\n" if len(found) > 1 else ""
        raise DataError(heading + "\n".join(failed))


def _predict_all(
    predictor: Predictor, found: list[Input], out: Path, targets: list[Path] | None
) -> list[str]:
    """Write every input's predictions, or its label ids to its target; errors, a line each."""
    from briskseg.cli.counter import counter
    from briskseg.core.errors import DataError
    from briskseg.runtime.predictions import write_predictions
    from briskseg.runtime.server_files import write_label_ids

    failed = []
    if len(found) == 1 and found[0].is_video:
        with counter("labeling", "frames") as progress:
            write_predictions(predictor, found[0], out, progress)
        return []
    with counter("labeling", "inputs") as progress:
        for index, source in enumerate(found):
            try:
                if targets is None:
                    write_predictions(predictor, source, out)
                else:
                    write_label_ids(predictor, source.path, targets[index])
            except DataError as error:
                failed.append(str(error))
            progress(index + 1, len(found))
    return failed
