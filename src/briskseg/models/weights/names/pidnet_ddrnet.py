"""PIDNet and DDRNet, whose codes share the stem and the residual blocks: the authors' names, and
MMSegmentation's.
"""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

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
