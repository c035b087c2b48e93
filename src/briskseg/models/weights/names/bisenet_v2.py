"""BiSeNetV2: CoinCheung/BiSeNet's names, and MMSegmentation's."""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

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
