"""PIDNet-S, DDRNet-23-slim, BiSeNetV2 and STDC are the published networks.

The fixtures are beside the repository; without them these tests are skipped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

import briskseg


class Network(NamedTuple):
    """What a fixture's file is recognized as, and its training heads by the fixture's names."""

    options: dict[str, str | bool]
    heads: dict[str, str]
    zero: int = 0  # parameters that the published network lacks
    ignored: tuple[str, ...] = ()  # beginnings of names that are no layer's here


PIDNET_HEADS = {"aux_coarse_logits": "aux", "boundary_coarse_logits": "boundary"}
BOOSTERS = {f"{name}_logits": name for name in ("aux2", "aux3", "aux4", "aux5_4")}
STDC_HEADS = {"aux16_logits": "aux16", "aux32_logits": "aux32", "detail_coarse_logits": "detail"}
STDC_IGNORED = (
    *(f"cp.backbone.{part}." for part in ("features", "conv_last", "fc", "bn", "linear")),
    *(f"conv_out_sp{stride}." for stride in (2, 4, 16)),
)
NETWORKS = {
    "pidnet_s_official": Network({"variant": "official", "auxiliary": True}, PIDNET_HEADS),
    "pidnet_s_official_gates": Network({"variant": "official", "auxiliary": True}, PIDNET_HEADS),
    "pidnet_s_mmseg": Network({"variant": "mmsegmentation", "auxiliary": True}, {}),
    "ddrnet23_slim_official": Network({"auxiliary": True}, {"aux_coarse_logits": "aux"}),
    "ddrnet23_slim_mmseg": Network({"auxiliary": True}, {}, zero=2 * 32),
    "bisenetv2_coincheung": Network({"variant": "coincheung", "auxiliary": True}, BOOSTERS),
    "bisenetv2_mmseg": Network({"variant": "mmsegmentation", "auxiliary": True}, {}),
    "stdc1_seg_official": Network({"auxiliary": True}, STDC_HEADS, 3 * 19 + 1, STDC_IGNORED),
    "stdc2_seg_official": Network({"auxiliary": True}, STDC_HEADS, 3 * 19 + 1, STDC_IGNORED),
    "stdc1_mmseg": Network({"auxiliary": False}, {}, ignored=("auxiliary_head.",)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_weights_give_the_published_outputs(published, name, tmp_path):
    expected = NETWORKS[name]
    torch.save(published(name).weights(), tmp_path / "weights.pth")
    net = briskseg.load_published(tmp_path / "weights.pth")
    assert net.options == expected.options
    assert sum(p.numel() for p in net.parameters()) - expected.zero == sum(
        math.prod(shape)
        for key, shape in published(name).shapes.items()
        if not key.startswith(expected.ignored)
        and not key.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )
    for case in (0, 1):
        fixture = published(name, case)
        with torch.no_grad():
            assert fixture.error(net(fixture.images()), "logits") < 1e-4
            assert fixture.error(net.forward_coarse(fixture.images()), "coarse_logits") < 1e-4
            outputs = net.forward_train(fixture.images())
        for theirs, ours in expected.heads.items():
            size_hw = fixture.case["outputs"][theirs]["shape"][-2:]
            output = outputs[ours]
            if list(output.shape[-2:]) != size_hw:  # some codes enlarge their heads' logits
                output = F.interpolate(
                    output, size_hw, mode="bilinear", align_corners=net.align_corners
                )
            assert fixture.error(output, theirs) < 1e-4


@pytest.mark.parametrize("name", ["pidnet_s_official", "ddrnet23_slim_official"])
def test_the_authors_checkpoints_hold_the_loss_and_the_network_in_one_module(
    published, name, tmp_path
):
    fixture = published(name)
    weights = {f"model.{key}": value for key, value in fixture.weights().items()}
    torch.save(weights | {"loss.criterion.weight": torch.ones(19)}, tmp_path / "weights.pth")
    net = briskseg.load_published(tmp_path / "weights.pth")
    with torch.no_grad():
        assert fixture.error(net(fixture.images()), "logits") < 1e-4


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("pidnet_s_official", ("seghead_",)),
        ("bisenetv2_mmseg", ("auxiliary_head.",)),
        ("stdc1_seg_official", ("conv_out16.", "conv_out32.", "conv_out_sp")),
    ],
)
def test_training_heads_may_be_missing(published, name, heads, tmp_path):
    fixture = published(name)
    weights = {k: v for k, v in fixture.weights().items() if not k.startswith(heads)}
    torch.save(weights, tmp_path / "weights.pth")
    net = briskseg.load_published(tmp_path / "weights.pth")
    assert net.options["auxiliary"] is False
    with torch.no_grad():
        assert fixture.error(net(fixture.images()), "logits") < 1e-4


def test_the_sign_of_inplace_abns_scale_means_nothing(published, tmp_path):
    fixture = published("stdc1_seg_official")
    weights = fixture.weights()
    for key in list(weights):
        counted = key.replace(".weight", ".num_batches_tracked") in weights
        if key.replace(".weight", ".running_mean") in weights and not counted:
            weights[key] = -weights[key]
    torch.save(weights, tmp_path / "weights.pth")
    with torch.no_grad():
        logits = briskseg.load_published(tmp_path / "weights.pth")(fixture.images())
    assert fixture.error(logits, "logits") < 1e-4
