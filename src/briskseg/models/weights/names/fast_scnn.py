"""Fast-SCNN: MMSegmentation's names, and Tramac/Fast-SCNN-pytorch's."""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

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
