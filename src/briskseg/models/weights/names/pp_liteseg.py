"""PP-LiteSeg: PaddleSeg's names."""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

# As `read_tensors` gives them, which writes Paddle's "_mean" as "running_mean".
PP_LITESEG: Names = (
    (r"^stem\.", "backbone.features."),
    *(
        (rf"^stage{stage}\.{i}\.", f"backbone.features.{2 * stage - 4 + i}.")
        for stage in (3, 4, 5)
        for i in (0, 1)
    ),
    (r"\.down\.", ".avd_layer."),
    (r"\.convs\.", ".conv_list."),
    (r"^(backbone\.(?!.*avd_layer).*)\.0\.(\w+)$", r"\1.conv.\2"),
    (r"^(backbone\.(?!.*avd_layer).*)\.1\.(\w+)$", r"\1.bn.\2"),
    (r"^context\.levels\.(\d)\.", r"ppseg_head.cm.stages.\1.1."),
    (r"^context\.out\.", "ppseg_head.cm.conv_out."),
    (r"^fusion([345])\.fine\.", r"fusion\1.conv_x."),
    (r"^fusion([345])\.out\.", r"fusion\1.conv_out."),
    (r"^fusion([345])\.attention\.", r"fusion\1.conv_xy_atten."),
    *((rf"^fusion{i + 3}\.", f"ppseg_head.arm_list.{i}.") for i in range(3)),
    *((rf"^{name}\.", f"seg_heads.{i}.") for i, name in enumerate(("head", "aux1", "aux2"))),
    (r"^(seg_heads\.\d)\.0\.", r"\1.conv."),
    (r"^(seg_heads\.\d)\.1\.", r"\1.conv_out."),
    (r"^((?:ppseg_head|seg_heads)\..*)\.0\.(\w+)$", r"\1._conv.\2"),
    (r"^((?:ppseg_head|seg_heads)\..*)\.1\.(\w+)$", r"\1._batch_norm.\2"),
)
