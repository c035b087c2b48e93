"""DDRNet-23-slim: two branches at different sizes that feed each other twice.

Pan, Hong, Sun, Jia: "Deep Dual-Resolution Networks for Real-time and Accurate Semantic Segmentation
of Traffic Scenes", IEEE Transactions on Intelligent Transportation Systems 24(3), 2023; branches as
in its Figure 4, pyramid pooling as in Figure 5. The context branch goes down to 1/64
size, the detail branch stays at 1/8.

What differs from the authors' code (ydhongHIT/DDRNet): any size works, not only multiples of 8,
because the context branch is resized to the detail branch's size. MMSegmentation's port lacks the
bias of the first two convolutions, which the batch norm after it makes redundant, and drops
channels before the last convolution in training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, ImageMean, Network, TrainingOutput


class DDRNet23Slim(Network):
    """Option: `auxiliary` says whether it has the head on the detail branch that only training
    uses."""

    last = "head.5"
    factor = None

    def __init__(self, classes: int, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, 32),  # (N,32,H/2,W/2)
            conv_bn_relu(32, 32),  # (N,32,H/4,W/4)
            BasicBlock(32, 32),
            BasicBlock(32, 32),
            BasicBlock(32, 64, stride=2),  # (N,64,H/8,W/8), where the branches part
            BasicBlock(64, 64),
        )
        self.context3 = basic_blocks(64, 128, stride=2)  # (N,128,H/16,W/16)
        self.context4 = basic_blocks(128, 256, stride=2)  # (N,256,H/32,W/32)
        self.context5 = Bottleneck(256, 256, stride=2)  # (N,512,H/64,W/64)
        self.dappm = DeepAggregationPooling(512, 128, 128)  # (N,128,H/64,W/64)
        self.detail3 = basic_blocks(64, 64)  # (N,64,H/8,W/8)
        self.detail4 = basic_blocks(64, 64)
        self.detail5 = Bottleneck(64, 64)  # (N,128,H/8,W/8)
        self.compression3 = conv_bn(128, 64, 1)
        self.compression4 = conv_bn(256, 64, 1)
        self.down3 = conv_bn(64, 128, 3, stride=2)
        self.down4 = nn.Sequential(
            *conv_bn(64, 128, 3, stride=2), nn.ReLU(inplace=True), *conv_bn(128, 256, 3, stride=2)
        )
        self.head = head(128, 64, classes)
        if auxiliary:
            self.aux_head = head(64, 64, classes)
            self.outputs = (TrainingOutput("logits"), TrainingOutput("aux", loss="auxiliary"))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8))."""
        return self._branches(images)[0]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", "aux" of the detail branch at 1/8 size."""
        coarse, detail = self._branches(images)
        outputs = {"logits": self.enlarged(coarse, images.shape[-2:])}
        if self.options["auxiliary"]:
            outputs["aux"] = self.aux_head(detail)
        return outputs

    def _branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The coarse logits, and the detail branch after the first exchange, before ReLU."""
        x = self.stem(images)
        size_hw = x.shape[-2:]
        context, detail = self.context3(x), self.detail3(x)
        context, detail3 = (
            context + self.down3(F.relu(detail)),
            detail + resize(self.compression3(F.relu(context)), size_hw),
        )
        context, detail = self.context4(F.relu(context)), self.detail4(F.relu(detail3))
        context, detail = (
            context + self.down4(F.relu(detail)),
            detail + resize(self.compression4(F.relu(context)), size_hw),
        )
        context = resize(self.dappm(self.context5(F.relu(context))), size_hw)
        logits: Tensor = self.head(self.detail5(F.relu(detail)) + context)
        return logits, detail3


class DeepAggregationPooling(nn.Module):
    """Figure 5, DAPPM: averages at four scales, each convolved together with the finer one."""

    def __init__(self, channels: int, inner: int, out: int) -> None:
        super().__init__()
        self.own = bn_relu_conv(channels, inner, 1)
        self.pools = nn.ModuleList(
            nn.Sequential(pool, *bn_relu_conv(channels, inner, 1))
            for pool in (
                nn.AvgPool2d(5, stride=2, padding=2),
                nn.AvgPool2d(9, stride=4, padding=4),
                nn.AvgPool2d(17, stride=8, padding=8),
                ImageMean(),
            )
        )
        self.processes = nn.ModuleList(bn_relu_conv(inner, inner, 3) for _ in self.pools)
        self.compression = bn_relu_conv(5 * inner, out, 1)
        self.shortcut = bn_relu_conv(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        scales = [self.own(x)]
        for pool, process in zip(self.pools, self.processes, strict=True):
            scales.append(process(resize(pool(x), x.shape[-2:]) + scales[-1]))
        return self.compression(torch.cat(scales, dim=1)) + self.shortcut(x)


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions; without its last ReLU at the end of a branch's
    stage, where the other branch is added first."""

    def __init__(self, channels: int, out: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv1 = conv_bn(channels, out, 3, stride)
        self.conv2 = conv_bn(out, out, 3)
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else conv_bn(channels, out, 1, stride)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(F.relu(self.conv1(x), inplace=True)) + self.shortcut(x)
        return F.relu(y, inplace=True) if self.relu else y


class Bottleneck(nn.Module):
    """ResNet's block of a 1x1, a 3x3 and a widening 1x1 convolution, without its last ReLU."""

    def __init__(self, channels: int, inner: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv_bn(channels, inner, 1)
        self.conv2 = conv_bn(inner, inner, 3, stride)
        self.conv3 = conv_bn(inner, 2 * inner, 1)
        self.shortcut = conv_bn(channels, 2 * inner, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv2(F.relu(self.conv1(x), inplace=True)), inplace=True)
        return self.conv3(y) + self.shortcut(x)


def basic_blocks(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Two in a row, the stride in the first, without the last ReLU."""
    return nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, relu=False))


def head(channels: int, inner: int, out: int) -> nn.Sequential:
    """(N,channels,h,w) -> (N,out,h,w)."""
    return nn.Sequential(
        *bn_relu_conv(channels, inner, 3),
        BatchNorm2d(inner),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, out, 1),
    )


def conv_bn(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out))


def conv_bn_relu(channels: int, out: int) -> nn.Sequential:
    """The stem's, which halves the size."""
    conv = nn.Conv2d(channels, out, 3, stride=2, padding=1)
    return nn.Sequential(conv, BatchNorm2d(out), nn.ReLU(inplace=True))


def bn_relu_conv(channels: int, out: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(BatchNorm2d(channels), nn.ReLU(inplace=True), conv)


def resize(x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size_hw, mode="bilinear", align_corners=False)
