"""Encoders pretrained on ImageNet, in the files that their authors published."""

from __future__ import annotations

import re

import pytest
import torch

from briskseg import create_model, load_published
from briskseg.core.errors import WeightsError
from briskseg.models.encoders.encoder_file import load_encoder

# By network: the fixture with its names, which of them are the encoder's, how the ImageNet file
# names these, and which of ours they are.
FILES = {
    "pidnet_s": ("pidnet_s_official", r"^(?!final_layer|seghead)", ("", ""), r"^(?!\w*head)"),
    "ddrnet_23_slim": (
        "ddrnet23_slim_official", r"^(?!final_layer|seghead)", ("", ""), r"^(?!\w*head)",
    ),
    "stdc1": ("stdc1_seg_official", r"^cp\.backbone\.features\.", (r"^cp\.backbone\.", ""), r"^st"),
    "pp_liteseg_t": ("pp_liteseg_t_paddle", r"^backbone\.", (r"^backbone\.", ""), r"^st"),
    "segformer_b0": ("segformer_b0_nvlabs", r"^backbone\.", (r"^backbone\.", ""), r"^stages"),
    "efficientvit_b0": ("efficientvit_seg_b0_official", r"^backbone\.", ("", ""), r"^st"),
    "lraspp_mobilenetv3": (
        "lraspp_mobilenetv3_torchvision", r"^backbone\.", (r"^backbone\.", "features."),
        "^backbone",
    ),
}  # fmt: skip


def classifier(fixture, kept: str, renamed: tuple[str, str]) -> dict[str, torch.Tensor]:
    """The file of the encoder as it was trained to classify, with a last layer."""
    weights = {k: v for k, v in fixture.weights().items() if re.search(kept, k)}
    names = {key: re.sub(*renamed, key) if renamed[0] else key for key in weights}
    return {names[k]: v for k, v in weights.items()} | {"head.fc.weight": torch.zeros(1000, 9)}


@pytest.mark.parametrize("name", FILES)
def test_a_network_begins_with_its_published_encoder(name, published, tmp_path):
    fixture, kept, renamed, ours = FILES[name]
    weights = classifier(published(fixture), kept, renamed)
    torch.save({"state_dict": weights, "epoch": 90}, tmp_path / "imagenet.pth")
    torch.save(published(fixture).weights(), tmp_path / "whole.pth")
    whole = load_published(tmp_path / "whole.pth").state_dict()
    net = create_model(name, 5)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    said = load_encoder(net, tmp_path / "imagenet.pth")
    for key, tensor in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        expected = whole[key] if re.search(ours, key) else before[key]
        assert torch.equal(tensor, expected), key
    number = re.search(r": (\d+) of its encoder's (\d+) tensors$", said)
    assert number[1] == number[2]


def test_of_pidnet_the_classifier_has_a_part_only(published, tmp_path):
    weights = classifier(published("pidnet_s_official"), r"^(conv1|layer)", ("", ""))
    torch.save(weights, tmp_path / "imagenet.pth")
    said = load_encoder(create_model("pidnet_s", 5), tmp_path / "imagenet.pth")
    number = re.search(r": (\d+) of its encoder's (\d+) tensors$", said)
    assert int(number[2]) / 2 < int(number[1]) < int(number[2])


@pytest.mark.parametrize("parts", [("detail", "segment"), ("detail", "segment", "bga")])
def test_bisenet_v2s_is_a_dictionary_of_the_networks_parts(parts, published, tmp_path):
    """CoinCheung's code hands each entry to the part of that name: BiSeNetV2.load_pretrain."""
    weights = published("bisenetv2_coincheung").weights()
    torch.save(weights, tmp_path / "whole.pth")
    whole = load_published(tmp_path / "whole.pth").state_dict()
    entries = {part: {} for part in parts}
    for key, tensor in weights.items():
        part, _, name = key.partition(".")
        entries.get(part, {})[name] = tensor
    torch.save(entries, tmp_path / "backbone_v2.pth")
    net = create_model("bisenet_v2", 5)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    said = load_encoder(net, tmp_path / "backbone_v2.pth")
    taken = ("detail.", "stem.", "stage", "context.", *(["aggregation."] if "bga" in parts else []))
    for key, tensor in net.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(tensor, (whole if key.startswith(taken) else before)[key]), key
    number = re.search(r": (\d+) of its encoder's (\d+) tensors$", said)
    assert (number[1] == number[2]) == ("bga" in parts)


def test_an_encoder_of_another_network_is_refused_and_changes_nothing(published, tmp_path):
    torch.save(
        classifier(published("segformer_b0_nvlabs"), r"^backbone\.", ("", "")), tmp_path / "mit.pth"
    )
    net = create_model("stdc1", 5)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r"is not the encoder of STDC1-Seg: .* are missing or of"
    ):
        load_encoder(net, tmp_path / "mit.pth")
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_a_network_of_ours_hands_on_its_encoder(tmp_path):
    from safetensors.torch import save_file

    trained, other = (create_model("efficientvit_b0", classes) for classes in (5, 3))
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    load_encoder(other, tmp_path / "model.safetensors")
    assert torch.equal(trained.stem[0][0].weight, other.stem[0][0].weight)
    assert not torch.equal(trained.middle.main[0][0].weight, other.middle.main[0][0].weight)
