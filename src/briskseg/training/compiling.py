"""The network compiled for the device, where that works here; else as it is, said in a sentence."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from briskseg.core.errors import Interrupted

TRIAL = (2, 3, 64, 64)  # images on which compiling is tried

_log = logging.getLogger(__name__)


def compile_network(
    network: nn.Module, names: tuple[str, ...], device: torch.device
) -> dict[str, Callable[..., Any]]:
    """Compiled forms of these methods of a network, by name; none where compiling fails.

    A step's many small kernels are captured as a CUDA graph where the GPU allows it. Whether all of
    that works shows in a trial, forward and backward, which leaves the network as it was.

    Raises Interrupted or KeyboardInterrupt where that ends the trial, however torch wraps it.
    """
    mode = "reduce-overhead" if device.type == "cuda" else None
    kept = [buffer.clone() for buffer in network.buffers()]
    try:
        with warnings.catch_warnings():  # of torch's parts about each other
            warnings.simplefilter("ignore")
            forms = {
                name: torch.compile(getattr(network, name), mode=mode, dynamic=False)
                for name in names
            }
            for form in forms.values():
                _run(form, torch.zeros(TRIAL, device=device))
    except Exception as error:  # whatever a compiler, a driver or an operation has against it
        interrupt = _interrupt(error)
        if interrupt is not None:
            raise interrupt from None
        told = (str(error).strip() or "no reason given").splitlines()[0]
        _log.warning(
            "torch.compile does not work here (%s: %s); the network is trained uncompiled, which "
            "training.compile=false says without trying",
            type(error).__name__,
            told,
        )
        forms = {}
    finally:
        with torch.no_grad():
            for buffer, before in zip(network.buffers(), kept, strict=True):
                buffer.copy_(before)
        network.zero_grad()
    return forms


def _interrupt(error: BaseException) -> BaseException | None:
    """What asked the work to stop, if that is what this error comes from."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Interrupted | KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause


def _run(form: Callable[..., Any], images: Tensor) -> None:
    found = form(images.contiguous(memory_format=torch.channels_last))
    outputs = list(found.values()) if isinstance(found, dict) else [found]
    total = torch.stack([output.float().mean() for output in outputs]).sum()
    torch.autograd.backward(total)
