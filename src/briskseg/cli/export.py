"""briskseg export: a network as a file that another program runs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app, console
from briskseg.cli.options import ClassesOption, open_data, read_size
from briskseg.core.errors import RequestError
from briskseg.core.wording import counted

if TYPE_CHECKING:
    from rich.status import Status

    from briskseg.export import Export
    from briskseg.export.int8 import Scored
    from briskseg.runtime.predictor import Ran

_Model = Annotated[
    Path,
    typer.Argument(help="A run folder, a .safetensors file, a shipped name or hf://OWNER/NAME."),
]
_To = Annotated[
    str,
    typer.Option(
        help="The format: onnx, openvino, litert, ncnn, coreml, keras, web, webgpu, triton, ovms."
    ),
]
_Size = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Height and width of the images that the file will take; by default any, or for "
        "litert, ncnn, coreml and keras the input size in the model's card.",
    ),
]
_Data = Annotated[
    str | None,
    typer.Option(help="A data set, of whose val split eight images are compared too."),
]
_Int8 = Annotated[
    bool,
    typer.Option("--int8", help="Compute in int8; needs --data, whose train split calibrates."),
]
_MaxMiouLoss = Annotated[
    float, typer.Option(min=0, help="With --int8: the points of mIoU on val that it may lose.")
]
_MaxClassLoss = Annotated[
    float, typer.Option(min=0, help="With --int8: the points of IoU any class may lose.")
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="The file to write, of web, webgpu, triton and ovms the folder; by default the "
        "weights file with the format's suffix, and of a shipped name, which belongs to the "
        "package, here. A file that is there is not overwritten."
    ),
]


@app.command()
def export(
    model: _Model,
    to: _To,
    size: _Size = None,
    data: _Data = None,
    classes: ClassesOption = None,
    int8: _Int8 = False,
    max_miou_loss: _MaxMiouLoss = 0.5,
    max_class_loss: _MaxClassLoss = 3.0,
    out: _Out = None,
    json_file: console.JsonOption = None,
) -> None:
    """Write a network for another program, and check that it computes the same there.

    onnx, openvino: an .onnx file, or an .xml with its .bin, that takes plain images (N, H, W, 3),
    uint8 RGB, of any size and number, and gives labels (N, H, W), uint8, and the logits as large as
    the network computes them. The card is inside: `predict` and `evaluate` take the file as it is,
    without torch, and beside its weights it is taken in their place. Other programs give OpenVINO
    INFERENCE_PRECISION_HINT=f32, without which it rounds to bf16 on processors that compute in it.

    litert: a .tflite file for Android, iOS, a Raspberry Pi (docs/phone.md), which takes an image
    (1, H, W, 3), uint8 RGB, of one size, and gives logits (1, h, w, classes) as large as the
    network computes them. The card is inside, and `predict` and `evaluate` take it too.

    ncnn: a .ncnn.param file with its .ncnn.bin, for ncnn on phones and boards (docs/phone.md), of
    one size too: in0, an image as Mat::from_pixels makes it, RGB, to out0, the logits (classes, h,
    w). The card is inside, and `predict` and `evaluate` take it.

    coreml: an .mlpackage for iPhones and Macs (docs/phone.md), of one size too: an image, RGB, to
    logits (1, classes, h, w). Core ML runs on Apple's systems alone: the file is read back, and
    that it computes what the network does is for you to see there.

    keras: a .keras file of standard layers, which Keras 3 loads on torch, JAX or TensorFlow with
    no need of briskseg, in the version of Keras that wrote it or a later one. It takes images
    (N, H, W, 3), RGB from 0 to 255, of one size, and gives logits (N, H, W, classes).
    `briskseg convert FILE.keras` makes it a file of ours again.

    web: a folder with one index.html, which runs the network in a browser on a camera, pictures and
    videos: it opens from a double click or from any server, asks nothing of any, and sends nothing.
    MODEL may be an .onnx file, which is taken as it is; of weights that lie beside the .onnx file
    made of them, as shipped ones do, that is taken, without torch. webgpu: the same, larger, and on
    the GPU where the browser has WebGPU.

    triton, ovms: a folder that Triton Inference Server or OpenVINO Model Server loads models from,
    with the ONNX file and what the server reads of it (docs/serve.md). MODEL as for web.

    Every file but coreml's is run beside the network on drawn images and on those of --data, and
    deleted where any logit differs by more than 1e-3 of their standard deviation, or a label is
    another where the two best logits are more than 1e-3 of it apart.

    With --int8 (openvino, litert) the network computes in int8, calibrated on 48 images of the
    train split. Float32 and int8 are scored on the val split as `evaluate` does; layers that
    rounding disturbs most are left in float while int8 loses too much, and a file that still does
    is not kept.

    Examples: briskseg export runs/first --to onnx

    briskseg export runs/first --to openvino --int8 --data CamVid

    briskseg export fast-scnn-camvid11 --to web --out page
    """
    if int8:
        from briskseg.export import refuse_int8_of

        refuse_int8_of(to)
        if data is None:
            raise RequestError(
                "--int8 needs images to calibrate on and labels to score what it costs; name the "
                "data set that the model was trained on, with --data DIR"
            )
    from rich.console import Console

    from briskseg.export import export as export_model
    from briskseg.runtime.predictor import Ran

    size_hw = None if size is None else read_size(size, "--size")
    dataset = None if data is None else open_data(data, classes)
    images = [] if dataset is None else [*map(dataset.read_image, dataset.pairs("val")[:8])]
    shown = Console(stderr=True)
    with shown.status(f"writing and checking for {to}") as status:
        asked = None
        if int8 and dataset is not None:
            from briskseg.export.int8 import Int8

            steps = _Steps(status, console.ProgressLines(shown))
            asked = Int8(dataset, max_miou_loss, max_class_loss, steps.begin, steps.progress)
        done = export_model(model, to, out, size_hw, images, asked)
    runtime = "onnx" if done.format.packer else to
    ran = Ran(str(done.file), runtime, "float32" if done.scored is None else "int8")
    if not console.is_stdout(json_file):
        _print(done, ran)
    console.write_json(json_file, {**done.to_json(), "ran": ran._asdict()})


class _Steps:
    """What is being done, beside the spinner or in lines, and how far it is."""

    def __init__(self, status: Status, lines: console.ProgressLines) -> None:
        self._status, self._lines = status, lines
        self._what, self._began = "", 0.0

    def begin(self, what: str) -> None:
        self._what, self._began = what, time.monotonic()
        self._show(what)

    def progress(self, done: int, total: int) -> None:
        rate = done / max(time.monotonic() - self._began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        self._show(f"{self._what} {done}/{total}, {rate:.1f} images/s{left}")

    def _show(self, text: str) -> None:
        self._status.update(text)
        self._lines.show(text)


def _print(done: Export, ran: Ran) -> None:
    network, agreement, factor = done.card.network, done.agreement, done.exported.factor
    height, width = done.exported.size or ("H", "W")
    small = {None: "h, w", 1: f"{height}, {width}"}.get(
        factor, f"{height}/{factor}, {width}/{factor}"
    )
    shape = {"height": height, "width": width, "classes": network.classes, "small": small}
    shape["enlarging"] = done.exported.enlarging
    print(f"network  {network.name}, {network.classes} classes")
    print(f"takes    {done.format.takes.format(**shape)}")
    print(f"gives    {done.format.gives.format(**shape)}")
    if agreement is not None:
        rounded = f"with {ran.backend} in float32, before it was rounded to int8"
        what = ran if done.scored is None else rounded  # of int8 the table below tells
        print(f"ran      {what}, beside the network itself")
        print(
            f"agrees   to {agreement.difference:.1e} of the logits' standard deviation, "
            f"on {counted(agreement.images, 'image')}"
            f"{', and in every label' if agreement.labels else ''}"
        )
    if done.format.unrun:
        print("ran      not at all, and was not compared with the network")
    if done.scored is not None:
        _print_int8(done.scored)
    print(f"wrote    {done.file}, {done.format.title} of {done.size_bytes / 1e6:.1f} MB")
    if done.format.unrun:
        print(f"         {done.format.unrun}")
    if 0 < done.format.budget < done.size_bytes:
        print(
            f"         large: over {done.format.budget / 1e6:g} MB, it is slow to load from a "
            "server; a smaller network makes a smaller page"
        )


def _print_int8(scored: Scored) -> None:
    from briskseg.export.int8 import left_in_float

    float32, int8 = scored.float32, scored.int8
    print(
        f"int8     {left_in_float(scored.in_float)}; IoU on "
        f"{counted(len(int8.per_image), 'image')}:"
    )
    rows = []
    for name, *both in (
        ("mIoU", float32.miou, int8.miou),
        *zip(float32.names, float32.confusion.iou, int8.confusion.iou, strict=True),
    ):
        before, after = (None if math.isnan(share) else float(share) for share in both)
        points = "-" if before is None or after is None else f"{100 * (after - before):+.2f}"
        rows.append((name, *(console.percent(x, " %") for x in (before, after)), points))
    console.print_table(("", "float32", "int8", "points"), rows)
