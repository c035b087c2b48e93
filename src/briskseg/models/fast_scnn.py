"""Fast-SCNN: two branches that share their first three layers, fused at 1/8 size.

Poudel, Liwicki, Cipolla: "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019; layers as in
its Table 1 and Figure 1. Its authors published no code, and the two implementations that people
train differ in what `Variant` lists; the option `variant` is "mmsegmentation", the default, or
"tramac" (Tramac/Fast-SCNN-pytorch).

What differs from both: any size works. The coarse branch is resized to the fine one ("tramac"
enlarges it four times and fails where that is another size), and images under 3 pixels a side
repeat their last row and column. Pyramid pooling is two matrix products: they export with any size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.errors import RequestError, nearest
from briskseg.models.network import BatchNorm2d, Network, TrainingOutput


class Variant(NamedTuple):
    """What the two published implementations do differently."""

    align_corners: bool  # in every bilinear resize
    padded: bool  # the first convolution
    depthwise_relu: bool  # between the two convolutions of a separable one; the paper has none
    pyramid_kernel: int  # of the convolution after the pyramid pooling
    fusion_bias: bool  # in the fusion's pointwise convolutions, although batch norm follows
    auxiliary: tuple[str, ...]  # the branches with an auxiliary head, in the order of the heads


VARIANTS = {
    "mmsegmentation": Variant(False, True, False, 3, False, ("coarse", "fine")),
    "tramac": Variant(True, False, True, 1, True, ("fine",)),
}
POOLED = (1, 2, 3, 6)  # cells on a side of each level of the pyramid


class FastSCNN(Network):
    """Options: `variant` is "mmsegmentation" or "tramac"; `auxiliary` says whether it has the heads
    that only training uses."""

    last = "classifier.3"
    factor = None

    def __init__(
        self, classes: int, *, variant: str = "mmsegmentation", auxiliary: bool = True
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise RequestError(f"unknown variant '{variant}'; {nearest(variant, VARIANTS)}")
        self.variant = v = VARIANTS[variant]
        self.align_corners = v.align_corners
        self.extends = (1, 1) if v.padded else (1, 3)  # a 3x3 convolution needs 3 pixels a side
        self.learning_to_downsample = nn.Sequential(
            conv_bn_relu(3, 32, 3, stride=2, pad=v.padded),  # (N,32,H/2,W/2)
            separable(32, 48, stride=2, relu=v.depthwise_relu),  # (N,48,H/4,W/4)
            separable(48, 64, stride=2, relu=v.depthwise_relu),  # (N,64,H/8,W/8)
        )
        self.global_feature_extractor = nn.Sequential(
            bottlenecks(64, 64, stride=2),  # (N,64,H/16,W/16)
            bottlenecks(64, 96, stride=2),  # (N,96,H/32,W/32)
            bottlenecks(96, 128, stride=1),  # (N,128,H/32,W/32)
            PyramidPooling(128, v),  # (N,128,H/32,W/32)
        )
        self.feature_fusion = FeatureFusion(64, 128, v)  # (N,128,H/8,W/8)
        self.classifier = nn.Sequential(
            separable(128, 128, relu=v.depthwise_relu),
            separable(128, 128, relu=v.depthwise_relu),
            nn.Dropout2d(0.1),
            nn.Conv2d(128, classes, 1),  # (N,classes,H/8,W/8)
        )
        self.auxiliary = v.auxiliary if auxiliary else ()
        self.outputs = (
            TrainingOutput("logits"),
            *(TrainingOutput(f"aux_{i}", loss="auxiliary") for i in range(len(self.auxiliary))),
        )
        self.heads = nn.ModuleList(
            nn.Sequential(conv_bn_relu(n, 32, 3), nn.Dropout2d(0.1), nn.Conv2d(32, classes, 1))
            for n in (64 if branch == "fine" else 128 for branch in self.auxiliary)
        )

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8)); with "tramac" a row and a column fewer."""
        return self._stages(images)["logits"]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", the auxiliary heads': "aux_0" at 1/32 size and "aux_1" at 1/8, or with
        "tramac" only "aux_0" at 1/8."""
        stages = self._stages(images)
        branches = zip(self.auxiliary, self.heads, strict=True)
        heads = {f"aux_{i}": head(stages[branch]) for i, (branch, head) in enumerate(branches)}
        logits = self.enlarged(stages["logits"], images.shape[-2:])
        return {"logits": logits, **heads}

    def _stages(self, images: Tensor) -> dict[str, Tensor]:
        fine = self.learning_to_downsample(self.extended(images))
        coarse = self.global_feature_extractor(fine)
        logits = self.classifier(self.feature_fusion(fine, coarse))  # (N,classes,H/8,W/8)
        return {"fine": fine, "coarse": coarse, "logits": logits}


class PyramidPooling(nn.Module):
    """Averages over 1, 2x2, 3x3 and 6x6 cells, each convolved, resized back and concatenated: Zhao
    et al., "Pyramid Scene Parsing Network", CVPR 2017."""

    sides: Tensor
    cells: Tensor

    def __init__(self, channels: int, variant: Variant) -> None:
        super().__init__()
        self.align_corners = variant.align_corners
        self.levels = nn.ModuleList(conv_bn_relu(channels, channels // 4, 1) for _ in POOLED)
        self.out = conv_bn_relu(2 * channels, channels, variant.pyramid_kernel)
        # of each row of `weights`: its level's cells on a side, and which of them it is
        self.register_buffer("sides", cell_numbers([n] * n for n in POOLED), persistent=False)
        self.register_buffer("cells", cell_numbers(range(n) for n in POOLED), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self.weights(size).to(x.dtype) for size in x.shape[-2:])
        averages = torch.matmul(torch.matmul(rows, x), columns.T)  # (N,C,12,12): all levels'
        pyramid, start = [x], 0
        for level, cells in zip(self.levels, POOLED, strict=True):  # a block on the diagonal
            end = start + cells
            averaged = level(averages[..., start:end, start:end])  # (N,C/4,cells,cells)
            pyramid.append(resize(averaged, x.shape[-2:], self.align_corners))
            start = end
        return self.out(torch.cat(pyramid, dim=1))

    def weights(self, size: int) -> Tensor:
        """(12, size): a row averages the pixels of a cell along one axis, as `adaptive_avg_pool2d`:
        cell i of n goes from floor(i size / n) to ceil((i + 1) size / n)."""
        start = self.cells * size // self.sides
        end = ((self.cells + 1) * size + self.sides - 1) // self.sides
        pixel = torch.arange(size, device=start.device)
        return ((pixel >= start) & (pixel < end)) / (end - start)


class FeatureFusion(nn.Module):
    """Table 3: the coarse branch, resized to the fine one's size, and the fine one are added."""

    def __init__(self, fine: int, coarse: int, variant: Variant) -> None:
        super().__init__()
        self.align_corners = variant.align_corners
        self.depthwise = conv_bn_relu(coarse, coarse, 3, groups=coarse)
        self.coarse = conv_bn(coarse, coarse, bias=variant.fusion_bias)
        self.fine = conv_bn(fine, coarse, bias=variant.fusion_bias)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse = self.coarse(self.depthwise(resize(coarse, fine.shape[-2:], self.align_corners)))
        return F.relu(self.fine(fine) + coarse, inplace=True)


class Bottleneck(nn.Module):
    """Table 2: MobileNetV2's inverted residual, six times wider inside, linear at its end."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        wide = 6 * channels
        self.expand = conv_bn_relu(channels, wide, 1)
        self.depthwise = conv_bn_relu(wide, wide, 3, stride=stride, groups=wide)
        self.project = conv_bn(wide, out_channels)
        self.residual = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def bottlenecks(channels: int, out: int, stride: int) -> nn.Sequential:
    """Three in a row, the stride in the first."""
    first = Bottleneck(channels, out, stride)
    return nn.Sequential(first, Bottleneck(out, out, 1), Bottleneck(out, out, 1))


def separable(channels: int, out_channels: int, *, stride: int = 1, relu: bool) -> nn.Sequential:
    """A depthwise 3x3 convolution, batch norm, ReLU or not, then a pointwise one."""
    depthwise = conv_bn_relu(channels, channels, 3, stride=stride, groups=channels)
    pointwise = conv_bn_relu(channels, out_channels, 1)
    return nn.Sequential(depthwise if relu else depthwise[:2], pointwise)


def conv_bn_relu(
    channels: int, out: int, kernel: int, *, stride: int = 1, pad: bool = True, groups: int = 1
) -> nn.Sequential:
    padding = kernel // 2 if pad else 0
    conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out), nn.ReLU(inplace=True))


def conv_bn(channels: int, out: int, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 1, bias=bias), BatchNorm2d(out))


def resize(x: Tensor, size_hw: tuple[int, ...], align_corners: bool) -> Tensor:
    return F.interpolate(x, size_hw, mode="bilinear", align_corners=align_corners)


def cell_numbers(levels: Iterable[Iterable[int]]) -> Tensor:
    """(12,1): the numbers of all levels, one below the other."""
    return torch.tensor([number for level in levels for number in level])[:, None]
