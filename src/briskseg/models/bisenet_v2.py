"""BiSeNetV2: a wide and shallow branch for details beside a narrow and deep one for semantics.

Yu, Gao, Wang, Yu, Shen, Sang: "BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time
Semantic Segmentation", IJCV 129, 2021; layers as in its Table 1 and Figures 4 to 6. The authors
published no code. The option `variant` is "coincheung", the default (CoinCheung/BiSeNet), or
"mmsegmentation"; see `Variant` for what differs.

What differs from both: any size works ("coincheung" takes multiples of 32), because the semantic
branch is resized to the detail branch's size, not by a factor.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.errors import RequestError, nearest
from briskseg.models.network import BatchNorm2d, Network, TrainingOutput


class Variant(NamedTuple):
    """What the two published implementations do differently."""

    resizing: str  # in the aggregation
    bias: bool  # of the pointwise convolutions that end the aggregation's depthwise ones
    booster: int  # channels of a training head's first convolution; 0: as its second, same size
    dropout: type[nn.Module]  # of values or of whole channels


VARIANTS = {
    "coincheung": Variant("nearest", False, 128, nn.Dropout),
    "mmsegmentation": Variant("bilinear", True, 0, nn.Dropout2d),
}
# The semantic branch's stages that have a training head: channels, and the head's own.
BOOSTED = {"aux2": (16, 16), "aux3": (32, 64), "aux4": (64, 256), "aux5_4": (128, 1024)}


class BiSeNetV2(Network):
    """Options: `variant` is "coincheung" or "mmsegmentation"; `auxiliary` says whether it has the
    four heads that only training uses."""

    last = "head.2"
    factor = None

    def __init__(
        self, classes: int, *, variant: str = "coincheung", auxiliary: bool = True
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise RequestError(f"unknown variant '{variant}'; {nearest(variant, VARIANTS)}")
        v = VARIANTS[variant]
        self.detail = nn.Sequential(
            convolutions(3, 64, repeat=2),  # (N,64,H/2,W/2)
            convolutions(64, 64, repeat=3),  # (N,64,H/4,W/4)
            convolutions(64, 128, repeat=3),  # (N,128,H/8,W/8)
        )
        self.stem = Stem(16)  # (N,16,H/4,W/4)
        self.stage3 = gather_expansions(16, 32, repeat=2)  # (N,32,H/8,W/8)
        self.stage4 = gather_expansions(32, 64, repeat=2)  # (N,64,H/16,W/16)
        self.stage5 = gather_expansions(64, 128, repeat=4)  # (N,128,H/32,W/32)
        self.context = ContextEmbedding(128)  # (N,128,H/32,W/32)
        self.aggregation = GuidedAggregation(128, v)  # (N,128,H/8,W/8)
        self.head = nn.Sequential(
            conv_bn_relu(128, 1024, 3), v.dropout(0.1), nn.Conv2d(1024, classes, 1)
        )
        boosted = BOOSTED if auxiliary else {}
        self.heads = nn.ModuleDict(
            {name: booster(*channels, classes, v) for name, channels in boosted.items()}
        )
        self.outputs = (
            TrainingOutput("logits"),
            *(TrainingOutput(name, loss="auxiliary") for name in boosted),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8))."""
        return self._stages(images)["logits"]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", the training heads' "aux2" (1/4 size), "aux3" (1/8), "aux4" (1/16) and
        "aux5_4" (1/32); those of "coincheung" are twice as large."""
        stages = self._stages(images)
        logits = self.enlarged(stages["logits"], images.shape[-2:])
        return {"logits": logits, **{name: head(stages[name]) for name, head in self.heads.items()}}

    def _stages(self, images: Tensor) -> dict[str, Tensor]:
        aux2 = self.stem(images)
        aux3 = self.stage3(aux2)
        aux4 = self.stage4(aux3)
        aux5_4 = self.stage5(aux4)
        logits = self.head(self.aggregation(self.detail(images), self.context(aux5_4)))
        return {"aux2": aux2, "aux3": aux3, "aux4": aux4, "aux5_4": aux5_4, "logits": logits}


class Stem(nn.Module):
    """Figure 4 (a): two ways to halve the size, side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(3, channels, 3, stride=2)
        self.left = nn.Sequential(
            conv_bn_relu(channels, channels // 2, 1),
            conv_bn_relu(channels // 2, channels, 3, stride=2),
        )
        self.fuse = conv_bn_relu(2 * channels, channels, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images)
        pooled = F.max_pool2d(x, 3, stride=2, padding=1)
        return self.fuse(torch.cat([self.left(x), pooled], dim=1))


class ContextEmbedding(nn.Module):
    """Figure 4 (b): the average of the whole image is added to every pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = BatchNorm2d(channels)
        self.pooled = conv_bn_relu(channels, channels, 1)
        self.last = conv_bn_relu(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        average = self.pooled(self.bn(x.mean((2, 3), keepdim=True)))
        return self.last(average + x)


class GatherExpansion(nn.Module):
    """Figure 5 (b), and (c) with stride 2: a 3x3 convolution gathers, depthwise ones six times as
    wide follow, and a pointwise one projects."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 6 * channels
        self.gather = conv_bn_relu(channels, channels, 3)
        self.expand = nn.Sequential(conv_bn_relu(channels, wide, 3, groups=channels))
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.expand = nn.Sequential(
                conv_bn(channels, wide, 3, stride=2, groups=channels),
                conv_bn_relu(wide, wide, 3, groups=wide),
            )
            self.shortcut = nn.Sequential(
                *conv_bn(channels, channels, 3, stride=2, groups=channels),
                *conv_bn(channels, out, 1),
            )
        self.project = conv_bn(wide, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        projected = self.project(self.expand(self.gather(x)))
        return F.relu(projected + self.shortcut(x), inplace=True)


class GuidedAggregation(nn.Module):
    """Figure 6: each branch, at 1/8 and at 1/32 size, is weighted by a gate of the other."""

    def __init__(self, channels: int, variant: Variant) -> None:
        super().__init__()
        self.resizing = variant.resizing
        self.detail = separable(channels, variant.bias)
        self.detail_down = nn.Sequential(
            *conv_bn(channels, channels, 3, stride=2), nn.AvgPool2d(3, stride=2, padding=1)
        )
        self.semantic_up = conv_bn(channels, channels, 3)
        self.semantic = separable(channels, variant.bias)
        self.out = conv_bn_relu(channels, channels, 3)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size_hw = detail.shape[-2:]
        gate = torch.sigmoid(resize(self.semantic_up(semantic), size_hw, self.resizing))
        fine = self.detail(detail) * gate
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantic(semantic))
        return self.out(fine + resize(coarse, size_hw, self.resizing))


def booster(channels: int, inner: int, classes: int, variant: Variant) -> nn.Sequential:
    """A training head: (N,channels,h,w) -> (N,classes,h,w), in "coincheung" (N,classes,2h,2w)."""
    if variant.booster == 0:
        first = [conv_bn_relu(channels, inner, 3), conv_bn_relu(inner, inner, 3)]
        return nn.Sequential(*first, variant.dropout(0.1), nn.Conv2d(inner, classes, 1))
    return nn.Sequential(
        conv_bn_relu(channels, variant.booster, 3),
        variant.dropout(0.1),
        nn.Upsample(scale_factor=2),
        conv_bn_relu(variant.booster, inner, 3),
        nn.Conv2d(inner, classes, 1),
    )


def convolutions(channels: int, out: int, repeat: int) -> nn.Sequential:
    """3x3 convolutions, the first of which halves the size."""
    first = conv_bn_relu(channels, out, 3, stride=2)
    return nn.Sequential(first, *(conv_bn_relu(out, out, 3) for _ in range(repeat - 1)))


def gather_expansions(channels: int, out: int, repeat: int) -> nn.Sequential:
    """So many in a row, the first of which halves the size."""
    first = GatherExpansion(channels, out, stride=2)
    return nn.Sequential(first, *(GatherExpansion(out, out, 1) for _ in range(repeat - 1)))


def separable(channels: int, bias: bool) -> nn.Sequential:
    depthwise = conv_bn(channels, channels, 3, groups=channels)
    return nn.Sequential(*depthwise, nn.Conv2d(channels, channels, 1, bias=bias))


def conv_bn(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out))


def conv_bn_relu(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    layers = conv_bn(channels, out, kernel, stride=stride, groups=groups)
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def resize(x: Tensor, size_hw: tuple[int, ...], mode: str = "bilinear") -> Tensor:
    return F.interpolate(x, size_hw, mode=mode)
