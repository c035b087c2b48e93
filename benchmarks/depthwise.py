"""A training step's depthwise convolutions in bf16 on one core: torch's gradients against ours.

    python benchmarks/depthwise.py [NETWORK ...] [--rounds N]

First single convolutions of LiteSeg's encoder, batches of 8, at the sizes that images of 360x480
have there; then whole steps (forward, loss, backward) of networks. Medians of milliseconds; the two
ways take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg import create_model
from briskseg.training.depthwise_gradients import fast_depthwise_gradients

CPU, BATCH, SIZE = torch.device("cpu"), 8, (360, 480)
# channels, size, kernel, stride
CONVOLUTIONS = [
    (96, (192, 240), 3, 2), (144, (96, 120), 5, 2), (240, (48, 60), 5, 1),
    (672, (24, 30), 5, 1), (1152, (12, 15), 5, 1),
]  # fmt: skip


def take_turns(step: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Milliseconds of the step with torch's gradients, and with ours."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for is_ours, taken in enumerate(times):
            ours = fast_depthwise_gradients(CPU, "bf16") if is_ours else contextlib.nullcontext()
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16), ours:
                step()
            if number:  # the first one warms up
                taken.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[0]), statistics.median(times[1])


def convolution(channels: int, size_hw: tuple[int, int], kernel: int, stride: int):
    conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    conv = conv.to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, channels, *size_hw, dtype=torch.bfloat16)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()

    def step() -> None:
        y: Tensor = conv(images)
        y.backward(torch.ones_like(y))

    return step


def network(name: str):
    net = create_model(name, 11).train().to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, *SIZE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 11, (BATCH, *SIZE))

    def step() -> None:
        net.zero_grad()
        F.cross_entropy(net(images).float(), labels).backward()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["lite_seg", "fast_scnn"])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = [
        (f"{c} channels, {h}x{w}, {k}x{k}, stride {stride}", convolution(c, (h, w), k, stride))
        for c, (h, w), k, stride in CONVOLUTIONS
    ]
    cases += [(f"{name}, a step of {BATCH} images", network(name)) for name in given.networks]
    print(f"{'':44} {'torch':>9} {'ours':>9}  ratio")
    for what, step in cases:
        theirs, ours = take_turns(step, given.rounds)
        print(f"{what:44} {theirs:6.0f} ms {ours:6.0f} ms  {theirs / ours:.1f}x", flush=True)


if __name__ == "__main__":
    main()
