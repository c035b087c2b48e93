"""LR-ASPP on MobileNetV3-Large: a dilated backbone for phones and a head of few operations.

Howard et al.: "Searching for MobileNetV3", ICCV 2019; the backbone as in its Table 1, the head as
in its Figure 10, both as torchvision has them (`lraspp_mobilenet_v3_large`), which names the
parameters so too: the backbone's last stage keeps 1/16 by dilation, its last layer has 960
channels, and the head averages over the whole image instead of windows of 49x49.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, ImageMean, Network


class Row(NamedTuple):
    """A bottleneck of Table 1."""

    kernel: int
    wide: int
    out: int
    excite: bool  # squeeze and excite
    activation: type[nn.Module]
    stride: int = 1
    dilation: int = 1


RE, HS = nn.ReLU, nn.Hardswish
ROWS = (
    Row(3, 16, 16, False, RE),  # 1/2
    Row(3, 64, 24, False, RE, stride=2),  # 1/4
    Row(3, 72, 24, False, RE),
    Row(5, 72, 40, True, RE, stride=2),  # 1/8
    Row(5, 120, 40, True, RE),
    Row(5, 120, 40, True, RE),
    Row(3, 240, 80, False, HS, stride=2),  # 1/16
    Row(3, 200, 80, False, HS),
    Row(3, 184, 80, False, HS),
    Row(3, 184, 80, False, HS),
    Row(3, 480, 112, True, HS),
    Row(3, 672, 112, True, HS),
    Row(5, 672, 160, True, HS, dilation=2),  # stride 2 where images are classified
    Row(5, 960, 160, True, HS, dilation=2),
    Row(5, 960, 160, True, HS, dilation=2),
)
LOW = 4  # the backbone's layer whose output the head takes at 1/8: the first one there


class LRASPP(Network):
    """It has no options and no heads that only training uses."""

    last = "classifier.high_classifier"
    factor = None

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 16, 3, HS, stride=2)]  # (N,16,H/2,W/2)
        channels = 16
        for row in ROWS:
            layers.append(Bottleneck(channels, row))
            channels = row.out
        layers.append(conv_bn(channels, 960, 1, HS))  # (N,960,H/16,W/16)
        self.backbone = nn.Sequential(*layers)
        self.classifier = Head(40, 960, 128, classes)  # (N,classes,H/8,W/8)

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8))."""
        low = self.backbone[: LOW + 1](images)
        return self.classifier(low, self.backbone[LOW + 1 :](low))


class Head(nn.Module):
    """Figure 10: the coarse features, weighed by channel, and the fine ones vote separately."""

    def __init__(self, low: int, high: int, inner: int, classes: int) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high, inner, 1, bias=False), BatchNorm2d(inner), nn.ReLU(inplace=True)
        )
        self.scale = nn.Sequential(ImageMean(), nn.Conv2d(high, inner, 1, bias=False), nn.Sigmoid())
        self.low_classifier = nn.Conv2d(low, classes, 1)
        self.high_classifier = nn.Conv2d(inner, classes, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        x = self.cbr(high) * self.scale(high)
        x = F.interpolate(x, low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(x)


class Bottleneck(nn.Module):
    """Figure 4: wide inside, with squeeze and excite in some; linear at its end."""

    def __init__(self, channels: int, row: Row) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if row.wide != channels:
            layers.append(conv_bn(channels, row.wide, 1, row.activation))
        layers.append(
            conv_bn(
                row.wide,
                row.wide,
                row.kernel,
                row.activation,
                stride=row.stride,
                dilation=row.dilation,
                groups=row.wide,
            )
        )
        if row.excite:
            layers.append(SqueezeExcite(row.wide))
        layers.append(conv_bn(row.wide, row.out, 1, None))
        self.block = nn.Sequential(*layers)
        self.residual = row.stride == 1 and channels == row.out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


class SqueezeExcite(nn.Module):
    """Channels weighed by what the whole image holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = (channels // 4 + 4) // 8 * 8  # the nearest multiple of 8
        if inner < 0.9 * (channels // 4):
            inner += 8
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = F.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * F.hardsigmoid(self.fc2(weights))


def conv_bn(
    channels: int,
    out: int,
    kernel: int,
    activation: type[nn.Module] | None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    padding = kernel // 2 * dilation
    conv = nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False)
    norm = BatchNorm2d(out, eps=1e-3, momentum=0.01)
    return nn.Sequential(conv, norm, *([activation()] if activation else []))
