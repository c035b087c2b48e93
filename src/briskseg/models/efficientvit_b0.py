"""EfficientViT-B0 for segmentation: attention whose cost grows with the pixels, not their square.

Cai, Li, Hu, Gan, Han: "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense
Prediction", ICCV 2023; Figures 5 (backbone and head) and 6 (attention). As the authors' code
(mit-han-lab/efficientvit), with the logits enlarged as their evaluation does it, bicubically.

What differs: any size works, images are extended to a multiple of 32; at 16 positions and fewer the
authors switch to the quadratic form of the same attention, here it is the linear one at any size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, Network

WIDTHS = (8, 16, 32, 64, 128)  # at 1/2, 1/4, 1/8, 1/16 and 1/32
HEAD_WIDTH = 16  # channels of a head of the attention
EPSILON = 1e-15


class EfficientViTB0(Network):
    """It has no options and no heads that only training uses."""

    last = "classifier.1"
    # `forward_coarse` is full size: no decoder of labels here enlarges bicubically
    extends = (32, 1)

    def __init__(self, classes: int) -> None:
        super().__init__()
        w2, w4, w8, w16, w32 = WIDTHS
        self.stem = nn.Sequential(conv_bn(3, w2, 3, stride=2), Residual(separable(w2)))
        self.stage1 = nn.Sequential(  # (N,16,H/4,W/4)
            inverted(w2, w4, stride=2), Residual(inverted(w4, w4))
        )
        self.stage2 = nn.Sequential(  # (N,32,H/8,W/8)
            inverted(w4, w8, stride=2), Residual(inverted(w8, w8))
        )
        self.stage3 = attention_stage(w8, w16)  # (N,64,H/16,W/16)
        self.stage4 = attention_stage(w16, w32)  # (N,128,H/32,W/32)
        # from here on: all at 1/8, added
        self.inputs = nn.ModuleList(conv_bn(n, 32, 1, act=False) for n in (w32, w16, w8))
        self.middle = Residual(inverted(32, 32))
        self.classifier = nn.Sequential(conv_bn(32, 128, 1), nn.Conv2d(128, classes, 1))

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,H,W), enlarged bicubically as in the published code."""
        logits = F.interpolate(self._logits(images), scale_factor=8, mode="bicubic")
        return logits[..., : images.shape[-2], : images.shape[-1]]

    def _logits(self, images: Tensor) -> Tensor:
        """(N,classes,H/8,W/8), H and W extended."""
        x8 = self.stage2(self.stage1(self.stem(self.extended(images))))
        x16 = self.stage3(x8)
        x32 = self.stage4(x16)
        x = F.interpolate(self.inputs[0](x32), scale_factor=4, mode="bicubic")
        x = x + F.interpolate(self.inputs[1](x16), scale_factor=2, mode="bicubic")
        return self.classifier(self.middle(x + self.inputs[2](x8)))


class LinearAttention(nn.Module):
    """Figure 6: in each head relu(q) (relu(k)^T v) / relu(q) sum(relu(k)), once on q, k and v as
    they are and once on sums over their 5x5 neighbors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = 3 * channels // HEAD_WIDTH
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.around = nn.Sequential(
            nn.Conv2d(3 * channels, 3 * channels, 5, padding=2, groups=3 * channels, bias=False),
            nn.Conv2d(3 * channels, 3 * channels, 1, groups=groups, bias=False),
        )
        self.project = conv_bn(2 * channels, channels, 1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        qkv = torch.cat((qkv, self.around(qkv)), 1)
        if qkv.dtype == torch.float32:
            attended = attend(qkv)
        else:  # autocast, which sums over the image must not follow
            with torch.autocast(x.device.type, enabled=False):
                attended = attend(qkv.float()).to(qkv.dtype)
        return self.project(attended)


def attend(qkv: Tensor) -> Tensor:
    """(N, heads * 3 * 16, h, w): q, k and v of each head in turn -> (N, heads * 16, h, w)."""
    h, w = qkv.shape[-2:]
    pixels = qkv.reshape(qkv.shape[0], -1, 3 * HEAD_WIDTH, h * w)  # (N,heads,48,h*w)
    q, k, v = torch.split(pixels, HEAD_WIDTH, 2)
    q, k = F.relu(q), F.relu(k)
    v = F.pad(v, (0, 0, 0, 1), value=1.0)  # a row of ones: its sum is the divisor
    found = torch.matmul(torch.matmul(v, k.transpose(-1, -2)), q)  # (N,heads,17,h*w)
    # Published as + EPSILON, which exporters take for + 0: the same in float32 where it matters.
    attended = found[:, :, :-1] / found[:, :, -1:].clamp(min=EPSILON)
    return attended.reshape(qkv.shape[0], -1, h, w)


class Residual(nn.Module):
    def __init__(self, main: nn.Module) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.main(x)
        return x + y


def attention_stage(channels: int, out: int) -> nn.Sequential:
    """A bottleneck that halves the size, then twice an attention and a bottleneck; these have batch
    norm at their ends only."""
    blocks = [
        nn.Sequential(Residual(LinearAttention(out)), Residual(inverted(out, out, norm=False)))
        for _ in range(2)
    ]
    return nn.Sequential(inverted(channels, out, stride=2, norm=False), *blocks)


def inverted(channels: int, out: int, stride: int = 1, norm: bool = True) -> nn.Sequential:
    """MobileNetV2's bottleneck, four times wider inside; without `norm` biases stand for all but
    the last batch norm."""
    wide = 4 * channels
    return nn.Sequential(
        conv_bn(channels, wide, 1, norm=norm),
        conv_bn(wide, wide, 3, stride=stride, groups=wide, norm=norm),
        conv_bn(wide, out, 1, act=False),
    )


def separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(channels, channels, 3, groups=channels), conv_bn(channels, channels, 1, act=False)
    )


def conv_bn(
    channels: int,
    out: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    norm: bool = True,
    act: bool = True,
) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=not norm)
    after = [BatchNorm2d(out) if norm else nn.Identity(), nn.Hardswish() if act else None]
    return nn.Sequential(conv, *(layer for layer in after if layer is not None))
