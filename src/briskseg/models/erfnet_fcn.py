"""ERFNet as MMSegmentation trains it: its last deconvolution replaced by an FCN head.

Romera, Alvarez, Bergasa, Arroyo: "ERFNet: Efficient Residual Factorized ConvNet for Real-time
Semantic Segmentation", IEEE Transactions on Intelligent Transportation Systems 19(1), 2018; layers
as in its Table I. Long, Shelhamer, Darrell: "Fully Convolutional Networks for Semantic
Segmentation", CVPR 2015, for the head.

What differs from the paper: the features at 1/2 size go through one 3x3 convolution to 128 channels
and a 1x1 convolution to the classes, and the logits are enlarged bilinearly (align_corners=False).
Dropout drops single values, equally often in all blocks of the encoder; there is no head for a
first training stage. What differs from MMSegmentation (1.2.2, `erfnet_fcn`): nothing at sizes that
are multiples of 8. Any other image is first extended at the right and at the bottom, by repeating
its last column and row, to the next multiple of 8, and the logits are cropped back; MMSegmentation
stretches the pooled half of each odd downsampling instead.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, Network


class ERFNetFCN(Network):
    """The paper's network with an FCN head.

    Options: `dropout` is the probability with which a value is dropped in the encoder's blocks, and
    a whole channel before the head's last convolution.
    """

    last = "head.4"
    factor = 2
    extends = (8, 1)  # to a multiple of the encoder's stride

    def __init__(self, classes: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            Downsampler(3, 16),  # (N,16,H/2,W/2)
            Downsampler(16, 64),  # (N,64,H/4,W/4)
            *(NonBottleneck1d(64, dropout, dilation=1) for _ in range(5)),
            Downsampler(64, 128),  # (N,128,H/8,W/8)
            *(NonBottleneck1d(128, dropout, dilation=d) for d in (2, 4, 8, 16) * 2),
        )
        self.decoder = nn.Sequential(
            Upsampler(128, 64),  # (N,64,H/4,W/4)
            NonBottleneck1d(64, dropout=0, dilation=1),
            NonBottleneck1d(64, dropout=0, dilation=1),
            Upsampler(64, 16),  # (N,16,H/2,W/2)
            NonBottleneck1d(16, dropout=0, dilation=1),
            NonBottleneck1d(16, dropout=0, dilation=1),
        )
        self.head = nn.Sequential(
            nn.Conv2d(16, 128, 3, padding=1, bias=False),  # (N,128,H/2,W/2)
            BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(128, classes, 1),  # (N,classes,H/2,W/2)
        )

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,h,w) at half the size of the extended images."""
        return self.head(self.decoder(self.encoder(self.extended(images))))


class NonBottleneck1d(nn.Module):
    """Figure 2 (c): a residual block whose two 3x3 convolutions are each split into 3x1 and 1x3.

    Only the second pair is dilated. Batch norm follows each pair.
    """

    def __init__(self, channels: int, dropout: float, dilation: int) -> None:
        super().__init__()
        d = dilation
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = BatchNorm2d(channels, eps=1e-3)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(d, 0), dilation=(d, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, d), dilation=(1, d))
        self.bn2 = BatchNorm2d(channels, eps=1e-3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv3x1_1(x), inplace=True)
        y = F.relu(self.bn1(self.conv1x3_1(y)), inplace=True)
        y = F.relu(self.conv3x1_2(y), inplace=True)
        y = self.dropout(self.bn2(self.conv1x3_2(y)))
        return F.relu(x + y, inplace=True)


class Downsampler(nn.Module):
    """Halves the size: a 3x3 convolution with stride 2 beside a 2x2 max pooling, concatenated."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels - channels, 3, stride=2, padding=1)
        self.bn = BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.conv(x), F.max_pool2d(x, 2)], dim=1)
        return F.relu(self.bn(y), inplace=True)


class Upsampler(nn.Module):
    """Doubles the size: a 3x3 deconvolution with stride 2."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            channels, out_channels, 3, stride=2, padding=1, output_padding=1
        )
        self.bn = BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)
