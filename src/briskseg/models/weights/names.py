"""From our names of the parameters of PIDNet, DDRNet, BiSeNetV2 and STDC to published ones.

Substitutions, applied in order; `briskseg.models.weights.layouts` says whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence

Names = Sequence[tuple[str, str]]

# What PIDNet and DDRNet have in common: the stem and the residual blocks.
_RESIDUAL_OFFICIAL: Names = (
    (r"^stem\.0\.", "conv1."),
    (r"^stem\.1\.0\.", "conv1.3."),
    (r"^stem\.1\.1\.", "conv1.4."),
    (r"^stem\.2\.", "layer1.0."),
    (r"^stem\.3\.", "layer1.1."),
    (r"^stem\.4\.", "layer2.0."),
    (r"^stem\.5\.", "layer2.1."),
    (r"^(layer.*)\.conv(\d)\.0\.", r"\1.conv\2."),
    (r"^(layer.*)\.conv(\d)\.1\.", r"\1.bn\2."),
    (r"^(layer.*)\.shortcut\.", r"\1.downsample."),
    (r"^(final_layer|seghead_\w+)\.0\.", r"\1.bn1."),
    (r"^(final_layer|seghead_\w+)\.2\.", r"\1.conv1."),
    (r"^(final_layer|seghead_\w+)\.3\.", r"\1.bn2."),
    (r"^(final_layer|seghead_\w+)\.[56]\.", r"\1.conv2."),
    (r"^spp\.own\.", "spp.scale0."),
    *((rf"^spp\.pools\.{i}\.", f"spp.scale{i + 1}.") for i in range(4)),
)
_RESIDUAL_MMSEGMENTATION: Names = (
    (r"^stem\.([01])\.0\.", r"backbone.stem.\1.conv."),
    (r"^stem\.([01])\.1\.", r"backbone.stem.\1.bn."),
    (r"^stem\.2\.", "backbone.stem.2.0."),
    (r"^stem\.3\.", "backbone.stem.2.1."),
    (r"^stem\.4\.", "backbone.stem.4.0."),
    (r"^stem\.5\.", "backbone.stem.4.1."),
    (r"\.conv(\d)\.0\.", r".conv\1.conv."),
    (r"\.conv(\d)\.1\.", r".conv\1.bn."),
    (r"^(spp\..*)\.[01]\.(?=\w+$)", r"\1.bn."),
    (r"^(spp\..*)\.[23]\.(?=\w+$)", r"\1.conv."),
    (r"^spp\.own\.", "backbone.spp.scales.0."),
    *((rf"^spp\.pools\.{i}\.", f"backbone.spp.scales.{i + 1}.1.") for i in range(4)),
    (r"^spp\.process(es)?\.", "backbone.spp.processes."),
    (r"^spp\.", "backbone.spp."),
    (r"^compression3\.", "backbone.compression_1."),
    (r"^compression4\.", "backbone.compression_2."),
    (r"^(backbone\.compression_\d)\.0\.", r"\1.conv."),
    (r"^(backbone\.compression_\d)\.1\.", r"\1.bn."),
)

PIDNET_OFFICIAL: Names = (
    (r"^i([345])\.", r"layer\1."),
    (r"^p([34])\.", r"layer\1_."),
    (r"^p5\.", "layer5_.0."),
    (r"^d3\.", "layer3_d."),
    (r"^d([45])\.", r"layer\1_d.0."),
    (r"^(pag\d)\.f_p\.", r"\1.f_x."),
    (r"^(pag\d)\.f_i\.", r"\1.f_y."),
    (r"^bag\.f_", "dfm.conv_"),
    (r"^pappm\.process\.", "spp.scale_process."),
    (r"^pappm\.", "spp."),
    (r"^head\.", "final_layer."),
    (r"^([pd])_head\.", r"seghead_\1."),
    *_RESIDUAL_OFFICIAL,
)
PIDNET_MMSEGMENTATION: Names = (
    (r"^p5\.", "p5.0."),
    (r"^d([45])\.", r"d\1.0."),
    *((rf"^([ipd]){i + 3}\.", rf"backbone.\1_branch_layers.{i}.") for i in range(3)),
    *((rf"^(pag|diff){i + 2}\.", rf"backbone.\1_{i}.") for i in (1, 2)),
    (r"^bag\.", "backbone.dfm."),
    (r"^(backbone\..*(?:f_[pi]|diff_\d))\.0\.", r"\1.conv."),
    (r"^(backbone\..*(?:f_[pi]|diff_\d))\.1\.", r"\1.bn."),
    (r"\.shortcut\.0\.", ".downsample.conv."),
    (r"\.shortcut\.1\.", ".downsample.bn."),
    (r"^pappm\.downsample\.conv\.", "pappm.shortcut.0."),
    (r"^pappm\.", "spp."),
    (r"^head\.6\.", "decode_head.conv_seg."),
    (r"^([pd])_head\.6\.", r"decode_head.\1_cls_seg."),
    (r"^head\.", "i_head."),
    (r"^([ipd]_head)\.0\.", r"decode_head.\1.conv.bn."),
    (r"^([ipd]_head)\.2\.", r"decode_head.\1.conv.conv."),
    (r"^([ipd]_head)\.3\.", r"decode_head.\1.norm."),
    *_RESIDUAL_MMSEGMENTATION,
)

DDRNET_OFFICIAL: Names = (
    (r"^context5\.", "layer5.0."),
    (r"^context([34])\.", r"layer\1."),
    (r"^detail5\.", "layer5_.0."),
    (r"^detail([34])\.", r"layer\1_."),
    *((rf"^dappm\.processes\.{i}\.", f"spp.process{i + 1}.") for i in range(4)),
    (r"^dappm\.", "spp."),
    (r"^head\.", "final_layer."),
    (r"^aux_head\.", "seghead_extra."),
    *_RESIDUAL_OFFICIAL,
)
DDRNET_MMSEGMENTATION: Names = (
    (r"^(context|detail)5\.", r"\g<1>5.0."),
    *((rf"^context{i + 3}\.", f"backbone.context_branch_layers.{i}.") for i in range(3)),
    *((rf"^detail{i + 3}\.", f"backbone.spatial_branch_layers.{i}.") for i in range(3)),
    (r"^((?:backbone|stem)\..*)\.shortcut\.", r"\1.downsample."),
    (r"^down3\.0\.", "backbone.down_1.conv."),
    (r"^down3\.1\.", "backbone.down_1.bn."),
    (r"^down4\.0\.", "backbone.down_2.0.conv."),
    (r"^down4\.1\.", "backbone.down_2.0.bn."),
    (r"^down4\.3\.", "backbone.down_2.1.conv."),
    (r"^down4\.4\.", "backbone.down_2.1.bn."),
    (r"^dappm\.", "spp."),
    (r"^head\.5\.", "decode_head.conv_seg."),
    (r"^aux_head\.5\.", "decode_head.aux_cls_seg."),
    (r"^((?:aux_)?head)\.0\.", r"decode_head.\1.0.bn."),
    (r"^((?:aux_)?head)\.2\.", r"decode_head.\1.0.conv."),
    (r"^((?:aux_)?head)\.3\.", r"decode_head.\1.1."),
    *_RESIDUAL_MMSEGMENTATION,
)

BISENET_V2_COINCHEUNG: Names = (
    (r"^stage3\.", "segment.S3."),
    (r"^stage4\.", "segment.S4."),
    (r"^stage5\.", "segment.S5_4."),
    (r"\.gather\.", ".conv1."),
    (r"\.project\.", ".conv2."),
    (r"\.0\.expand\.0\.", ".0.dwconv1."),
    (r"\.0\.expand\.1\.", ".0.dwconv2."),
    (r"\.([123])\.expand\.0\.", r".\1.dwconv."),
    (r"^aggregation\.detail_down\.", "bga.left2."),
    (r"^aggregation\.detail\.", "bga.left1."),
    (r"^aggregation\.semantic_up\.", "bga.right1."),
    (r"^aggregation\.semantic\.", "bga.right2."),
    (r"^aggregation\.out\.", "bga.conv."),
    # the code names the layers of these convolutions, and numbers those of all others
    (r"^(detail|stem|context|head|heads)\.(.*)\.0\.weight$", r"\1.\2.conv.weight"),
    (r"^(detail|stem|context|head|heads)\.(.*)\.1\.(\w+)$", r"\1.\2.bn.\3"),
    (r"^(segment\..*\.conv1)\.0\.", r"\1.conv."),
    (r"^(segment\..*\.conv1)\.1\.", r"\1.bn."),
    *((rf"^detail\.{i}\.", f"detail.S{i + 1}.") for i in range(3)),
    (r"^stem\.", "segment.S1S2."),
    (r"^context\.pooled\.", "segment.S5_5.conv_gap."),
    (r"^context\.last\.", "segment.S5_5.conv_last."),
    (r"^context\.", "segment.S5_5."),
    (r"^head\.0\.", "head.conv."),
    (r"^head\.2\.", "head.conv_out.1."),
    (r"^heads\.(\w+)\.0\.", r"\1.conv."),
    (r"^heads\.(\w+)\.3\.", r"\1.conv_out.0.1."),
    (r"^heads\.(\w+)\.4\.", r"\1.conv_out.1."),
)
_SEMANTIC = "backbone.semantic.stage"
BISENET_V2_MMSEGMENTATION: Names = (
    (r"^aggregation\.detail\.2\.", "backbone.bga.detail_dwconv.0.pointwise_conv.conv."),
    (r"^aggregation\.semantic\.2\.", "backbone.bga.semantic_dwconv.0.pointwise_conv.conv."),
    (r"^head\.2\.", "decode_head.conv_seg."),
    *(
        (rf"^heads\.{n}\.3\.", f"auxiliary_head.{i}.conv_seg.")
        for i, n in enumerate(("aux2", "aux3", "aux4", "aux5_4"))
    ),
    (r"\.shortcut\.2\.", ".shortcut.0.pointwise_conv.conv."),
    (r"\.shortcut\.3\.", ".shortcut.0.pointwise_conv.bn."),
    (r"\.shortcut\.([01])\.(?=\w+$)", r".shortcut.0.depthwise_conv.\1."),
    (r"^context\.bn\.", _SEMANTIC + "4_CEBlock.gap.1."),
    (r"\.0\.weight$", ".conv.weight"),  # every other convolution is followed by its batch norm
    (r"^(?!backbone)(.*)\.1\.(\w+)$", r"\1.bn.\2"),
    (r"^detail\.", "backbone.detail.detail_branch."),
    (r"^stem\.conv\.", _SEMANTIC + "1.conv_first."),
    (r"^stem\.left\.", _SEMANTIC + "1.convs."),
    (r"^stem\.fuse\.", _SEMANTIC + "1.fuse_last."),
    (r"^stage3\.", _SEMANTIC + "2."),
    (r"^stage4\.", _SEMANTIC + "3."),
    (r"^stage5\.", _SEMANTIC + "4."),
    (r"\.gather\.", ".conv1."),
    (r"\.expand\.", ".dwconv."),
    (r"\.project\.", ".conv2.0."),
    (r"^context\.pooled\.", _SEMANTIC + "4_CEBlock.conv_gap."),
    (r"^context\.last\.", _SEMANTIC + "4_CEBlock.conv_last."),
    (r"^aggregation\.detail_down\.", "backbone.bga.detail_down.0."),
    (r"^aggregation\.detail\.", "backbone.bga.detail_dwconv.0.depthwise_conv."),
    (r"^aggregation\.semantic_up\.", "backbone.bga.semantic_conv.0."),
    (r"^aggregation\.semantic\.", "backbone.bga.semantic_dwconv.0.depthwise_conv."),
    (r"^aggregation\.out\.", "backbone.bga.conv."),
    (r"^head\.0\.", "decode_head.convs.0."),
    *(
        (rf"^heads\.{n}\.", f"auxiliary_head.{i}.convs.")
        for i, n in enumerate(("aux2", "aux3", "aux4", "aux5_4"))
    ),
)


def stdc_official(blocks: tuple[int, int, int]) -> Names:
    """`blocks` a stage, which the code numbers through all stages."""
    numbered, number = [], 2
    for stage, repeat in zip((3, 4, 5), blocks, strict=True):
        for index in range(repeat):
            theirs = f"cp.backbone.x{2**stage}.0.{number}."
            numbered.append((rf"^stage{stage}\.{index}\.", theirs))
            number += 1
    return (
        *numbered,
        (r"\.down\.", ".avd_layer."),
        (r"^(refine\d)\.gate\.0\.", r"\1.conv_atten."),
        (r"^(refine\d)\.gate\.1\.", r"\1.bn_atten."),
        (r"^(head|aux\d\d|detail)\.1\.", r"\1.conv_out."),
        (r"^(?!.*avd_layer)(.*)\.0\.weight$", r"\1.conv.weight"),
        (r"^(?!.*avd_layer)(.*)\.1\.(\w+)$", r"\1.bn.\2"),
        (r"\.convs\.", ".conv_list."),
        (r"^stem\.0\.", "cp.backbone.x2.0.0."),
        (r"^stem\.1\.", "cp.backbone.x4.0.1."),
        (r"^refine5\.", "cp.arm32."),
        (r"^refine4\.", "cp.arm16."),
        (r"^up5\.", "cp.conv_head32."),
        (r"^up4\.", "cp.conv_head16."),
        (r"^average\.", "cp.conv_avg."),
        (r"^fusion\.conv\.", "ffm.convblk."),
        (r"^fusion\.squeeze\.", "ffm.conv1."),
        (r"^fusion\.excite\.", "ffm.conv2."),
        (r"^head\.0\.", "conv_out.conv."),
        (r"^head\.", "conv_out."),
        (r"^aux(\d\d)\.0\.", r"conv_out\1.conv."),
        (r"^aux(\d\d)\.", r"conv_out\1."),
        (r"^detail\.0\.", "conv_out_sp8.conv."),
        (r"^detail\.", "conv_out_sp8."),
    )


STDC_MMSEGMENTATION: Names = (
    (r"^head\.1\.", "decode_head.conv_seg."),
    (r"\.0\.weight$", ".conv.weight"),  # every other convolution is followed by its batch norm
    (r"\.1\.(\w+)$", r".bn.\1"),
    (r"\.down\.", ".downsample."),
    (r"\.convs\.", ".layers."),
    (r"^stem\.", "backbone.backbone.stages."),
    *((rf"^stage{i}\.", f"backbone.backbone.stages.{i - 1}.") for i in (3, 4, 5)),
    *((rf"^refine{5 - i}\.conv\.", f"backbone.arms.{i}.conv_layer.") for i in (0, 1)),
    *((rf"^refine{5 - i}\.gate\.", f"backbone.arms.{i}.atten_conv_layer.1.") for i in (0, 1)),
    *((rf"^up{5 - i}\.", f"backbone.convs.{i}.") for i in (0, 1)),
    (r"^average\.", "backbone.conv_avg."),
    (r"^fusion\.conv\.", "backbone.ffm.conv0."),
    (r"^fusion\.squeeze\.", "backbone.ffm.attention.1.conv."),
    (r"^fusion\.excite\.", "backbone.ffm.attention.2.conv."),
    (r"^head\.0\.", "decode_head.convs.0."),
)
