"""STDC: the authors' names, and MMSegmentation's."""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names


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
