"""The network compiled for the device, where that works here; else as it is, said in a sentence."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from briskseg.core.errors import Interrupted

# Compiling takes one to several minutes for each size of images, and saves some milliseconds a
# step: at 10 ms, 20,000 steps win back three minutes.
LEAST_STEPS = 20_000

_log = logging.getLogger(__name__)


def pays(asked: bool | None, device: torch.device, steps: int) -> bool:
    """Whether a run of so many steps is trained compiled: as the recipe says (`training.compile`),
    else on CUDA where it is long enough to win back the time that compiling takes."""
    return asked if asked is not None else device.type == "cuda" and steps >= LEAST_STEPS


def compile_network(
    network: nn.Module,
    names: Sequence[str],
    shape: tuple[int, ...],
    device: torch.device,
    autocast: AbstractContextManager[Any],
) -> dict[str, Callable[..., Any]]:
    """Compiled versions of these methods of a network, by name, ready for images of this shape
    (N,3,H,W); none where compiling fails.

    A step's many small kernels are captured as a CUDA graph where the GPU allows it. Whether all of
    that works shows in a trial as in a step, forward and backward, which leaves the network as it
    was. Raises Interrupted or KeyboardInterrupt where a signal comes meanwhile.
    """
    mode = "reduce-overhead" if device.type == "cuda" else None
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        with warnings.catch_warnings():  # of torch's parts about each other
            warnings.simplefilter("ignore")
            compiled: dict[str, Callable[..., Any]] = {
                name: torch.compile(getattr(network, name), mode=mode, dynamic=False)
                for name in names
            }
            for method in compiled.values():
                images = torch.zeros(shape, device=device)
                with autocast:
                    found = method(images.contiguous(memory_format=torch.channels_last))
                outputs = list(found.values()) if isinstance(found, dict) else [found]
                total = torch.stack([output.float().mean() for output in outputs]).sum()
                torch.autograd.backward(total)
    except Exception as error:  # whatever a compiler, a driver or an operation has against it
        if (interrupt := _interrupt_in(error)) is not None:
            raise interrupt from None
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        _log.warning(
            "torch.compile does not work here (%s: %s); the network is trained uncompiled, which "
            "training.compile=false says without trying",
            type(error).__name__,
            reason,
        )
        compiled = {}
    finally:
        with torch.no_grad():
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
        network.zero_grad()
    return compiled


def _interrupt_in(error: BaseException | None) -> Interrupted | KeyboardInterrupt | None:
    """The interrupt that the compiler has wrapped in an error of its own."""
    while error is not None and not isinstance(error, Interrupted | KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error
