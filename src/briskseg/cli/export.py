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
    typer.Argument(
        metavar="MODEL",
        help="A run folder, a .safetensors file, a shipped name or hf://OWNER/NAME.",
    ),
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
        help="Height and width of the images that the file takes. By default any size; for litert, "
        "ncnn, coreml and keras the input size in the model's card.",
    ),
]
_Data = Annotated[
    str | None,
    typer.Option(help="A data set; eight images of its val split are compared too."),
]
_Int8 = Annotated[
    bool,
    typer.Option("--int8", help="Compute in int8, calibrated on the train split of --data."),
]
_MaxMiouLoss = Annotated[
    float, typer.Option(min=0, help="With --int8: the most points of mIoU on val that may be lost.")
]
_MaxClassLoss = Annotated[
    float, typer.Option(min=0, help="With --int8: the most points of IoU that a class may lose.")
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="The file to write; for web, webgpu, triton and ovms a folder. By default beside the "
        "weights, with the format's suffix; for a shipped name in the current folder. An existing "
        "file is not overwritten."
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

    onnx, openvino: an .onnx file, or an .xml with its .bin. It takes plain images (N, H, W, 3),
    uint8 RGB, of any number and size, and returns labels (N, H, W), uint8, and the logits at the
    network's own resolution. The card is inside, so `predict` and `evaluate` take the file as it
    is, without torch; if it is beside its weights, they use it in their place. Other programs must
    set OpenVINO's INFERENCE_PRECISION_HINT=f32, or it may round to bf16.

    litert: a .tflite file for Android, iOS or a Raspberry Pi (docs/phone.md). It takes one image
    (1, H, W, 3), uint8 RGB, of a fixed size, and returns logits (1, h, w, classes) at the network's
    own resolution. The card is inside; `predict` and `evaluate` take it.

    ncnn: a .ncnn.param file with its .ncnn.bin, for ncnn on phones and boards (docs/phone.md), of a
    fixed size. in0 is an RGB image as Mat::from_pixels makes it; out0 is the logits (classes, h,
    w). The card is inside; `predict` and `evaluate` take it.

    coreml: an .mlpackage for iPhones and Macs (docs/phone.md), of a fixed size. It takes an RGB
    image and returns logits (1, classes, h, w). Core ML runs only on Apple's systems: here the file
    is only read back, and benchmarks/coreml.py compares it with the network there.

    keras: a .keras file of standard layers, of a fixed size, which Keras 3 (the version that wrote
    it, or later) loads on torch, JAX or TensorFlow, without briskseg. It takes images (N, H, W, 3),
    RGB from 0 to 255, and returns logits (N, H, W, classes). `briskseg convert FILE.keras` turns it
    back into a file of ours.

    web: a folder with one index.html, which runs the network in a browser on a camera, pictures and
    videos. It opens by a double click or from any server, requests nothing and sends nothing. MODEL
    may be an .onnx file; if an .onnx file is beside the weights, as with shipped names, it is used,
    and torch is not needed. webgpu: the same, but larger, and on the GPU if the browser has WebGPU.

    triton, ovms: a folder from which Triton Inference Server or OpenVINO Model Server loads the
    ONNX file, with the server's configuration (docs/serve.md). MODEL as for web.

    Every file except coreml's is compared with the network on drawn images and on those of --data.
    It is deleted if a logit differs by more than 1e-3 of the logits' standard deviation, or if a
    label differs although the two best logits are further apart than that.

    With --int8 (openvino, litert) the network computes in int8, calibrated on 48 images of the
    train split. Float32 and int8 are both scored on the val split, as by `evaluate`. While int8
    loses too much, the layers that rounding disturbs most are left in float; if it still loses too
    much, the file is not kept.

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
