"""SegFormer-B0: four stages of transformer blocks and a head of linear layers.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo: "SegFormer: Simple and Efficient Design for Semantic
Segmentation with Transformers", NeurIPS 2021; Figure 2, MiT-B0 as in its Table 6. Three codes
train it, and differ in what `Variant` lists; the option `variant` is "nvlabs" (the authors'), the
default, "mmsegmentation" or "transformers".

What differs from all: images under 32 pixels a side repeat their last row and column.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.errors import RequestError, nearest
from briskseg.models.network import BatchNorm2d, Network


class Variant(NamedTuple):
    """What the three published codes do differently."""

    eps: float  # of the layer norms in blocks and after stages
    embedding_eps: float  # of those after patch embeddings and in the attention's reduction
    normed_head: bool  # each level of the head has batch norm and ReLU, and the finest is first


VARIANTS = {
    "nvlabs": Variant(1e-6, 1e-5, False),
    "mmsegmentation": Variant(1e-6, 1e-6, True),
    "transformers": Variant(1e-5, 1e-5, False),
}
WIDTHS, HEADS, REDUCTIONS = (32, 64, 160, 256), (1, 2, 5, 8), (8, 4, 2, 1)
BLOCKS = 2  # a stage
HEAD_WIDTH = 256


class SegFormerB0(Network):
    """Options: `variant`, "nvlabs", "mmsegmentation" or "transformers", whose code it equals;
    `drop_path`, the probability with which the last block is skipped in
    training, of those before evenly less; `dropout` of channels before the last layer."""

    last = "head.classifier"
    factor = None
    extends = (1, 32)  # the first reduction needs 8 positions at 1/4

    def __init__(
        self,
        classes: int,
        *,
        variant: str = "nvlabs",
        drop_path: float = 0.1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise RequestError(f"unknown variant '{variant}'; {nearest(variant, VARIANTS)}")
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path is {drop_path}, expected a share from 0 to below 1")
        v = VARIANTS[variant]
        last = BLOCKS * len(WIDTHS) - 1
        drops = [drop_path * i / last for i in range(last + 1)]
        self.stages = nn.ModuleList(  # (N,WIDTHS[i],h,w) at 1/4, 1/8, 1/16 and 1/32
            Stage(i, v, drops[BLOCKS * i : BLOCKS * (i + 1)]) for i in range(len(WIDTHS))
        )
        self.head = Head(v, dropout, classes)  # (N,classes,H/4,W/4)
        self.apply(initialize)

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/4),ceil(W/4))."""
        x, levels = self.extended(images), []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return self.head(levels)


class Stage(nn.Module):
    """Overlapping patches become positions; blocks mix them."""

    def __init__(self, index: int, v: Variant, drops: list[float]) -> None:
        super().__init__()
        width = WIDTHS[index]
        kernel, stride = (7, 4) if index == 0 else (3, 2)
        channels = 3 if index == 0 else WIDTHS[index - 1]
        self.embed = nn.Conv2d(channels, width, kernel, stride, kernel // 2)
        self.embed_norm = nn.LayerNorm(width, v.embedding_eps)
        self.blocks = nn.ModuleList(
            Block(width, HEADS[index], REDUCTIONS[index], v, drop) for drop in drops
        )
        self.norm = nn.LayerNorm(width, v.eps)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        size_hw = x.shape[-2:]
        x = self.embed_norm(positions(x))  # (N,h*w,C)
        for block in self.blocks:
            x = block(x, size_hw)
        return as_map(self.norm(x), size_hw)


class Block(nn.Module):
    """Attention, then the mix-FFN, each added to what it is given."""

    def __init__(self, width: int, heads: int, reduction: int, v: Variant, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norm1 = nn.LayerNorm(width, v.eps)
        self.attention = Attention(width, heads, reduction, v)
        self.norm2 = nn.LayerNorm(width, v.eps)
        self.mlp = MixFFN(width)

    def forward(self, x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
        x = x + self.dropped(self.attention(self.norm1(x), size_hw))
        return x + self.dropped(self.mlp(self.norm2(x), size_hw))

    def dropped(self, x: Tensor) -> Tensor:
        """Without this branch for some of the images, in training."""
        if not self.training or self.drop == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, 1), self.drop)


class Attention(nn.Module):
    """Each position asks all positions, of which `reduction` squared have become one."""

    def __init__(self, width: int, heads: int, reduction: int, v: Variant) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.reduce_norm = nn.LayerNorm(width, v.embedding_eps) if reduction > 1 else None

    def forward(self, x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
        asked = x
        if self.reduce is not None and self.reduce_norm is not None:
            asked = self.reduce_norm(positions(self.reduce(as_map(x, size_hw))))
        q, k, v = (
            torch.unflatten(y, 2, (self.heads, -1)).transpose(1, 2)  # (N,heads,h*w,C/heads)
            for y in (self.query(x), self.key(asked), self.value(asked))
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.project(attended)


class MixFFN(nn.Module):
    """Two linear layers; a 3x3 convolution between tells positions where they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 4 * width)
        self.depthwise = nn.Conv2d(4 * width, 4 * width, 3, padding=1, groups=4 * width)
        self.project = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
        x = positions(self.depthwise(as_map(self.expand(x), size_hw)))
        return self.project(F.gelu(x))


class Head(nn.Module):
    """All four levels, made equally wide, resized to the finest and mixed."""

    def __init__(self, v: Variant, dropout: float, classes: int) -> None:
        super().__init__()
        self.finest_first = v.normed_head
        self.levels = nn.ModuleList(
            conv_bn_relu(width, HEAD_WIDTH) if v.normed_head else nn.Conv2d(width, HEAD_WIDTH, 1)
            for width in WIDTHS
        )
        self.fuse = conv_bn_relu(len(WIDTHS) * HEAD_WIDTH, HEAD_WIDTH)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(HEAD_WIDTH, classes, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        wide = [
            resize(project(x), levels[0]) for project, x in zip(self.levels, levels, strict=True)
        ]
        x = torch.cat(wide if self.finest_first else wide[::-1], 1)
        return self.classifier(self.dropout(self.fuse(x)))


def conv_bn_relu(channels: int, out: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, 1, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out), nn.ReLU(inplace=True))


def positions(x: Tensor) -> Tensor:
    """(N,C,h,w) -> (N,h*w,C); in channels-last memory nothing moves."""
    return x.flatten(2).transpose(1, 2)


def as_map(x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """(N,h*w,C) -> (N,C,h,w)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *size_hw)


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def initialize(module: nn.Module) -> None:
    """As the authors: linear layers small, convolutions by what they give."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        inputs = module.weight[0, 0].numel() * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=(2 / inputs) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
