"""The contract of a network, over every one in MODELS: adding a network needs no line here.

What its exported files compute is compared with it in test_every_export.py.

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
from torch.utils.flop_counter import FlopCounterMode

from briskseg import create_model, list_models
from briskseg.core.errors import RequestError
from briskseg.models import MODELS
from briskseg.training.losses import OF_BORDERS

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


def test_the_number_of_classes_may_be_numpys():
    assert create_model("erfnet", np.int64(3)).classes == 3


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
    binary = {output.name for output in net.outputs if output.loss in OF_BORDERS}
    for name, output in outputs.items():
        assert output.shape[:2] == (2, 1 if name in binary else CLASSES)


@every_network
@pytest.mark.parametrize("size", [(1, 1), (40, 56)])
def test_it_trains_on_a_single_image_too(name, options, size):
    net = network(name, options).train()
    for logits in net.forward_train(images(1, *size)).values():
        logits.sum().backward(retain_graph=True)
        assert torch.isfinite(logits).all()
    assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())


@every_network
def test_every_parameter_receives_a_gradient(name, options):
    net = network(name, options).train()
    torch.manual_seed(0)  # dropped paths have none
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
        (
            "segformer_b0",
            2,
            {"drop_path": 1.5},
            "options of segformer_b0: drop_path is 1.5, expected",
        ),
        (
            "erfnet",
            2,
            {"dropout_64": float("nan")},
            "option 'dropout_64' of erfnet is nan, expected",
        ),
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
