"""How published codes name the parameters of the networks here, and how they feed them.

One Layout a published code. `names` are substitutions from our names to theirs, applied in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Names = Sequence[tuple[str, str]]

_NONE = r"(?!)"  # matches no name


@dataclass(frozen=True)
class Layout:
    """One published code's network.

    mean, std: what it subtracts from and divides images by, RGB in units of [0, 1].
    size: (height, width) to which it resizes Cityscapes images for scoring; None: as they are.
    """

    title: str
    network: str
    options: Mapping[str, bool | int | float | str]
    names: Names
    last: str  # their name of the last convolution's bias: as many values as there are classes
    # regular expressions
    ignored: str = _NONE  # their tensors that no layer here has
    zero: str = _NONE  # ours that their network lacks, where 0 makes it the same network
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    size: tuple[int, int] | None = None

    def published_name(self, ours: str) -> str:
        """Their name of one of our parameters or buffers."""
        return self.published_part(ours)[0]

    def published_part(self, ours: str) -> tuple[str, int, int]:
        """Their name of it, and which of how many equal parts along the first dimension is ours: a
        substitution that ends with "#1/3" says the second of three."""
        name, _, part = renamed(ours, self.names).partition("#")
        index, _, parts = (part or "0/1").partition("/")
        return name, int(index), int(parts)

    def has(self, ours: str) -> bool:
        """Whether their network has one of our parameters or buffers."""
        return not re.search(self.zero, ours)

    def reads(self, theirs: str) -> bool:
        """Whether one of their tensors is one of ours."""
        return not re.search(self.ignored, theirs)


def renamed(name: str, names: Names) -> str:
    """One of our names after all substitutions."""
    for pattern, replacement in names:
        name = re.sub(pattern, replacement, name)
    return name


# From the encoder in `erfnet` to the same layers in `erfnet_fcn`.
ERFNET_FCN_ENCODER: Names = (
    (r"^encoder\.initial_block\.", "encoder.0."),
    *((rf"^encoder\.layers\.{i}\.", f"encoder.{i + 1}.") for i in range(15)),
)

ERFNET_MMSEGMENTATION: Names = (
    (r"^(encoder|decoder)\.", r"backbone.\1."),
    (r"\.conv3x1_1\.", ".convs_layers.0."),
    (r"\.conv1x3_1\.", ".convs_layers.2."),
    (r"\.bn1\.", ".convs_layers.3."),
    (r"\.conv3x1_2\.", ".convs_layers.5."),
    (r"\.conv1x3_2\.", ".convs_layers.7."),
    (r"\.bn2\.", ".convs_layers.8."),
    (r"^head\.0\.", "decode_head.convs.0.conv."),
    (r"^head\.1\.", "decode_head.convs.0.bn."),
    (r"^head\.4\.", "decode_head.conv_seg."),
)

# The three groups of bottlenecks and the pyramid, as both codes number and name them.
_GLOBAL: Names = (
    (r"^global_feature_extractor\.0\.", "global_feature_extractor.bottleneck1."),
    (r"^global_feature_extractor\.1\.", "global_feature_extractor.bottleneck2."),
    (r"^global_feature_extractor\.2\.", "global_feature_extractor.bottleneck3."),
    (r"^global_feature_extractor\.3\.", "global_feature_extractor.ppm."),
    (r"^feature_fusion\.depthwise\.", "feature_fusion.dwconv."),
    (r"^feature_fusion\.coarse\.", "feature_fusion.conv_lower_res."),
    (r"^feature_fusion\.fine\.", "feature_fusion.conv_higher_res."),
)

FAST_SCNN_MMSEGMENTATION: Names = (
    (r"^classifier\.3\.", "decode_head.conv_seg."),
    (r"^heads\.(\d)\.2\.", r"auxiliary_head.\1.conv_seg."),
    (r"\.0\.weight$", ".conv.weight"),  # every other convolution is followed by its batch norm
    (r"\.1\.(\w+)$", r".bn.\1"),
    *_GLOBAL,
    (r"^heads\.(\d)\.0\.", r"auxiliary_head.\1.convs.0."),
    (r"^classifier\.([01])\.0\.", r"decode_head.convs.\1.depthwise_conv."),
    (r"^classifier\.([01])\.1\.", r"decode_head.convs.\1.pointwise_conv."),
    (r"^learning_to_downsample\.0\.", "learning_to_downsample.conv."),
    (r"^learning_to_downsample\.([12])\.0\.", r"learning_to_downsample.dsconv\1.depthwise_conv."),
    (r"^learning_to_downsample\.([12])\.1\.", r"learning_to_downsample.dsconv\1.pointwise_conv."),
    (r"\.(\d)\.expand\.", r".\1.conv.0."),
    (r"\.(\d)\.depthwise\.", r".\1.conv.1."),
    (r"\.(\d)\.project\.", r".\1.conv.2."),
    (r"\.ppm\.levels\.(\d)\.", r".ppm.\1.1."),
    (r"\.ppm\.out\.", ".out."),
    (r"^(learning_to_downsample|global_feature_extractor|feature_fusion)\.", r"backbone.\1."),
)

FAST_SCNN_TRAMAC: Names = (
    (r"^classifier\.3\.", "classifier.conv.1."),
    (r"^heads\.0\.2\.", "auxlayer.4."),
    (r"^heads\.0\.0\.", "auxlayer."),
    *_GLOBAL,
    (r"^classifier\.0\.", "classifier.dsconv1."),
    (r"^classifier\.1\.", "classifier.dsconv2."),
    (r"^learning_to_downsample\.0\.", "learning_to_downsample.conv.conv."),
    (r"^learning_to_downsample\.([12])\.", r"learning_to_downsample.dsconv\1."),
    (r"\.(dsconv\d)\.0\.0\.", r".\1.conv.0."),
    (r"\.(dsconv\d)\.0\.1\.", r".\1.conv.1."),
    (r"\.(dsconv\d)\.1\.0\.", r".\1.conv.3."),
    (r"\.(dsconv\d)\.1\.1\.", r".\1.conv.4."),
    (r"\.expand\.", ".block.0.conv."),
    (r"\.(\d)\.depthwise\.", r".\1.block.1.conv."),
    (r"\.project\.0\.", ".block.2."),
    (r"\.project\.1\.", ".block.3."),
    (r"\.ppm\.levels\.0\.", ".ppm.conv1.conv."),
    (r"\.ppm\.levels\.1\.", ".ppm.conv2.conv."),
    (r"\.ppm\.levels\.2\.", ".ppm.conv3.conv."),
    (r"\.ppm\.levels\.3\.", ".ppm.conv4.conv."),
    (r"\.ppm\.out\.", ".ppm.out.conv."),
    (r"\.dwconv\.", ".dwconv.conv."),
)

_WITH_HEADS = {
    "erfnet_official": Layout(
        "ERFNet, the authors' PyTorch code",
        "erfnet",
        {},
        names=(),  # ours are theirs
        last="decoder.output_conv.bias",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        size=(512, 1024),
    ),
    "erfnet_mmsegmentation": Layout(
        "ERFNet with an FCN head, MMSegmentation",
        "erfnet_fcn",
        {},
        names=ERFNET_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
    ),
    "fast_scnn_mmsegmentation": Layout(
        "Fast-SCNN, MMSegmentation",
        "fast_scnn",
        {"variant": "mmsegmentation"},
        names=FAST_SCNN_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
    ),
    "fast_scnn_tramac": Layout(
        "Fast-SCNN, Tramac/Fast-SCNN-pytorch",
        "fast_scnn",
        {"variant": "tramac"},
        names=FAST_SCNN_TRAMAC,
        last="classifier.conv.1.bias",
    ),
}


def _without_heads(layout: Layout) -> Layout:
    """The same network trained or saved without its auxiliary heads."""
    title = f"{layout.title}, without auxiliary heads"
    return replace(layout, title=title, options={**layout.options, "auxiliary": False})


LAYOUTS = _WITH_HEADS | {
    f"{name}_without_heads": _without_heads(_WITH_HEADS[name])
    for name in ("erfnet_official", "fast_scnn_mmsegmentation", "fast_scnn_tramac")
}
