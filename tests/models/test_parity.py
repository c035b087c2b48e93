"""Every published network is the published network: the same logits from the same weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

import briskseg


class Network(NamedTuple):
    """What a fixture's file is recognized as."""

    name: str
    options: Mapping[str, str | bool | float] = MappingProxyType(
        {}
    )  # those that are not the default
    heads: Mapping[str, str] = MappingProxyType({})  # from the fixture's outputs to ours
    added: int = 0  # parameters that the published network lacks
    ignored: tuple[str, ...] = ()  # beginnings of names that are no layer's here
    enlarged: str = "bilinear"


PIDNET_HEADS = {"aux_coarse_logits": "aux", "boundary_coarse_logits": "boundary"}
BOOSTERS = {f"{name}_logits": name for name in ("aux2", "aux3", "aux4", "aux5_4")}
STDC_HEADS = {"aux16_logits": "aux16", "aux32_logits": "aux32", "detail_coarse_logits": "detail"}
STDC_BIASES = 3 * 19 + 1  # of the last convolutions
STDC_IGNORED = (
    *(f"cp.backbone.{part}." for part in ("features", "conv_last", "fc", "bn", "linear")),
    *(f"conv_out_sp{stride}." for stride in (2, 4, 16)),
)
PP_LITESEG_HEADS = {"aux1_coarse_logits": "aux1", "aux2_coarse_logits": "aux2"}
NETWORKS = {
    "erfnet_official": Network("erfnet", heads={"encoder_logits": "encoder"}),
    "erfnet_mmseg": Network("erfnet_fcn"),
    "fast_scnn_mmseg": Network("fast_scnn"),
    "fast_scnn_tramac": Network("fast_scnn", {"variant": "tramac"}, {"aux": "aux_0"}),
    "pidnet_s_official": Network("pidnet_s", heads=PIDNET_HEADS),
    "pidnet_s_official_gates": Network("pidnet_s", heads=PIDNET_HEADS),
    "pidnet_s_mmseg": Network("pidnet_s", {"variant": "mmsegmentation"}),
    "ddrnet23_slim_official": Network("ddrnet_23_slim", heads={"aux_coarse_logits": "aux"}),
    "ddrnet23_slim_mmseg": Network("ddrnet_23_slim", added=2 * 32),  # the stem's biases
    "bisenetv2_coincheung": Network("bisenet_v2", heads=BOOSTERS),
    "bisenetv2_mmseg": Network("bisenet_v2", {"variant": "mmsegmentation"}),
    "stdc1_seg_official": Network("stdc1", {}, STDC_HEADS, STDC_BIASES, STDC_IGNORED),
    "stdc2_seg_official": Network("stdc2", {}, STDC_HEADS, STDC_BIASES, STDC_IGNORED),
    "stdc1_mmseg": Network("stdc1", {"auxiliary": False}, ignored=("auxiliary_head.",)),
    "pp_liteseg_t_paddle": Network("pp_liteseg_t", {}, PP_LITESEG_HEADS, 19),  # a bias
    "segformer_b0_nvlabs": Network("segformer_b0", ignored=("decode_head.conv_seg.",)),
    "segformer_b0_mmseg": Network("segformer_b0", {"variant": "mmsegmentation"}),
    "segformer_b0_transformers": Network("segformer_b0", {"variant": "transformers"}),
    "segformer_b0_transformers5": Network("segformer_b0", {"variant": "transformers"}),
    "efficientvit_seg_b0_official": Network("efficientvit_b0", enlarged="bicubic"),
    "lraspp_mobilenetv3_torchvision": Network("lraspp_mobilenetv3"),
}
NO_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked", "._scale")


@pytest.mark.parametrize("name", NETWORKS)
def test_published_weights_give_the_published_outputs(published, name, tmp_path):
    expected, fixture = NETWORKS[name], published(name)
    torch.save(fixture.weights(), tmp_path / "weights.pth")
    net = briskseg.load_published(tmp_path / "weights.pth")
    with torch.device("meta"):
        usual = briskseg.create_model(expected.name, 19, **expected.options)
    assert (type(net), net.options) == (type(usual), usual.options)
    assert sum(p.numel() for p in net.parameters()) - expected.added == sum(
        math.prod(shape)
        for key, shape in fixture.shapes.items()
        if not key.startswith(expected.ignored) and not key.endswith(NO_PARAMETERS)
    )
    for number, case in enumerate(fixture.cases):
        images = fixture.images(number)
        with torch.no_grad():
            outputs = net.forward_train(images)
            coarse = net.forward_coarse(images)
        assert fixture.error(outputs["logits"], "logits", number) < 1e-4
        if "coarse_logits" in case["outputs"] and expected.enlarged == "bilinear":
            assert fixture.error(coarse, "coarse_logits", number) < 1e-4
        for theirs, ours in expected.heads.items():
            size_hw = case["outputs"][theirs]["shape"][-2:]
            output, corners = outputs[ours], net.align_corners
            if list(output.shape[-2:]) != size_hw:  # some codes enlarge their heads' logits
                output = F.interpolate(output, size_hw, mode="bilinear", align_corners=corners)
            assert fixture.error(output, theirs, number) < 1e-4


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
        ("erfnet_official", ("encoder.output_conv.",)),  # as trained from a pretrained encoder
        ("fast_scnn_mmseg", ("auxiliary_head.",)),
        ("fast_scnn_tramac", ("auxlayer.",)),
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
    with torch.no_grad():
        outputs = net.forward_train(fixture.images())
    assert fixture.error(outputs.pop("logits"), "logits") < 1e-4
    assert outputs == {}


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


@pytest.mark.parametrize("variant", ["nvlabs", "mmsegmentation", "transformers"])
def test_segformers_norms_have_the_eps_of_their_origin(variant):
    """A fixture cannot show it: its variances are near 1."""
    net = briskseg.create_model("segformer_b0", 3, variant=variant)
    block, embedding = net.stages[0].blocks[0].norm1.eps, net.stages[0].embed_norm.eps
    expected = {"nvlabs": (1e-6, 1e-5), "mmsegmentation": (1e-6, 1e-6), "transformers": (1e-5,) * 2}
    assert (block, embedding) == expected[variant]


@pytest.mark.parametrize(("variant", "after_relu"), [("official", True), ("mmsegmentation", False)])
def test_pidnets_heads_see_the_branches_after_relu_in_the_official_code_alone(variant, after_relu):
    torch.manual_seed(0)
    net, seen = briskseg.create_model("pidnet_s", 3, variant=variant), []
    for head in (net.p_head, net.d_head):
        head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    net.forward_train(torch.randn(2, 3, 64, 64))
    assert [bool((features >= 0).all()) for features in seen] == [after_relu, after_relu]
