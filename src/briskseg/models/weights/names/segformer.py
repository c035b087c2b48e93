"""SegFormer: the names of the authors, of MMSegmentation and of transformers.

Some keep several of our tensors in one: "#0/2" is the first half of it along its first dimension.
"""

from __future__ import annotations

from briskseg.models.weights.published_layout import Names

_STAGES = range(4)

SEGFORMER_NVLABS: Names = (
    *(
        (rf"^stages\.{i}\.{ours}\.", f"backbone.{theirs}.")
        for i in _STAGES
        for ours, theirs in (
            ("embed", f"patch_embed{i + 1}.proj"),
            ("embed_norm", f"patch_embed{i + 1}.norm"),
            ("blocks", f"block{i + 1}"),
            ("norm", f"norm{i + 1}"),
        )
    ),
    (r"\.attention\.query\.", ".attn.q."),
    (r"\.attention\.key\.(\w+)$", r".attn.kv.\1#0/2"),
    (r"\.attention\.value\.(\w+)$", r".attn.kv.\1#1/2"),
    (r"\.attention\.project\.", ".attn.proj."),
    (r"\.attention\.reduce\.", ".attn.sr."),
    (r"\.attention\.reduce_norm\.", ".attn.norm."),
    (r"\.mlp\.expand\.", ".mlp.fc1."),
    (r"\.mlp\.depthwise\.", ".mlp.dwconv.dwconv."),
    (r"\.mlp\.project\.", ".mlp.fc2."),
    *((rf"^head\.levels\.{i}\.", f"decode_head.linear_c{i + 1}.proj.") for i in _STAGES),
    (r"^head\.fuse\.0\.", "decode_head.linear_fuse.conv."),
    (r"^head\.fuse\.1\.", "decode_head.linear_fuse.bn."),
    (r"^head\.classifier\.", "decode_head.linear_pred."),
)

SEGFORMER_MMSEGMENTATION: Names = (
    (r"^stages\.(\d)\.embed\.", r"backbone.layers.\1.0.projection."),
    (r"^stages\.(\d)\.embed_norm\.", r"backbone.layers.\1.0.norm."),
    (r"^stages\.(\d)\.blocks\.", r"backbone.layers.\1.1."),
    (r"^stages\.(\d)\.norm\.", r"backbone.layers.\1.2."),
    (r"\.attention\.query\.(\w+)$", r".attn.attn.in_proj_\1#0/3"),
    (r"\.attention\.key\.(\w+)$", r".attn.attn.in_proj_\1#1/3"),
    (r"\.attention\.value\.(\w+)$", r".attn.attn.in_proj_\1#2/3"),
    (r"\.attention\.project\.", ".attn.attn.out_proj."),
    (r"\.attention\.reduce\.", ".attn.sr."),
    (r"\.attention\.reduce_norm\.", ".attn.norm."),
    (r"\.mlp\.expand\.", ".ffn.layers.0."),
    (r"\.mlp\.depthwise\.", ".ffn.layers.1."),
    (r"\.mlp\.project\.", ".ffn.layers.4."),
    (r"^head\.levels\.(\d)\.", r"decode_head.convs.\1."),
    (r"^head\.fuse\.", "decode_head.fusion_conv."),
    (r"^(decode_head\..*)\.0\.(\w+)$", r"\1.conv.\2"),
    (r"^(decode_head\..*)\.1\.(\w+)$", r"\1.bn.\2"),
    (r"^head\.classifier\.", "decode_head.conv_seg."),
)

_TRANSFORMERS_HEAD: Names = (
    (r"^head\.fuse\.0\.", "decode_head.linear_fuse."),
    (r"^head\.fuse\.1\.", "decode_head.batch_norm."),
    (r"^head\.classifier\.", "decode_head.classifier."),
    (r"\.mlp\.depthwise\.", ".mlp.dwconv.dwconv."),
)

# What published files have, whichever version wrote them.
SEGFORMER_TRANSFORMERS: Names = (
    *_TRANSFORMERS_HEAD,
    (r"^stages\.(\d)\.embed\.", r"segformer.encoder.patch_embeddings.\1.proj."),
    (r"^stages\.(\d)\.embed_norm\.", r"segformer.encoder.patch_embeddings.\1.layer_norm."),
    (r"^stages\.(\d)\.blocks\.", r"segformer.encoder.block.\1."),
    (r"^stages\.(\d)\.norm\.", r"segformer.encoder.layer_norm.\1."),
    (r"\.norm([12])\.", r".layer_norm_\1."),
    (r"\.attention\.project\.", ".attention.output.dense."),
    (r"\.attention\.reduce\.", ".attention.self.sr."),
    (r"\.attention\.reduce_norm\.", ".attention.self.layer_norm."),
    (r"\.attention\.(query|key|value)\.", r".attention.self.\1."),
    (r"\.mlp\.expand\.", ".mlp.dense1."),
    (r"\.mlp\.project\.", ".mlp.dense2."),
    (r"^head\.levels\.(\d)\.", r"decode_head.linear_c.\1.proj."),
)

# What version 5's state_dict() gives.
SEGFORMER_TRANSFORMERS5: Names = (
    *_TRANSFORMERS_HEAD,
    (r"^stages\.(\d)\.embed\.", r"segformer.stages.\1.patch_embeddings.proj."),
    (r"^stages\.(\d)\.embed_norm\.", r"segformer.stages.\1.patch_embeddings.layer_norm."),
    (r"^stages\.(\d)\.blocks\.", r"segformer.stages.\1.blocks."),
    (r"^stages\.(\d)\.norm\.", r"segformer.stages.\1.layer_norm."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.project\.", ".attention.o_proj."),
    (r"\.attention\.reduce\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.reduce_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.mlp\.expand\.", ".mlp.fc1."),
    (r"\.mlp\.project\.", ".mlp.fc2."),
    (r"^head\.levels\.(\d)\.", r"decode_head.linear_projections.\1.proj."),
)
