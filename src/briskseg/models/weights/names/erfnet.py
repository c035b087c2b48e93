"""ERFNet: the authors' names are ours; MMSegmentation's."""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

# From the encoder in `erfnet` to the same layers in `erfnet_fcn`.
ERFNET_FCN_ENCODER: Names = (
    (r"^encoder\.initial_block\.", "encoder.0."),
    *((rf"^encoder\.layers\.{i}\.", f"encoder.{i + 1}.") for i in range(15)),
)
FCN_ERFNET_ENCODER: Names = (  # and back
    (r"^encoder\.0\.", "encoder.initial_block."),
    *((rf"^encoder\.{i + 1}\.", f"encoder.layers.{i}.") for i in range(15)),
)
ERFNET_CLASSIFIER: Names = ((r"^encoder\.", "features.encoder."),)  # of images, the authors'

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
