"""ERFNet's encoder from every file that has one, into `erfnet` and `erfnet_fcn`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.conftest import card_of

from briskseg import create_model, load_published
from briskseg.core.card import save_weights
from briskseg.core.eight_bits import packed
from briskseg.core.errors import RequestError, WeightsError
from briskseg.models.encoders.encoder_file import load_encoder


def encoder_of(weights):
    """The encoder's tensors among those of the authors' whole network."""
    return {
        key: tensor
        for key, tensor in weights.items()
        if key.startswith("encoder.") and not key.startswith("encoder.output_conv.")
    }


@pytest.fixture
def whole(published):
    """The authors' whole network, whose encoder every file of these tests has."""
    return published("erfnet_official").weights()


@pytest.fixture
def official(whole, tmp_path):
    """`erfnet_encoder_pretrained.pth.tar`, as PyTorch 0.2 saved the authors' classifier."""
    weights = {f"module.features.{k}": v for k, v in encoder_of(whole).items()}
    weights = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    weights |= {
        "module.classifier.linear.weight": torch.ones(1000, 128),
        "module.classifier.linear.bias": torch.ones(1000),
    }
    path = tmp_path / "erfnet_encoder_pretrained.pth.tar"
    return save(path, weights)


def save(path, weights):
    best = torch.tensor(50.0)
    torch.save({"epoch": 90, "arch": "erfnet", "state_dict": weights, "best_prec1": best}, path)
    return path


def ours(path, tensors, network):
    save_weights(
        path, {name: tensor.numpy() for name, tensor in tensors.items()}, card_of(network, 2)
    )
    return path


def pretrained(whole, tmp_path):
    tensors = encoder_of(whole) | {"classifier.weight": torch.zeros(10, 128)}
    return ours(tmp_path / "pretrained.safetensors", tensors, "erfnet")


def ours_whole(whole, tmp_path):
    return ours(tmp_path / "model.safetensors", whole, "erfnet")


def ours_fcn(whole, tmp_path):
    net = create_model("erfnet_fcn", 2)
    load_encoder(net, ours_whole(whole, tmp_path))
    return ours(tmp_path / "fcn.safetensors", net.state_dict(), "erfnet_fcn")


def authors_whole(whole, tmp_path):
    return save(tmp_path / "erfnet_pretrained.pth", {f"module.{k}": v for k, v in whole.items()})


@pytest.mark.parametrize("model", ["erfnet", "erfnet_fcn"])
@pytest.mark.parametrize("file", [pretrained, ours_whole, ours_fcn, authors_whole])
def test_the_encoder_of_every_file_of_erfnet_is_taken(file, model, whole, tmp_path):
    net = create_model(model, 4).eval()
    load_encoder(net, file(whole, tmp_path))
    assert features(net).equal(features(reference(whole)))


@pytest.mark.parametrize("model", ["erfnet", "erfnet_fcn"])
def test_the_authors_pretrained_encoder_is_taken(model, official, whole):
    net = create_model(model, 4).eval()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    whose = load_encoder(net, official)
    by = "ERFNet with a classifier of images, the authors' PyTorch code"
    assert whose == f"{by}: 226 of its encoder's 226 tensors"
    assert features(net).equal(features(reference(whole)))
    for key, tensor in net.state_dict().items():
        outside = not key.startswith("encoder.") or "output_conv" in key
        assert not outside or tensor.equal(before[key]), key


def test_the_encoder_of_mmsegmentation_is_taken(published, tmp_path):
    path = tmp_path / "iter_160000.pth"
    torch.save({"state_dict": published("erfnet_mmseg").weights()}, path)
    net = create_model("erfnet", 4).eval()
    assert load_encoder(net, path).startswith("ERFNet with an FCN head, MMSegmentation: 226 of")
    assert features(net).equal(features(load_published(path)))


def test_the_encoder_of_a_file_in_eight_bits_is_taken(whole, tmp_path):
    """As shipped weights are."""
    few = {
        name: (tensor * 1024).round().clamp(-127, 127) / 1024 if tensor.ndim == 4 else tensor
        for name, tensor in whole.items()
    }
    file = tmp_path / "model.safetensors"
    stored = packed({name: tensor.numpy() for name, tensor in few.items()})
    assert any(tensor.dtype == np.int8 for tensor in stored.values())
    save_weights(file, stored, card_of("erfnet", 2))
    net = create_model("erfnet", 4).eval()
    load_encoder(net, file)
    assert features(net).equal(features(reference(few)))


def reference(whole):
    net = create_model("erfnet", 19).eval()
    net.load_state_dict(whole)
    return net


def features(net):
    image = np.random.default_rng(0).random((1, 3, 32, 40), np.float32)
    with torch.no_grad():
        return net.encoder(torch.from_numpy(image))


def refused(path, error=WeightsError, model="erfnet"):
    """The message with which the file is refused; the network must be as it was."""
    net = create_model(model, 4)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    with pytest.raises(error) as caught:
        load_encoder(net, path)
    assert all(tensor.equal(before[key]) for key, tensor in net.state_dict().items())
    return str(caught.value)


def test_an_encoder_that_nearly_fits_is_refused_with_what_differs(whole, tmp_path):
    weights = {f"module.features.{k}": v for k, v in encoder_of(whole).items()}
    del weights["module.features.encoder.layers.3.conv1x3_2.bias"]
    weights["module.features.encoder.layers.0.conv.weight"] = torch.zeros(48, 16, 5, 5)
    path = save(tmp_path / "encoder.pth.tar", weights)
    assert refused(path) == (
        f"{path} is not the encoder of ERFNet: nearest is ERFNet with a classifier of images, the "
        "authors' PyTorch code, of whose 226 tensors 2 are missing or of another shape "
        "(features.encoder.layers.0.conv.weight, features.encoder.layers.3.conv1x3_2.bias ...); "
        "expected the encoder of one of these: ERFNet; ERFNet with an FCN head; ERFNet with an FCN "
        "head, MMSegmentation; ERFNet with a classifier of images, the authors' PyTorch code"
    )


def test_another_network_is_refused_with_what_has_an_encoder(tmp_path):
    path = ours(tmp_path / "fast.safetensors", create_model("fast_scnn", 2).state_dict(), "x")
    message = refused(path)
    assert message.startswith(f"{path} is not the encoder of ERFNet: ")
    assert "; expected the encoder of one of these: ERFNet; " in message


def test_values_that_are_not_finite_are_refused(whole, tmp_path):
    whole["encoder.layers.14.bn2.weight"][3] = math.inf
    path = authors_whole(whole, tmp_path)
    assert refused(path).startswith(f"{path}: 'encoder.layers.14.bn2.weight' holds values that are")


def test_a_network_without_a_published_encoder_is_a_wrong_request(official):
    assert refused(official, RequestError, "fast_scnn").startswith(
        f"fast_scnn takes no pretrained encoder from a file, found {official}; of the models, "
        "erfnet, erfnet_fcn, pidnet_s, "
    )


def test_a_file_that_is_not_there_is_a_wrong_request(tmp_path):
    message = refused(tmp_path / "none.pth", RequestError)
    assert message.startswith(f"{tmp_path / 'none.pth'} is not there or is no file")
