"""EfficientViT: the authors' names."""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

EFFICIENTVIT: Names = (
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
