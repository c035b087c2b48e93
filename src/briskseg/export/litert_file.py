"""A network as a .tflite file for LiteRT, on Android, iOS, a Raspberry Pi; the card inside.

images (1,H,W,3) uint8 RGB -> logits (1,h,w,classes) float32, as large as the network computes them:
labels follow from these exactly, with a tenth of the memory (docs/phone.md). Sizes are fixed.

`litert_torch` writes the operations of `briskseg.export.deployed`. What it cannot write, or writes
so that LiteRT refuses or miscounts it, is expressed here by matrix products: enlarging along an
axis is one, with a matrix that the sizes alone decide.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from briskseg.core.card import Card
from briskseg.core.errors import ExportError, MissingExtraError
from briskseg.core.exported import Exported
from briskseg.core.process_settings import standard_error_silenced
from briskseg.export.deployed import Deployed, crop
from briskseg.export.formats import Runs
from briskseg.export.litert_metadata import with_card
from briskseg.models.network import Network, extended_side


def write_litert(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, for images of one size; return the file, loaded.

    Raises MissingExtraError without litert-torch, ExportError for a network with an operation that
    LiteRT has no counterpart of.
    """
    path.write_bytes(with_card(to_litert(network, card, exported), card, exported))
    from briskseg.runtime.backends.litert_backend import LiteRTBackend

    return Runs(LiteRTBackend(path).infer)


def to_litert(network: Network, card: Card, exported: Exported) -> bytes:
    """The file without its card; raises as `write_litert`."""
    litert_torch = import_litert_torch()
    assert exported.size is not None
    images = torch.zeros(1, *exported.size, 3, dtype=torch.uint8)
    deployed = ChannelsLast(network, card.input, None).eval()
    for tensor in deployed.parameters():
        # litert_torch reads a channels-last tensor's memory as if it were in the usual order
        tensor.data = tensor.data.contiguous()
    with quiet():
        try:
            program = torch.export.export(deployed, (images,)).module()
            assert isinstance(program, fx.GraphModule)
            with_matrices(program)
            model: bytes = litert_torch.convert(program, (images,)).model_content()
        except Exception as error:  # torch's, jax's and the compiler's, of a dozen types
            raise ExportError(
                f"{type(network).__name__} has an operation that LiteRT has no counterpart of: "
                f"{_cause(error)}; give the network an export_form() without it, or export it "
                "--to onnx"
            ) from error
    return model


class ChannelsLast(Deployed):
    """Images (1,H,W,3) uint8 RGB -> logits (1,h,w,classes) float32."""

    def forward(self, images: Tensor, seen: Tensor | None = None) -> Tensor:  # type: ignore[override]
        logits: Tensor = self.form(self.normalized(images))
        if self.factor == 1:
            logits = crop(logits, tuple(images.shape[1:3]))
        return logits.permute(0, 2, 3, 1)

    def extended(self, images: Tensor, axes: tuple[int, int]) -> Tensor:
        """As everywhere, for the one size: LiteRT selects no rows of bytes by a list of them."""
        for axis in axes:
            size = images.shape[axis]
            missing = extended_side(size, *self.extends) - size
            if missing:
                last = images.narrow(axis, size - 1, 1)
                images = torch.cat([images, *[last] * missing], axis)
        return images


def import_litert_torch() -> Any:
    """The litert_torch package."""
    with quiet(), standard_error_silenced():  # which tells of its kernels before it can be told
        try:
            import litert_torch
        except ModuleNotFoundError as error:
            package = error.name or "litert-torch"
            raise MissingExtraError(package, "exporting to LiteRT", "litert-export") from error
    return litert_torch


_BILINEAR = torch.ops.aten.upsample_bilinear2d.vec
_NEAREST = torch.ops.aten.upsample_nearest2d.vec
_MODES = {
    _BILINEAR: "bilinear",
    _NEAREST: "nearest",
    torch.ops.aten.upsample_bicubic2d.vec: "bicubic",
}


def with_matrices(program: fx.GraphModule) -> None:
    """Replace enlarging that LiteRT does not have by products with a constant matrix on either
    side: bicubic; bilinear with align_corners, whose operation its own loader refuses; and nearest
    but by whole numbers, for which it takes the pixel at another center."""
    for number, node in enumerate([*program.graph.nodes]):
        if node.target not in _MODES:
            continue
        before_hw, after_hw = node.args[0].meta["val"].shape[2:], node.meta["val"].shape[2:]
        align_corners = bool(node.args[2]) if node.target is not _NEAREST else None
        whole = all(after % before == 0 for before, after in zip(before_hw, after_hw, strict=True))
        if (node.target is _BILINEAR and not align_corners) or (node.target is _NEAREST and whole):
            continue
        mode, found = _MODES[node.target], node.args[0]
        for name, before, after in zip(("rows", "columns"), before_hw, after_hw, strict=True):
            matrix = _enlarging(int(before), int(after), mode, align_corners)
            key = f"{name}_{number}"
            program.register_buffer(key, matrix if name == "rows" else matrix.T.contiguous())
            with program.graph.inserting_before(node):
                constant = program.graph.get_attr(key)
                pair = (constant, found) if name == "rows" else (found, constant)
                found = program.graph.call_function(torch.ops.aten.matmul.default, pair)
        node.replace_all_uses_with(found)
        program.graph.erase_node(node)
    program.recompile()


def _enlarging(before: int, after: int, mode: str, align_corners: bool | None) -> Tensor:
    """(after, before): a row says how a pixel is a sum of those before."""
    each = torch.eye(before)[None, :, :, None]  # a pixel in each channel
    spread = F.interpolate(each, (after, 1), mode=mode, align_corners=align_corners)
    return spread[0, :, :, 0].T.contiguous()


def _cause(error: BaseException) -> str:
    """The first sentence of what failed first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def first_line(error: BaseException) -> str:
    """What it says first, of what others' programs say at length."""
    return str(error).strip().partition("\n")[0][:300].rstrip(".")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """litert_torch, its compiler and jax print and log what they do, and warn of their packages."""
    disabled, level = logging.root.manager.disable, os.environ.get(_LEVEL)
    logging.disable(logging.WARNING)
    os.environ[_LEVEL] = "3"
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if level is None:
            del os.environ[_LEVEL]
        else:
            os.environ[_LEVEL] = level


_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # of what the compiler, in C++, writes to standard error
