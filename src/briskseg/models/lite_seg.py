"""LiteSeg: a pretrained EfficientNet-Lite and a top-down decoder, made for int8 and thin things.

Our own network, of known parts: the encoder of Tan and Le, ICML 2019 (see
`encoders.efficientnet_lite`); top-down additions after Lin et al., "Feature Pyramid Networks", CVPR
2017; the mean of the whole image, Liu et al., "ParseNet", 2015; a last layer that gives four pixels
a position, Shi et al., "Real-Time Single Image and Video Super-Resolution", CVPR 2016.

    image -> encoder 1/2 -> 1/4 -> 1/8 -> 1/16 -> 1/32
               |        |      |      |       |
               |        |      |      |     context 1/32
               |        |      |      + <-----'            each + an addition at the finer size,
               |        |      + <----'                    then a separable convolution
               '------> + <----'
                        '-> separable -> logits of 2x2 pixels a position: 1/2

Why so: everything added is between 0 and 6 on both sides, and no gate multiplies, so int8 loses
little. Poles and signs are a pixel or two wide at 1/2, so that size reaches the last layer, two by
two pixels in one position, and leaves it again; all work in between is done at 1/4 or below.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.encoders.efficientnet_lite import EfficientNetLite, conv_bn_relu6
from briskseg.models.network import BatchNorm2d, Network, TrainingOutput

COARSE, FINE = 128, 96  # channels of the decoder from 1/32 to 1/8, and at 1/4


class LiteSeg(Network):
    """Options: `encoder` is "lite0", "lite1" or "lite2", by rising accuracy and cost; `auxiliary`
    says whether it has the head that only training uses."""

    last = "classifier"
    factor = 2
    extends = (32, 32)

    def __init__(self, classes: int, *, encoder: str = "lite0", auxiliary: bool = True) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(encoder)
        half, quarter, eighth, sixteenth, last = self.encoder.channels
        self.context = Context(last, COARSE)  # (N,128,H/32,W/32)
        self.merge16 = Merge(sixteenth, COARSE, COARSE)  # (N,128,H/16,W/16)
        self.merge8 = Merge(eighth, COARSE, FINE)  # (N,96,H/8,W/8)
        self.merge4 = Merge(quarter, FINE, FINE, finer=half)  # (N,96,H/4,W/4)
        self.refine = separable(FINE, FINE, 3)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = SubpixelClassifier(FINE, classes)  # (N,classes,H/2,W/2)
        self.auxiliary = nn.Conv2d(FINE, classes, 1) if auxiliary else None
        if auxiliary:
            self.outputs = (TrainingOutput("logits"), TrainingOutput("aux", loss="auxiliary"))

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,h/2,w/2), h and w the least multiples of 32 that hold the images."""
        return self._stages(images)[0]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", "aux" (N,classes,h/8,w/8), if it has that head."""
        logits, eighth = self._stages(images)
        outputs = {"logits": self.enlarged(logits, images.shape[-2:])}
        if self.auxiliary is not None:
            outputs["aux"] = self.auxiliary(eighth)
        return outputs

    def _stages(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The logits at 1/2 and the features at 1/8."""
        half, quarter, eighth, sixteenth, last = self.encoder(self.extended(images))
        x = self.merge16(sixteenth, self.context(last))
        merged = self.merge8(eighth, x)
        x = self.refine(self.merge4(quarter, merged, half))
        return self.classifier(self.dropout(x)), merged


class Context(nn.Module):
    """The coarsest features, and to each the mean of them all."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu6(channels, out, 1)
        # no batch norm: one position an image is too little for its statistics
        self.mean = nn.Sequential(nn.Conv2d(out, out, 1), nn.ReLU6(inplace=True))
        self.spread = separable(out, out, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        return self.spread(x + self.mean(x.mean((2, 3), keepdim=True)))


class Merge(nn.Module):
    """The encoder's features of this size plus the decoder's of half of it, then a separable
    convolution. `finer`: channels of features at twice the size, which are added, too."""

    def __init__(self, lateral: int, coarse: int, out: int, finer: int = 0) -> None:
        super().__init__()
        self.lateral = conv_bn_relu6(lateral, coarse, 1)
        self.finer = space_to_depth(finer, coarse) if finer else None
        self.mix = separable(coarse, out, 3)

    def forward(self, lateral: Tensor, coarse: Tensor, finer: Tensor | None = None) -> Tensor:
        # nearest: exact in int8 everywhere, and the convolution after it smooths
        x = self.lateral(lateral) + F.interpolate(coarse, scale_factor=2, mode="nearest")
        if self.finer is not None:
            x = x + self.finer(finer)
        return self.mix(x)


class SubpixelClassifier(nn.Module):
    """(N,C,h,w) -> logits (N,classes,2h,2w): a 1x1 convolution to four pixels' logits, rearranged.

    Output channel 4 c + 2 i + j of the convolution is class c of the pixel (2 y + i, 2 x + j).
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4 * classes, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(classes))
        nn.init.normal_(self.weight, std=channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        four = F.conv2d(x, self.weight, self.bias.repeat_interleave(4))
        return F.pixel_shuffle(four, 2)


def space_to_depth(channels: int, out: int) -> nn.Sequential:
    """Two by two pixels, side by side, become one position."""
    conv = nn.Conv2d(channels, out, 2, stride=2, bias=False)
    return nn.Sequential(conv, BatchNorm2d(out), nn.ReLU6(inplace=True))


def separable(channels: int, out: int, kernel: int) -> nn.Sequential:
    """A depthwise convolution and a pointwise one, each with batch norm and ReLU6."""
    depthwise = conv_bn_relu6(channels, channels, kernel, groups=channels)
    return nn.Sequential(depthwise, conv_bn_relu6(channels, out, 1))
