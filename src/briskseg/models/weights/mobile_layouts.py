"""How published codes name the parameters of PP-LiteSeg, EfficientViT and LR-ASPP."""

from __future__ import annotations

from dataclasses import replace

from briskseg.models.weights.layouts import Layout, Names

# As `read_tensors` gives them, which writes Paddle's "_mean" as "running_mean".
_PP_LITESEG: Names = (
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

_EFFICIENTVIT: Names = (
    (r"^stem\.0\.", "backbone.input_stem.op_list.0."),
    (r"^stem\.1\.main\.0\.", "backbone.input_stem.op_list.1.main.depth_conv."),
    (r"^stem\.1\.main\.1\.", "backbone.input_stem.op_list.1.main.point_conv."),
    *((rf"^stage{i + 1}\.", f"backbone.stages.{i}.op_list.") for i in range(4)),
    (r"(stages\.\d\.op_list\.0)\.", r"\1.main."),
    (r"(stages\.[23]\.op_list\.[12])\.0\.", r"\1.context_module."),
    (r"(stages\.[23]\.op_list\.[12])\.1\.", r"\1.local_module."),
    (r"\.qkv\.", ".qkv.conv."),
    (r"\.around\.", ".aggreg.0."),
    (r"\.project\.", ".proj."),
    (r"^inputs\.([01])\.", r"head.input_ops.\1.op_list.0."),
    (r"^inputs\.2\.", "head.input_ops.2."),
    (r"^middle\.", "head.middle.op_list.0."),
    (r"^classifier\.0\.", "head.output_ops.0.op_list.0."),
    (r"^classifier\.1\.", "head.output_ops.0.op_list.1.conv."),
    (r"\.main\.0\.(?=\d\.\w+$)", ".main.inverted_conv."),
    (r"\.main\.1\.(?=\d\.\w+$)", ".main.depth_conv."),
    (r"\.main\.2\.(?=\d\.\w+$)", ".main.point_conv."),
    (r"(?<!aggreg\.0)\.0\.(\w+)$", r".conv.\1"),
    (r"(?<!aggreg\.0)\.1\.(\w+)$", r".norm.\1"),
)

_PP_LITESEG_T = Layout(
    "PP-LiteSeg-T, PaddleSeg",
    "pp_liteseg_t",
    {},
    names=_PP_LITESEG,
    last="seg_heads.0.conv_out.weight",
    ignored=r"\._scale$",  # 1, which no training changes
    zero=r"^head\.1\.bias$",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

MOBILE_LAYOUTS = {
    "pp_liteseg_t_paddle": _PP_LITESEG_T,
    "pp_liteseg_t_paddle_without_heads": replace(
        _PP_LITESEG_T,
        title=f"{_PP_LITESEG_T.title}, without auxiliary heads",
        options={"auxiliary": False},
    ),
    "efficientvit_b0_official": Layout(
        "EfficientViT-B0, the authors' code",
        "efficientvit_b0",
        {},
        names=_EFFICIENTVIT,
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
