"""Gradients of depthwise convolutions in bf16 on a CPU: torch's own, by faster ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from briskseg.training.depthwise_gradients import fast_depthwise_gradients

CPU = torch.device("cpu")


class SlowGradients(TorchDispatchMode):
    """Counts the gradients for which oneDNN has no fast kernel."""

    count = 0
    steps = 0  # gradients of depthwise convolutions in bf16, slow or not

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.ops.aten.convolution_backward.default:
            weight, stride, groups, (of_images, of_weight, _) = args[2], args[4], args[9], args[10]
            if groups > 1 and len(weight) == groups and weight.dtype == torch.bfloat16:
                self.steps += 1
                self.count += of_images and max(stride) > 1
                self.count += of_weight and max(weight.shape[2:]) > 3
        return function(*args, **(kwargs or {}))


def gradients(conv: nn.Conv2d, images: torch.Tensor) -> list[torch.Tensor]:
    """Of the sum of the squares of what comes out: of the images, then of the parameters."""
    images = images.clone().requires_grad_()
    conv.zero_grad()
    conv(images).float().square().sum().backward()
    return [x.grad for x in (images, *conv.parameters())]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("channels", "size", "kernel", "stride", "padding", "dilation"),
    [
        (32, (12, 16), 5, 1, 2, 1),
        (32, (12, 16), 3, 2, 1, 1),
        (48, (13, 9), 5, 2, 2, 1),
        (24, (11, 14), 7, 1, 3, 1),
        (5, (8, 8), 3, 2, 0, 1),
        (32, (12, 16), 5, 1, 4, 2),
        (32, (12, 15), 3, 2, 2, 2),
        (16, (9, 12), 3, 3, 1, 1),
        (16, (10, 7), (5, 3), (2, 1), (2, 1), 1),
        (16, (10, 12), 3, 2, (1, 2), 1),
    ],
)
def test_gradients_are_torchs_own(
    channels: int,
    size: tuple[int, int],
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: int,
    bias: bool,
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias)
    conv = conv.to(memory_format=torch.channels_last)
    images = torch.randn(2, channels, *size).contiguous(memory_format=torch.channels_last)
    exact = gradients(conv, images)
    with torch.autocast("cpu", torch.bfloat16), SlowGradients() as slow:
        with fast_depthwise_gradients(CPU, "bf16"):
            found = gradients(conv, images)
        assert [x.grad.stride() for x in conv.parameters()] == [
            x.stride() for x in conv.parameters()
        ]
        assert slow.count == 0
        gradients(conv, images)
        assert slow.count > 0  # what this test counts is what torch itself does
    for a, b in zip(exact, found, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert (a - b).abs().max() < 0.02 * a.abs().max()  # bf16 has 8 bits


@pytest.mark.parametrize("name", ["lite_seg", "fast_scnn", "lraspp_mobilenetv3"])
def test_a_run_in_bf16_takes_no_slow_gradient(name: str, streets: Path, tmp_path: Path, command):
    words = ("train", "demo", "--data", streets, "--out", tmp_path / "run", "--device", "cpu")
    sets = ("training.precision=bf16", "training.steps=1", "training.epochs=null")
    # what a teacher says is compared at a size that is found by running the student on "meta"
    more = (f"model.name={name}", "training.batch=4", "augment.size=[32, 32]")
    more += ("training.teacher=fast-scnn-camvid11",)
    with SlowGradients() as slow:
        done = command(*words, *(f"--set={each}" for each in (*sets, *more)))
    assert done.status == 0, done.err
    assert slow.steps  # it has trained in bf16
    assert slow.count == 0


@pytest.mark.parametrize(("device", "precision"), [("cpu", "float32"), ("meta", "bf16")])
def test_elsewhere_torchs_own_are_taken(device: str, precision: str) -> None:
    conv = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    with fast_depthwise_gradients(torch.device(device), precision):
        y = conv(torch.randn(1, 4, 8, 8))
    assert type(y.grad_fn).__name__ == "ConvolutionBackward0"
