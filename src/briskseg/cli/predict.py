"""briskseg predict: masks and overlays of images and videos."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Any

import typer

from briskseg.cli import app, console, options
from briskseg.core.errors import BriskError, DataError, Interrupted, RequestError
from briskseg.core.files.atomic import refuse_unwritable
from briskseg.core.wording import counted

if TYPE_CHECKING:
    from briskseg.core.types import Image, Labels
    from briskseg.runtime.inputs import Input
    from briskseg.runtime.predictor import Predictor
    from briskseg.runtime.video.stream import StreamReport

_Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Images, videos, folders, patterns ('a/*.jpg', a_%04d.png), camera:0, "
        "or a stream's address (rtsp://..., http://...).",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(help="The folder to write to; by default predictions, with --show none."),
]
_CityscapesIds = Annotated[
    bool,
    typer.Option(
        "--cityscapes-ids", help="Write only Cityscapes label ids, as its server takes them."
    ),
]
_Show = Annotated[
    bool, typer.Option("--show", help="Show videos and cameras in a window; q closes it.")
]
_Smooth = Annotated[
    int,
    typer.Option(
        min=1,
        max=255,
        metavar="N",
        help="In videos, change a pixel's label only after N frames with the new label: calmer, "
        "and N - 1 frames late.",
    ),
]
_Flicker = Annotated[
    bool,
    typer.Option(
        "--flicker",
        help="Measure the share of a video's pixels that change label from frame to frame, with "
        "motion compensated. Takes about 10 ms a frame.",
    ),
]


@app.command()
def predict(
    model: options.ModelArgument,
    inputs: _Inputs,
    out: _Out = None,
    cityscapes_ids: _CityscapesIds = False,
    window: options.WindowOption = None,
    stride: options.StrideOption = None,
    show: _Show = False,
    smooth: _Smooth = 1,
    flicker: _Flicker = False,
    backend: options.BackendOption = "auto",
    threads: options.ThreadsOption = None,
    json_file: console.JsonOption = None,
) -> None:
    """Label images, videos and cameras, each at its own size.

    For an image NAME it writes NAME_labels.png (one channel, class indices), NAME_color.png (the
    classes' colors) and NAME_overlay.png (the colors over the image, with a legend). For a video it
    writes NAME_color.mp4 and NAME_overlay.mp4, at the video's frame rate. Results keep the
    subfolders of their inputs; inputs of one name get -2, -3 ...

    Results of an earlier `predict` are replaced, and are not taken as inputs unless nothing else is
    named. A picture that has such a name and was not written by `predict` is an error, before
    anything is written. A damaged input is reported, and the others are labeled.

    Videos and cameras are read, labeled, drawn and written at the same time. At the end each
    stage's time, the throughput and the latency are printed. Frames that a camera delivers faster
    than they are labeled are dropped, the oldest first, and counted; Ctrl-C ends it. Streams
    (rtsp://, http:// ...) are treated as cameras, and connected to again if they stop.

    --cityscapes-ids writes one file per image, for the evaluation server: for
    CITY_000000_000019_leftImg8bit.png that is CITY_000000_000019_labelIds.png (one channel, label
    ids).

    Examples: briskseg predict runs/first photos/ --out labeled

    briskseg predict runs/first camera:0 --show
    """
    from briskseg.data.cityscapes.submission import check_knows_cityscapes, server_paths
    from briskseg.runtime.inputs import find_inputs
    from briskseg.runtime.predictions import refuse_others, result_files

    _refuse_swapped(model, inputs)
    folder = out or Path("predictions")
    found = find_inputs(inputs, folder, console.note)
    targets = server_paths(found, folder) if cityscapes_ids else [None] * len(found)
    images = [pair for pair in zip(found, targets, strict=True) if not pair[0].is_stream]
    if show and images:
        raise RequestError(
            f"{images[0][0].path} is an image, and --show shows videos and cameras; leave it out, "
            "and open the overlays that are written"
        )
    if images and (smooth > 1 or flicker):
        asked = "--smooth" if smooth > 1 else "--flicker"
        console.note(f"{asked} is of videos and cameras; images are labeled each by itself")
    is_quiet, is_unwritten = console.is_stdout(json_file), show and out is None
    if not is_unwritten:
        refuse_unwritable(folder)
    refuse_others(file for one, at in images if at is None for file in result_files(one, folder))
    predictor = options.load_model(model, backend, threads, window, stride)
    if cityscapes_ids:
        check_knows_cityscapes(predictor.card.labels.names)
    before = set[Path]() if is_unwritten else console.files_in(folder)
    results = _label_images(predictor, images, folder)
    for source in (each for each in found if each.is_stream):
        target = None if is_unwritten else folder
        try:
            report = label_stream(predictor, source, target, show, smooth, flicker)
            results.append(_result(source, report.paths, **report.to_json()))
            if not is_quiet:
                print(report_text(report))
        except DataError as error:
            results.append(_result(source, [], error=str(error)))
    console.say_replaced(folder, before, (Path(f) for each in results for f in each["files"]))
    console.warn_of_dark([source.path for source, _ in images])
    failed = [result["error"] for result in results if "error" in result]
    if (done := len(found) - len(failed)) and not is_quiet:
        where = "shown" if is_unwritten else f"labeled, in {folder}"
        print(f"{done} of {len(found)} {where}: {predictor.ran}")
    console.write_json(json_file, {"ran": predictor.ran._asdict(), "inputs": results})
    if failed:
        heading = f"{len(failed)} of {len(found)} inputs failed:\n" if len(found) > 1 else ""
        raise DataError(heading + "\n".join(failed))


def _refuse_swapped(model: Path, inputs: list[str]) -> None:
    """Raise RequestError where a picture stands in the model's place."""
    from briskseg.core.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
    from briskseg.runtime.model_files import find_files

    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    if model.suffix.lower() not in suffixes:
        return
    *before, last = inputs
    words = ["MODEL", str(model), *inputs]
    with suppress(BriskError):  # the last is no model either
        if Path(last).suffix.lower() not in suffixes and find_files(Path(last)):
            words = [last, str(model), *before]
    raise RequestError(
        f"{model} is no model, and the model comes first; did you mean "
        f"`{join(['briskseg', 'predict', *words])}`?"
    )


def _result(source: Input, files: list[Path], **more: Any) -> dict[str, Any]:
    """What became of an input, as --json has it."""
    return {"input": source.shown, "files": [str(file) for file in files], **more}


def _label_images(
    predictor: Predictor, images: list[tuple[Input, Path | None]], out: Path
) -> list[dict[str, Any]]:
    """Write every image's predictions, or its label ids to its target; what became of each."""
    from briskseg.data.cityscapes.submission import write_label_ids
    from briskseg.runtime import predictions

    label_set, targets = predictor.card.labels.to_label_set(), dict(images)

    def write(source: Input, image_hwc: Image, labels_hw: Labels) -> list[Path]:
        target = targets[source]
        if target is None:
            return predictions.write_predictions(source, image_hwc, labels_hw, label_set, out)
        write_label_ids(labels_hw, target)
        return [target]

    results: list[dict[str, Any]] = []
    try:
        with (
            console.counter("labeling", "images") as progress,
            closing(predictions.label_images(predictor, [*targets], write, progress)) as done,
        ):
            for source, files in zip(targets, done, strict=True):
                if isinstance(files, DataError):
                    results.append(_result(source, [], error=str(files)))
                else:
                    results.append(_result(source, files))
    except KeyboardInterrupt:
        failed = [result["error"] for result in results if "error" in result]
        ready = f"{len(results) - len(failed)} of {len(images)} images were labeled"
        raise Interrupted("\n".join([f"interrupted: {ready}, in {out}", *failed])) from None
    return results


def label_stream(
    predictor: Predictor,
    source: Input,
    out: Path | None,
    show: bool = False,
    smooth: int = 1,
    flicker: bool = False,
) -> StreamReport:
    """Label one video or camera, to `out` where it is given; what became of it.

    Ctrl-C ends a camera as it is meant to; a video it breaks off, as Interrupted says.
    """
    from briskseg.runtime.video.sources import open_source
    from briskseg.runtime.video.stream import Stream

    name, shown = Path(source.shown).name, None
    with ExitStack() as stack:
        if show:
            from briskseg.runtime.video.window import Window

            window = Window(name)
            stack.callback(window.close)
            shown = window.show
        progress = stack.enter_context(console.counter(f"labeling {name}", "frames"))
        opened, label_set = open_source(source, console.note), predictor.card.labels.to_label_set()
        base = None if out is None else out / source.name
        stream = Stream(predictor, label_set, opened, base, shown, smooth, flicker)
        report = stream.run(progress)
    if report.ended == "interrupted" and not report.live:
        many = counted(report.frames, "frame")
        if report.total >= report.frames:
            many = f"{report.frames} of {counted(report.total, 'frame')}"
        were = "was" if report.frames == 1 else "were"
        text = f"interrupted: {many} of {report.name} {were} labeled"
        if not report.frames:
            text = f"interrupted before the first frame of {report.name} was labeled"
        elif report.paths:
            text += f" and written to {' and '.join(map(str, report.paths))}, which end there"
        raise Interrupted(f"{text}\n{report_text(report)}")
    return report


def report_text(report: StreamReport) -> str:
    """What became of a stream, and each stage's time, for people."""
    parts = [
        f"{counted(report.frames, 'frame')} in {report.seconds:.1f} s, {report.rate:.1f} frames/s"
    ]
    if report.live:
        parts.append(f"{report.dropped} dropped")
    if report.latency is not None:
        parts.append("latency {:.0f} ms, 95 % under {:.0f} ms".format(*report.latency))
    if report.flicker is not None:
        parts.append(f"flicker {report.flicker:.2%}")
    ended = {"source": "", "interrupted": " (interrupted)", "closed": " (window closed)"}
    lines = [f"{report.name}{ended[report.ended]}: {', '.join(parts)}"]
    if report.stages:
        lines.append("  ms a frame " + "".join(f"{name:>9}" for name in report.stages))
        for index, what in enumerate(("median", "95 % under")):
            figures = "".join(f"{each[index]:9.1f}" for each in report.stages.values())
            lines.append(f"  {what:11}{figures}")
    return "\n".join(lines)
