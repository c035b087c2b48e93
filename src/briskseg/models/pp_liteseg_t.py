"""PP-LiteSeg-T: STDC1's encoder and a light decoder that grows finer as it loses channels.

Peng et al.: "PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model", 2022; Figure 2, with
spatial attention. The encoder is STDC1: Fan et al., "Rethinking BiSeNet For Real-time Semantic
Segmentation", CVPR 2021, Figure 3.

What differs from the authors' code (PaddleSeg): the last convolution has a bias, and the constant 1
of the attention is no parameter. Average pooling leaves its padding out of the mean, as Paddle's
does, and pooling to cells is a matrix product, which exports with any size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, Network, TrainingOutput

POOLED = (1, 2, 4)  # cells on a side of each level of the context


class PPLiteSegT(Network):
    """Option: `auxiliary` says whether it has the two heads that only training uses."""

    last = "head.1"
    factor = None

    def __init__(self, classes: int, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, 32, 3, stride=2),  # (N,32,H/2,W/2)
            conv_bn_relu(32, 64, 3, stride=2),  # (N,64,H/4,W/4)
        )
        self.stage3 = dense_blocks(64, 256)  # (N,256,H/8,W/8)
        self.stage4 = dense_blocks(256, 512)  # (N,512,H/16,W/16)
        self.stage5 = dense_blocks(512, 1024)  # (N,1024,H/32,W/32)
        self.context = PyramidPooling(1024, 128)  # (N,128,H/32,W/32)
        self.fusion5 = AttentionFusion(1024, 128, 128)  # (N,128,H/32,W/32)
        self.fusion4 = AttentionFusion(512, 128, 64)  # (N,64,H/16,W/16)
        self.fusion3 = AttentionFusion(256, 64, 32)  # (N,32,H/8,W/8)
        self.head = head(32, 32, classes, bias=True)
        if auxiliary:
            self.aux1 = head(64, 64, classes, bias=False)
            self.aux2 = head(128, 64, classes, bias=False)
            self.outputs = (
                TrainingOutput("logits"),
                TrainingOutput("aux1", loss="auxiliary"),
                TrainingOutput("aux2", loss="auxiliary"),
            )

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8))."""
        return self.head(self._decoded(images)[0])

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", "aux1" at 1/16 size and "aux2" at 1/32."""
        x8, x16, x32 = self._decoded(images)
        outputs = {"logits": self.enlarged(self.head(x8), images.shape[-2:])}
        if self.options["auxiliary"]:
            outputs |= {"aux1": self.aux1(x16), "aux2": self.aux2(x32)}
        return outputs

    def _decoded(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's features at 1/8, 1/16 and 1/32 size."""
        e8 = self.stage3(self.stem(images))
        e16 = self.stage4(e8)
        e32 = self.stage5(e16)
        x32 = self.fusion5(e32, self.context(e32))
        x16 = self.fusion4(e16, x32)
        return self.fusion3(e8, x16), x16, x32


class PyramidPooling(nn.Module):
    """Averages over 1, 2x2 and 4x4 cells, each convolved, resized back and added."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(conv_bn_relu(channels, out, 1, bias=True) for _ in POOLED)
        self.out = conv_bn_relu(out, out, 3, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        levels = [
            resize(level(averages(x, cells)), x)
            for level, cells in zip(self.levels, POOLED, strict=True)
        ]
        return self.out(levels[0] + levels[1] + levels[2])


class AttentionFusion(nn.Module):
    """Figure 4, spatial: at each pixel, so much of the encoder's features and the rest of the
    decoder's, by the mean and the maximum that both have there."""

    def __init__(self, channels: int, coarse: int, out: int) -> None:
        super().__init__()
        self.fine = conv_bn_relu(channels, coarse, 3)
        self.attention = nn.Sequential(conv_bn_relu(4, 2, 3), conv_bn_relu(2, 1, 3)[:2])
        self.out = conv_bn_relu(coarse, out, 3)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        fine = self.fine(fine)
        coarse = resize(coarse, fine)
        seen = [fine.mean(1, True), fine.amax(1, True), coarse.mean(1, True), coarse.amax(1, True)]
        weight = torch.sigmoid(self.attention(torch.cat(seen, 1)))  # (N,1,h,w)
        return self.out(fine * weight + coarse * (1 - weight))


class DenseBlock(nn.Module):
    """STDC's Figure 3 (b), and (c) with stride 2: four convolutions in a row, whose outputs,
    halving in channels, are concatenated."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            (
                conv_bn_relu(channels, out // 2, 1),
                conv_bn_relu(out // 2, out // 4, 3),
                conv_bn_relu(out // 4, out // 8, 3),
                conv_bn_relu(out // 8, out // 8, 3),
            )
        )
        self.down = self.skip = None
        if stride == 2:
            self.down = conv_bn_relu(out // 2, out // 2, 3, stride=2, groups=out // 2)[:2]
            self.skip = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.convs[0](x)
        x = first if self.down is None else self.down(first)
        outputs = [first if self.skip is None else self.skip(first)]
        for conv in self.convs[1:]:
            x = conv(x)
            outputs.append(x)
        return torch.cat(outputs, 1)


def dense_blocks(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(DenseBlock(channels, out, 2), DenseBlock(out, out, 1))


def head(channels: int, inner: int, classes: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(channels, inner, 3), nn.Conv2d(inner, classes, 1, bias=bias))


def conv_bn_relu(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=bias)
    return nn.Sequential(conv, BatchNorm2d(out), nn.ReLU(inplace=True))


def averages(x: Tensor, cells: int) -> Tensor:
    """(N,C,H,W) -> (N,C,cells,cells), as `F.adaptive_avg_pool2d`."""
    if cells == 1:  # a matrix of one row is a vector to pnnx, and its product one axis short
        return x.mean((2, 3), keepdim=True)
    rows, columns = (cell_weights(size, cells, x) for size in x.shape[-2:])
    return torch.matmul(torch.matmul(rows, x), columns.T)


def cell_weights(size: int, cells: int, x: Tensor) -> Tensor:
    """(cells, size): row i averages from floor(i size / cells) to ceil((i + 1) size / cells)."""
    cell = torch.arange(cells, device=x.device)[:, None]
    start, end = cell * size // cells, ((cell + 1) * size + cells - 1) // cells
    pixel = torch.arange(size, device=x.device)
    return (((pixel >= start) & (pixel < end)) / (end - start)).to(x.dtype)


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
