"""The published codes whose weights are read: one Layout each, by name."""

from __future__ import annotations

from briskseg.models.weights.names.bisenet_v2 import (
    BISENET_V2_COINCHEUNG,
    BISENET_V2_MMSEGMENTATION,
)
from briskseg.models.weights.names.efficientvit import EFFICIENTVIT
from briskseg.models.weights.names.erfnet import ERFNET_MMSEGMENTATION
from briskseg.models.weights.names.fast_scnn import FAST_SCNN_MMSEGMENTATION, FAST_SCNN_TRAMAC
from briskseg.models.weights.names.pidnet_ddrnet import (
    DDRNET_MMSEGMENTATION,
    DDRNET_OFFICIAL,
    PIDNET_MMSEGMENTATION,
    PIDNET_OFFICIAL,
)
from briskseg.models.weights.names.pp_liteseg import PP_LITESEG
from briskseg.models.weights.names.segformer import (
    SEGFORMER_MMSEGMENTATION,
    SEGFORMER_NVLABS,
    SEGFORMER_TRANSFORMERS,
    SEGFORMER_TRANSFORMERS5,
)
from briskseg.models.weights.names.stdc import STDC_MMSEGMENTATION, stdc_official
from briskseg.models.weights.published_layout import NO_NAME, Layout, Names

# STDC's backbone under a second name, its classifier, and heads whose output nothing reads.
_STDC_IGNORED = r"^cp\.backbone\.(features|conv_last|fc|bn|linear)\.|^conv_out_sp(2|4|16)\."
_STDC_ZERO = r"^(head|aux16|aux32|detail)\.1\.bias$"
_STDC_ABSOLUTE = r"^(cp\.(arm|conv_)|ffm\.|conv_out).*\.bn(_atten)?\.weight$"

# In NVlabs/SegFormer's LICENSE; ports of its code hand on the same weights.
_SEGFORMER_LICENSE = (
    "NVIDIA Source Code License for SegFormer: the published weights, and what is trained from "
    "them, may be used for research and evaluation only, not commercially"
)


def _stdc_official(network: str, title: str, blocks: tuple[int, int, int]) -> Layout:
    return Layout(
        f"{title}, the authors' code",
        network,
        {},
        names=stdc_official(blocks),
        last="conv_out.conv_out.weight",
        size=(768, 1536),  # its authors' higher score; the lower one is at (512, 1024)
        ignored=_STDC_IGNORED,
        zero=_STDC_ZERO,
        absolute=_STDC_ABSOLUTE,
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
    "pidnet_s_official": Layout(
        "PIDNet-S, the authors' code",
        "pidnet_s",
        {"variant": "official"},
        names=PIDNET_OFFICIAL,
        last="final_layer.conv2.bias",
    ),
    "pidnet_s_mmsegmentation": Layout(
        "PIDNet-S, MMSegmentation",
        "pidnet_s",
        {"variant": "mmsegmentation"},
        names=PIDNET_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
    ),
    "ddrnet_23_slim_official": Layout(
        "DDRNet-23-slim, the authors' code",
        "ddrnet_23_slim",
        {},
        names=DDRNET_OFFICIAL,
        last="final_layer.conv2.bias",
    ),
    "ddrnet_23_slim_mmsegmentation": Layout(
        "DDRNet-23-slim, MMSegmentation",
        "ddrnet_23_slim",
        {},
        names=DDRNET_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
        zero=r"^stem\.[01]\.0\.bias$",
    ),
    "bisenet_v2_coincheung": Layout(
        "BiSeNetV2, CoinCheung/BiSeNet",
        "bisenet_v2",
        {"variant": "coincheung"},
        names=BISENET_V2_COINCHEUNG,
        last="head.conv_out.1.bias",
        mean=(0.3257, 0.3690, 0.3223),
        std=(0.2112, 0.2148, 0.2115),
    ),
    "bisenet_v2_mmsegmentation": Layout(
        "BiSeNetV2, MMSegmentation",
        "bisenet_v2",
        {"variant": "mmsegmentation"},
        names=BISENET_V2_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
    ),
    "stdc1_official": _stdc_official("stdc1", "STDC1-Seg", (2, 2, 2)),
    "stdc2_official": _stdc_official("stdc2", "STDC2-Seg", (4, 5, 3)),
    "pp_liteseg_t_paddle": Layout(
        "PP-LiteSeg-T, PaddleSeg",
        "pp_liteseg_t",
        {},
        names=PP_LITESEG,
        last="seg_heads.0.conv_out.weight",
        ignored=r"\._scale$",  # 1, which no training changes
        zero=r"^head\.1\.bias$",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
}


def _stdc_mmsegmentation(network: str, title: str) -> Layout:
    """Without heads, although files have them: the one on details has another output."""
    return Layout(
        f"{title}, MMSegmentation",
        network,
        {"auxiliary": False},
        names=STDC_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
        ignored=r"^auxiliary_head\.",
    )


def _segformer(whose: str, variant: str, names: Names, last: str) -> Layout:
    return Layout(
        f"SegFormer-B0, {whose}",
        "segformer_b0",
        {"variant": variant},
        names=names,
        last=last,
        ignored=r"^decode_head\.conv_seg\." if variant == "nvlabs" else NO_NAME,
        license=_SEGFORMER_LICENSE,
    )


LAYOUTS = {
    **_WITH_HEADS,
    **{f"{name}_without_heads": layout.without_heads() for name, layout in _WITH_HEADS.items()},
    "erfnet_mmsegmentation": Layout(
        "ERFNet with an FCN head, MMSegmentation",
        "erfnet_fcn",
        {},
        names=ERFNET_MMSEGMENTATION,
        last="decode_head.conv_seg.bias",
    ),
    "stdc1_mmsegmentation": _stdc_mmsegmentation("stdc1", "STDC1-Seg"),
    "stdc2_mmsegmentation": _stdc_mmsegmentation("stdc2", "STDC2-Seg"),
    "segformer_b0_nvlabs": _segformer(
        "the authors' code", "nvlabs", SEGFORMER_NVLABS, "decode_head.linear_pred.bias"
    ),
    "segformer_b0_mmsegmentation": _segformer(
        "MMSegmentation", "mmsegmentation", SEGFORMER_MMSEGMENTATION, "decode_head.conv_seg.bias"
    ),
    "segformer_b0_transformers": _segformer(
        "transformers", "transformers", SEGFORMER_TRANSFORMERS, "decode_head.classifier.bias"
    ),
    "segformer_b0_transformers5": _segformer(
        "transformers 5", "transformers", SEGFORMER_TRANSFORMERS5, "decode_head.classifier.bias"
    ),
    "efficientvit_b0_official": Layout(
        "EfficientViT-B0, the authors' code",
        "efficientvit_b0",
        {},
        names=EFFICIENTVIT,
        last="head.output_ops.0.op_list.1.conv.bias",
    ),
    "lraspp_mobilenetv3_torchvision": Layout(
        "LR-ASPP on MobileNetV3-Large, torchvision",
        "lraspp_mobilenetv3",
        {},
        names=(),  # ours are theirs
        last="classifier.high_classifier.bias",
    ),
}
