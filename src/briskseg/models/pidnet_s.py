"""PIDNet-S: three branches for details, context and boundaries, fused at 1/8 size.

Xu, Xiong, Bhattacharyya: "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID
Controllers", CVPR 2023; the branches and their modules as in its Figures 4 to 7.
The option `variant` is "official" (XuJiacong/PIDNet), the default, or "mmsegmentation", whose
first two convolutions have no bias, which drops channels before the last convolution, and whose
heads for training see the branches before ReLU. The official code's in-place ReLU changes the very
tensors that it keeps for those heads, so that they see them after it.

What differs from both: any size works, not only multiples of 8, because the I and D branches are
resized to the P branch's size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.errors import RequestError, nearest
from briskseg.models.network import BatchNorm2d, ImageMean, Network, TrainingOutput

VARIANTS = ("official", "mmsegmentation")


class PIDNetS(Network):
    """Options: `variant` is "official" or "mmsegmentation"; `auxiliary` says whether it has the
    heads on the P and the D branch that only training uses."""

    last = "head.6"
    factor = None
    align_corners = True  # of the last enlarging alone; everything inside is resized without

    def __init__(self, classes: int, *, variant: str = "official", auxiliary: bool = True) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise RequestError(f"unknown variant '{variant}'; {nearest(variant, VARIANTS)}")
        self.official = variant == "official"
        self.stem = nn.Sequential(
            conv_bn_relu(3, 32, bias=self.official),  # (N,32,H/2,W/2)
            conv_bn_relu(32, 32, bias=self.official),  # (N,32,H/4,W/4)
            BasicBlock(32, 32),
            BasicBlock(32, 32),
            BasicBlock(32, 64, stride=2),  # (N,64,H/8,W/8), where the branches part
            BasicBlock(64, 64),
        )
        # P stays at 1/8 size; I halves it in each stage; D, at 1/8, is narrower until its end
        self.p3 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64, relu=False))
        self.p4 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64, relu=False))
        self.p5 = Bottleneck(64, 64)  # (N,128,H/8,W/8)
        self.i3 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128), BasicBlock(128, 128))
        self.i4 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256), BasicBlock(256, 256))
        self.i5 = nn.Sequential(Bottleneck(256, 256, 2), Bottleneck(512, 256))  # (N,512,H/64,W/64)
        self.pappm = ParallelPooling(512, 96, 128)  # (N,128,H/64,W/64)
        self.d3 = BasicBlock(64, 32, relu=False)
        self.d4 = Bottleneck(32, 32)
        self.d5 = Bottleneck(64, 64)  # (N,128,H/8,W/8)
        self.compression3 = conv_bn(128, 64, 1)
        self.compression4 = conv_bn(256, 64, 1)
        self.pag3 = PixelAttention(64, 32)
        self.pag4 = PixelAttention(64, 32)
        self.diff3 = conv_bn(128, 32, 3)
        self.diff4 = conv_bn(256, 64, 3)
        self.bag = BoundaryAttention(128)
        self.head = head(128, 128, classes, dropout=0.0 if self.official else 0.1)
        if auxiliary:
            self.p_head = head(64, 128, classes)
            self.d_head = head(64, 32, 1)
            self.outputs = (
                TrainingOutput("logits"),
                TrainingOutput("aux", loss="auxiliary"),
                TrainingOutput("boundary", "boundary_bce", 20.0),
                TrainingOutput("boundary", loss="boundary_aware"),  # reads the logits too
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8))."""
        return self._branches(images)[0]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", at 1/8 size: "aux" of the P branch, and "boundary" (N,1,h,w) of the D
        branch, above 0 where it sees a boundary between two classes."""
        coarse, p, d = self._branches(images)
        outputs = {"logits": self.enlarged(coarse, images.shape[-2:])}
        if self.options["auxiliary"]:
            outputs |= {"aux": self.p_head(p), "boundary": self.d_head(d)}
        return outputs

    def _branches(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The coarse logits, and what the heads see of the P and of the D branch."""
        x = self.stem(images)
        size_hw = x.shape[-2:]
        i = self.i3(x)
        p3 = self.pag3(self.p3(x), self.compression3(i))
        d3 = self.d3(x) + resize(self.diff3(i), size_hw)
        i, p3_relu = self.i4(i), F.relu(p3)
        p4 = self.pag4(self.p4(p3_relu), self.compression4(i))
        d4 = self.d4(F.relu(d3)) + resize(self.diff4(i), size_hw)
        d4_relu = F.relu(d4)
        p, d = self.p5(F.relu(p4)), self.d5(d4_relu)
        i = resize(self.pappm(self.i5(i)), size_hw)
        logits: Tensor = self.head(self.bag(p, i, d))
        return (logits, p3_relu, d4_relu) if self.official else (logits, p3, d4)


class PixelAttention(nn.Module):
    """Figure 5, Pag: where the P and the I branch agree at a pixel, it takes the I branch."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.f_p = conv_bn(channels, key_channels, 1)
        self.f_i = conv_bn(channels, key_channels, 1)

    def forward(self, p: Tensor, i: Tensor) -> Tensor:
        keys = resize(self.f_i(i), p.shape[-2:])
        share = torch.sigmoid((self.f_p(p) * keys).sum(1, keepdim=True))  # (N,1,H/8,W/8)
        return (1 - share) * p + share * resize(i, p.shape[-2:])


class BoundaryAttention(nn.Module):
    """Figure 7, Light-Bag: details from P at boundaries, context from I elsewhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f_p = conv_bn(channels, channels, 1)
        self.f_i = conv_bn(channels, channels, 1)

    def forward(self, p: Tensor, i: Tensor, d: Tensor) -> Tensor:
        boundary = torch.sigmoid(d)
        return self.f_p((1 - boundary) * i + p) + self.f_i(i + boundary * p)


class ParallelPooling(nn.Module):
    """Figure 6, PAPPM: averages at four scales, each added to the input's own, then convolved side
    by side in groups."""

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
        self.process = bn_relu_conv(4 * inner, 4 * inner, 3, groups=4)
        self.compression = bn_relu_conv(5 * inner, out, 1)
        self.shortcut = bn_relu_conv(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        own = self.own(x)
        scales = torch.cat([resize(pool(x), x.shape[-2:]) + own for pool in self.pools], dim=1)
        pyramid = torch.cat([own, self.process(scales)], dim=1)
        return self.compression(pyramid) + self.shortcut(x)


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions; without its last ReLU at the end of a branch's
    stage, where another branch is added first."""

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
        out = 2 * inner
        self.conv1 = conv_bn(channels, inner, 1)
        self.conv2 = conv_bn(inner, inner, 3, stride)
        self.conv3 = conv_bn(inner, out, 1)
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else conv_bn(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv2(F.relu(self.conv1(x), inplace=True)), inplace=True)
        return self.conv3(y) + self.shortcut(x)


def head(channels: int, inner: int, out: int, dropout: float = 0.0) -> nn.Sequential:
    """(N,channels,h,w) -> (N,out,h,w)."""
    return nn.Sequential(
        *bn_relu_conv(channels, inner, 3),
        BatchNorm2d(inner),
        nn.ReLU(inplace=True),
        nn.Dropout2d(dropout),
        nn.Conv2d(inner, out, 1),
    )


def conv_bn(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out))


def conv_bn_relu(channels: int, out: int, *, bias: bool) -> nn.Sequential:
    """The stem's, which halves the size."""
    conv = nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=bias)
    return nn.Sequential(conv, BatchNorm2d(out), nn.ReLU(inplace=True))


def bn_relu_conv(channels: int, out: int, kernel: int, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(BatchNorm2d(channels), nn.ReLU(inplace=True), conv)


def resize(x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size_hw, mode="bilinear", align_corners=False)
