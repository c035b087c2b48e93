"""The contract of a network, over every one in MODELS: adding a network needs no line here.

Its file alone defines it: every exported format follows from that, and is compared with it.

Only a network whose option changes its layers names that option in VARIANTS too.
"""

from __future__ import annotations

import copy
import functools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import card_of
from torch.utils.flop_counter import FlopCounterMode

import briskseg
from briskseg import create_model, list_models
from briskseg.core.card import save_weights
from briskseg.core.errors import ExportError, RequestError
from briskseg.export import export
from briskseg.export.keras_reader import convert_keras
from briskseg.models import MODELS

CLASSES = 5
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in MODELS),
    ("erfnet", {"auxiliary": False}),
    ("fast_scnn", {"variant": "tramac"}),
    ("fast_scnn", {"auxiliary": False}),
    ("bisenet_v2", {"variant": "mmsegmentation"}),
    ("bisenet_v2", {"auxiliary": False}),
    ("stdc1", {"auxiliary": False}),
    ("ddrnet_23_slim", {"auxiliary": False}),
    ("pidnet_s", {"variant": "mmsegmentation"}),
    ("pidnet_s", {"auxiliary": False}),
    ("pp_liteseg_t", {"auxiliary": False}),
    ("segformer_b0", {"variant": "mmsegmentation"}),
    ("lite_seg", {"encoder": "lite2", "auxiliary": False}),
]
every_network = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=["-".join([n, *map(str, o.values())]) for n, o in VARIANTS]
)


def network(name: str, options: dict[str, Any]) -> Any:
    """A network with the weights of a seed; its batch norms have seen images, as after training."""
    return copy.deepcopy(_network(name, tuple(options.items())))


@functools.cache
def _network(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = create_model(name, CLASSES, **dict(options))
        with torch.no_grad():
            net.train()(images(4, 40, 56))
    return net.eval()


def images(n: int, h: int, w: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(n + h + w).random((n, 3, h, w), np.float32))


@every_network
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 2), (33, 47), (40, 72)])
def test_logits_have_the_size_of_the_images(name, options, size):
    with torch.no_grad():
        logits = network(name, options)(images(2, *size))
    assert logits.shape == (2, CLASSES, *size)
    assert torch.isfinite(logits).all()


@every_network
def test_a_class_bias_moves_the_logits_of_its_class_alone(name, options):
    net, image = network(name, options), images(1, 40, 56)
    with torch.no_grad():
        before = net(image)
        net.class_bias[1] += 0.5
        moved = net(image) - before
    assert torch.allclose(moved[:, 1], torch.tensor(0.5), atol=1e-4)
    assert not moved[:, [0, *range(2, CLASSES)]].any()


@every_network
def test_training_gives_what_the_network_declares_at_a_size_that_is_a_multiple_of_nothing(
    name, options
):
    net = network(name, options).train()
    outputs = net.forward_train(images(2, 37, 51))
    assert outputs["logits"].shape == (2, CLASSES, 37, 51)
    assert [*outputs] == [*dict.fromkeys(output.name for output in net.outputs)]
    assert [output.name for output in net.outputs if output.loss == "main"] == ["logits"]
    binary = {output.name for output in net.outputs if output.target != "labels"}
    for name, output in outputs.items():
        assert output.shape[:2] == (2, 1 if name in binary else CLASSES)


@every_network
def test_every_parameter_receives_a_gradient(name, options):
    net = network(name, options).train()
    sum(
        logits.square().sum() for logits in net.forward_train(images(2, 48, 64)).values()
    ).backward()
    without = [key for key, p in net.named_parameters() if p.grad is None]
    # A bias before a batch norm has a gradient of zero; no convolution has.
    zero = [key for key, p in net.named_parameters() if p.ndim > 1 and not p.grad.any()]
    assert (without, zero) == ([], [])


@every_network
def test_training_and_inference_share_one_definition(name, options):
    net, batch = network(name, options), images(2, 48, 64)
    with torch.no_grad():
        assert torch.equal(net.forward_train(batch)["logits"], net(batch))


@every_network
def test_images_of_a_batch_do_not_see_each_other(name, options):
    net, batch = network(name, options), images(3, 48, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(batch)[1:2], net(batch[1:2]), rtol=1e-4, atol=1e-4)


@every_network
def test_a_card_can_build_the_same_network_again(name, options):
    net = network(name, options)
    again = create_model(name, net.classes, **net.options)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (net, again)]
    assert shapes[0] == shapes[1]
    assert again.options == net.options
    assert all(isinstance(value, bool | int | float | str) for value in net.options.values())


@every_network
def test_channels_last_gives_the_same_and_is_kept_in_every_layer(name, options):
    net, batch = network(name, options), images(2, 64, 96)
    with torch.no_grad():
        expected = net(batch)
    net.to(memory_format=torch.channels_last)
    converted = []

    def look(module, _inputs, output):
        # a transformer's positions (N,h*w,C) are in that order anyway
        has_no_order = output.ndim != 4 or output.shape[-2:] == (1, 1)
        if not (has_no_order or output.is_contiguous(memory_format=torch.channels_last)):
            converted.append(module)

    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(look)
    with torch.no_grad():
        logits = net(batch.to(memory_format=torch.channels_last))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert converted == []


@every_network
def test_autocast_to_bfloat16_stays_near_float32(name, options):
    net, batch = network(name, options), images(2, 33, 47)
    with torch.no_grad():
        expected = net(batch)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(batch)
    error = (logits.float() - expected).square().mean().sqrt() / expected.std()
    assert error < 0.05  # bfloat16 has 8 bits, each layer rounds once


# One network of each file: others in it differ in depth alone, and an export takes its time.
EXPORTED = {entry.network.partition(":")[0]: name for name, entry in reversed(MODELS.items())}


@pytest.fixture(scope="module", params=sorted(EXPORTED.values()))
def weights(request, tmp_path_factory):
    """NAME.safetensors; its batch norms have seen images, or rounding would grow from layer to
    layer. Images are taken as they are."""
    file = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    net = network(request.param, {})
    card = card_of(request.param, CLASSES, net.options)
    save_weights(file, {name: t.numpy() for name, t in net.state_dict().items()}, card)
    return file


def compare(weights, exported, backend, sizes):
    """An exported file gives the network's labels and logits."""
    expected, found = briskseg.load(weights, "torch"), briskseg.load(exported, backend)
    for size in sizes:
        image = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
        logits = expected.logits(image)
        np.testing.assert_allclose(found.logits(image), logits, atol=2e-4 * logits.std())
        best = np.take_along_axis(logits, found(image)[None].astype(np.int64), axis=0)[0]
        assert (best >= logits.max(axis=0) - 1e-3 * logits.std()).all()


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize(("to", "backend"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_an_exported_file_of_any_size_gives_the_same(weights, to, backend):
    pytest.importorskip(to)
    compare(weights, export(weights, to).out, backend, [(64, 96), (37, 51), (8, 3)])


NO_KERAS = ("segformer_b0", "efficientvit_b0")  # attention


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_gives_the_same_and_its_file_comes_back(weights, tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if weights.stem in NO_KERAS:
        with pytest.raises(ExportError, match=r"for which there is no layer of Keras here"):
            export(weights, "keras", tmp_path / "net.keras", (37, 51))
        return
    done = export(weights, "keras", tmp_path / "net.keras", (37, 51))  # compares their logits
    assert done.agreement.difference < 1e-4
    back = convert_keras(done.out)[1]
    assert back.read_bytes() == weights.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_the_table_states_parameters_and_operations(name):
    with torch.device("meta"):
        net, image = create_model(name, 19).eval(), torch.empty(1, 3, 512, 1024)
    with FlopCounterMode(display=False) as counter:
        net(image)
    assert sum(p.numel() for p in net.parameters()) == MODELS[name].parameters
    assert round(counter.get_total_flops() / 1e9, 2) == MODELS[name].gflop


def test_the_names_are_listed_without_loading_torch():
    code = "import sys, briskseg; print(briskseg.list_models()); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(list_models()) == str(list(MODELS))


@pytest.mark.parametrize(
    ("name", "classes", "options", "message"),
    [
        ("fastscnn", 5, {}, "unknown model 'fastscnn'; did you mean 'fast_scnn'? choices: "),
        ("erfnet", 0, {}, "classes must be a whole number from 1 to 255, not 0"),
        ("erfnet", 256, {}, "classes must be a whole number from 1 to 255, not 256"),
        ("erfnet", "19", {}, "classes must be a whole number from 1 to 255, not '19'"),
        (
            "erfnet",
            5,
            {"dropout": 0.1},
            "unknown option 'dropout' of erfnet; did you mean 'dropout_",
        ),
        (
            "erfnet",
            5,
            {"dropout_64": "no"},
            "option 'dropout_64' of erfnet is 'no', expected a float",
        ),
        (
            "erfnet",
            5,
            {"dropout_64": 1.5},
            "options of erfnet: dropout probability has to be between",
        ),
        (
            "fast_scnn",
            5,
            {"variant": "tramak"},
            "unknown variant 'tramak'; did you mean 'tramac'? ",
        ),
    ],
)
def test_an_impossible_request_is_one_sentence(name, classes, options, message):
    with pytest.raises(RequestError) as caught:
        create_model(name, classes, **options)
    assert str(caught.value).startswith(message)
