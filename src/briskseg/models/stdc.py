"""STDC-Seg: one branch of short-term dense blocks; an edge-like target teaches it details.

Fan, Lai, Huang, Wei, Chai, Luo, Wei: "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR
2021; blocks as in its Figure 3, networks as in its Table 2 and Figure 4. STDC1 and STDC2 differ in
the number of blocks a stage.

What differs from the authors' code (MichaelFan01/STDC-Seg): the last convolutions have a bias, and
the decoder's batch norms are torch's, where the authors' (InPlaceABN) scale by |weight| + 1e-5;
`briskseg.models.weights.layouts` converts their weights. Their detail heads at 1/2, 1/4 and 1/16
size, which nothing reads, are left out. MMSegmentation's port is the same network, with a detail
head of two outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, Network, TrainingOutput


class STDC(Network):
    """Option: `auxiliary` says whether it has the three heads that only training uses."""

    last = "head.1"
    factor = None
    align_corners = True  # of the last enlarging; inside, features are resized to the nearest
    blocks: tuple[int, int, int]  # in the stages at 1/8, 1/16 and 1/32 size

    def __init__(self, classes: int, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, 32, 3, stride=2),  # (N,32,H/2,W/2)
            conv_bn_relu(32, 64, 3, stride=2),  # (N,64,H/4,W/4)
        )
        self.stage3 = dense_blocks(64, 256, self.blocks[0])  # (N,256,H/8,W/8)
        self.stage4 = dense_blocks(256, 512, self.blocks[1])  # (N,512,H/16,W/16)
        self.stage5 = dense_blocks(512, 1024, self.blocks[2])  # (N,1024,H/32,W/32)
        self.average = conv_bn_relu(1024, 128, 1)  # of the whole image
        self.refine5 = AttentionRefinement(1024, 128)
        self.refine4 = AttentionRefinement(512, 128)
        self.up5 = conv_bn_relu(128, 128, 3)  # (N,128,H/16,W/16)
        self.up4 = conv_bn_relu(128, 128, 3)  # (N,128,H/8,W/8)
        self.fusion = FeatureFusion(256 + 128, 256)  # (N,256,H/8,W/8)
        self.head = head(256, 256, classes)
        if auxiliary:
            self.aux16 = head(128, 64, classes)
            self.aux32 = head(128, 64, classes)
            self.detail = head(256, 64, 1)
            self.outputs = (
                TrainingOutput("logits"),
                TrainingOutput("aux16", loss="auxiliary"),
                TrainingOutput("aux32", loss="auxiliary"),
                TrainingOutput("detail", "detail"),
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,ceil(H/8),ceil(W/8))."""
        return self._features(images)["logits"]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", "aux16" of the features refined at 1/16 (at 1/8 size), "aux32" of those
        refined at 1/32 (at 1/16 size), and "detail" (N,1,h,w) at 1/8 size."""
        features = self._features(images)
        outputs = {"logits": self.enlarged(features["logits"], images.shape[-2:])}
        if self.options["auxiliary"]:
            heads = {"aux16": self.aux16, "aux32": self.aux32, "detail": self.detail}
            outputs |= {name: head(features[name]) for name, head in heads.items()}
        return outputs

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        x8 = self.stage3(self.stem(images))
        x16 = self.stage4(x8)
        x32 = self.stage5(x16)
        context = self.refine5(x32) + self.average(x32.mean((2, 3), keepdim=True))
        up16 = self.up5(resize(context, x16))
        up8 = self.up4(resize(self.refine4(x16) + up16, x8))
        logits = self.head(self.fusion(x8, up8))
        return {"detail": x8, "aux16": up8, "aux32": up16, "logits": logits}


class STDC1(STDC):
    blocks = (2, 2, 2)


class STDC2(STDC):
    blocks = (4, 5, 3)


class DenseBlock(nn.Module):
    """Figure 3 (b), and (c) with stride 2: four convolutions in a row, whose outputs, halving in
    channels, are concatenated."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                conv_bn_relu(channels, out // 2, 1),
                conv_bn_relu(out // 2, out // 4, 3),
                conv_bn_relu(out // 4, out // 8, 3),
                conv_bn_relu(out // 8, out // 8, 3),
            ]
        )
        self.stride = stride
        if stride == 2:
            self.down = conv_bn(out // 2, out // 2, 3, stride=2, groups=out // 2)

    def forward(self, x: Tensor) -> Tensor:
        first = x = self.convs[0](x)
        if self.stride == 2:
            first, x = F.avg_pool2d(x, 3, stride=2, padding=1), self.down(x)
        outputs = [first]
        for conv in self.convs[1:]:
            x = conv(x)
            outputs.append(x)
        return torch.cat(outputs, dim=1)


class AttentionRefinement(nn.Module):
    """BiSeNet's (Yu et al., ECCV 2018): channels weighted by a gate of the image's average."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(channels, out, 3)
        self.gate = conv_bn(out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))


class FeatureFusion(nn.Module):
    """BiSeNet's: both are concatenated, convolved, and their channels weighted by a gate."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(channels, out, 1)
        self.squeeze = nn.Conv2d(out, out // 4, 1, bias=False)
        self.excite = nn.Conv2d(out // 4, out, 1, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        x: Tensor = self.conv(torch.cat([fine, coarse], dim=1))
        gate = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate) + x


def dense_blocks(channels: int, out: int, repeat: int) -> nn.Sequential:
    """So many in a row, the first of which halves the size."""
    first = DenseBlock(channels, out, stride=2)
    return nn.Sequential(first, *(DenseBlock(out, out, stride=1) for _ in range(repeat - 1)))


def head(channels: int, inner: int, out: int) -> nn.Sequential:
    """(N,channels,h,w) -> (N,out,h,w)."""
    return nn.Sequential(conv_bn_relu(channels, inner, 3), nn.Conv2d(inner, out, 1))


def conv_bn(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out))


def conv_bn_relu(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv_bn(channels, out, kernel, stride=stride), nn.ReLU(inplace=True))


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="nearest")
