"""Networks for images of one size, as Keras and the formats of phones take them.

`ChannelsFirst` and `ChannelsLast` are what `briskseg.export.deployed` computes up to the logits;
`fixed_program` is their program in which every size is a constant, without what some converters
cannot write: enlarging along an axis is a product with a matrix that the sizes alone decide.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from briskseg.export.deployed import Deployed, crop
from briskseg.models.network import extended_side


class ChannelsFirst(Deployed):
    """Images (1,3,H,W), RGB from 0 to 255 -> logits (1,classes,h,w) float32."""

    def forward(self, images: Tensor, seen: Tensor | None = None) -> Tensor:  # type: ignore[override]
        height, width = images.shape[2:]
        below, right = (extended_side(side, *self.extends) - side for side in (height, width))
        x = images
        if below or right:  # F.pad itself is one of the things that pnnx does not read
            x = torch.ops.aten.replication_pad2d(x, (0, right, 0, below))
        logits: Tensor = self.form(x * self.scale + self.shift)
        return crop(logits, (height, width)) if self.factor == 1 else logits


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


def fixed_program(deployed: Deployed, images: Tensor) -> fx.GraphModule:
    """What `deployed` computes of images like these, of operations that converters write."""
    for tensor in deployed.parameters():
        # litert_torch reads a channels-last tensor's memory as if it were in the usual order
        tensor.data = tensor.data.contiguous()
    program = torch.export.export(deployed, (images,)).module()
    assert isinstance(program, fx.GraphModule)
    _enlarge_by_matrices(program)
    return program


_BILINEAR = torch.ops.aten.upsample_bilinear2d.vec
_NEAREST = torch.ops.aten.upsample_nearest2d.vec
_MODES = {
    _BILINEAR: "bilinear",
    _NEAREST: "nearest",
    torch.ops.aten.upsample_bicubic2d.vec: "bicubic",
}


def _enlarge_by_matrices(program: fx.GraphModule) -> None:
    """Replace enlarging that LiteRT does not have by products with a constant matrix on either
    side: bicubic, which Core ML and Keras have not either; bilinear with align_corners, whose
    operation LiteRT's own loader refuses; and nearest but by whole numbers, for which it takes the
    pixel at another center."""
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
