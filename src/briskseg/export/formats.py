"""The formats that `briskseg export` writes, a record each. Importing this loads none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from briskseg.core.card import Card
from briskseg.core.errors import ExportError
from briskseg.core.exported import Exported
from briskseg.core.types import Floats32, Image, Labels

if TYPE_CHECKING:
    from briskseg.export import Export
    from briskseg.models.network import Network

Infer = Callable[[Image], Floats32]


class Runs(NamedTuple):
    """A written file, loaded: image (H, W, 3) uint8 RGB -> logits (C, H, W) float32, and labels
    (H, W) uint8 where the file gives them itself."""

    logits: Infer
    labels: Callable[[Image], Labels] | None = None


Writer = Callable[["Network", Card, Exported, Path], Runs | None]
# The folder to write -> what puts the ONNX file into it, once it is known that the folder may be
# written: before a network is traced, which takes long.
Packer = Callable[[Path], Callable[["Export", bytes], None]]


class Format(NamedTuple):
    """A kind of file, or of a folder around an ONNX file, that `export` writes.

    writer: "module:function" in briskseg.export; it writes the file and returns what runs it, None
        where nothing here does; `unrun` then says so.
    takes, gives: what goes in and comes out, to be filled with height, width, classes, `small`, the
        height and width of the logits, and `enlarging`, what they need yet.
    any_size: whether a file can take images of any size.
    packer: of a folder, "module:function", a `Packer`; `writer` then writes the ONNX file, and
        `inside` is the name of the folder's main file, in which {name} is the model's. `suffix` is
        only how the folder's name ends where the user names none. budget: bytes above which it is
        said to be large; 0: none.
    int8: "module:class" of the `int8.Quantizer` that rounds it; "": none does.
    """

    suffix: str
    title: str
    writer: str
    takes: str
    gives: str
    any_size: bool = False
    unrun: str = ""
    int8: str = ""
    packer: str = ""
    inside: str = ""
    budget: int = 0


_TAKES = "images (N, {height}, {width}, 3), uint8, RGB"
_GIVES = "labels (N, {height}, {width}), uint8, and logits (N, {classes}, {small})"


def no_counterpart(network: object, title: str, cause: str) -> ExportError:
    """What is told where a network has an operation that a format has not."""
    return ExportError(
        f"{type(network).__name__} has an operation that {title} has no counterpart of: "
        f"{cause}; give the network an export_form() without it, or export it "
        "--to onnx"
    )


FORMATS = {
    "onnx": Format(".onnx", "ONNX", "onnx_file:write_onnx", _TAKES, _GIVES, any_size=True),
    "openvino": Format(
        ".xml",
        "OpenVINO",
        "openvino_file:write_openvino",
        _TAKES,
        _GIVES,
        any_size=True,
        int8="openvino_int8:OpenVINOQuantizer",
    ),
    "litert": Format(
        ".tflite",
        "LiteRT",
        "litert_file:write_litert",
        takes="images (1, {height}, {width}, 3), uint8, RGB",
        gives="logits (1, {small}, {classes}), float32, {enlarging}",
        int8="litert_int8:LiteRTQuantizer",
    ),
    "ncnn": Format(
        ".ncnn.param",
        "ncnn",
        "ncnn_file:write_ncnn",
        takes="in0, an image as Mat::from_pixels makes it of {height}x{width} RGB: 0 to 255",
        gives="out0, logits ({classes}, {small}), float32, {enlarging}",
    ),
    "coreml": Format(
        ".mlpackage",
        "Core ML",
        "coreml_file:write_coreml",
        takes="image, {height}x{width}, RGB",
        gives="logits (1, {classes}, {small}), float32, {enlarging}",
        unrun="Core ML runs on a Mac or an iPhone alone. What was written is what was meant, read "
        "back; that it computes the same is to be seen there: benchmarks/coreml.py",
    ),
    "keras": Format(
        ".keras",
        "Keras 3",
        "keras_file:write_keras",
        takes="images (N, {height}, {width}, 3), RGB from 0 to 255",
        gives="logits (N, {height}, {width}, {classes})",
    ),
    **{
        to: Format(
            "-web",
            title,
            "onnx_file:write_onnx",
            takes="a camera, pictures and videos, in a browser",
            gives="labels of the picture's size",
            any_size=True,
            packer=f"web_page:pack_{to}",
            inside="index.html",
            budget=budget,
        )
        for to, title, budget in (
            ("web", "a page", 9_000_000),
            ("webgpu", "a page for WebGPU", 14_000_000),
        )
    },
    **{
        to: Format(
            f"-{to}",
            title,
            "onnx_file:write_onnx",
            _TAKES,
            _GIVES,
            any_size=True,
            packer=f"model_repository:pack_{to}",
            inside="{name}/1/model.onnx",
        )
        for to, title in (("triton", "ONNX for Triton"), ("ovms", "ONNX for OpenVINO Model Server"))
    },
}
