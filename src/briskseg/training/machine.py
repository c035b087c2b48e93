"""Where a run computes: the device, the precision, and the processes that share the work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch

from briskseg.core.errors import RequestError
from briskseg.training.processes import Processes

Precision = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True)
class Devices:
    """Where a run computes: `device` as torch names it, or auto, and how many of them here."""

    device: str = "auto"
    count: int = 1


@dataclass(frozen=True)
class Machine:
    """What this process of a run computes with."""

    device: torch.device
    precision: Precision
    processes: Processes

    @property
    def is_first(self) -> bool:
        """Of several processes, the one that writes the run folder."""
        return self.processes.is_first

    def autocast(self, enabled: bool = True) -> torch.autocast:
        """The context in which the network computes; not enabled: float32."""
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        enabled = enabled and self.precision != "float32"
        return torch.autocast(self.device.type, dtype, enabled=enabled)

    def workers(self, asked: int | None) -> int:
        """Loading takes a few milliseconds an image: with two cores the step itself is better off
        with both; with more, one core is left to the step."""
        share = (os.cpu_count() or 1) // self.processes.local_world
        own = 0 if share <= 2 else min(share - 1, 12)
        return own if asked is None else asked


def choose_machine(precision: str, devices: Devices, processes: Processes) -> Machine:
    """The machine for a recipe's `training.precision`.

    auto takes bf16 where the processor computes in it (GPUs from Ampere on; CPUs with AVX-512 bf16
    or AMX), else fp16 on CUDA, else float32. Raises RequestError for a device that is not here.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind = devices.device if devices.device != "auto" else (found.type if found else "cpu")
    if kind not in {"cpu", found.type if found else "cpu"}:
        have = f"cpu, {found.type}" if found else "cpu"
        raise RequestError(f"there is no device '{kind}' here; this machine has: {have}")
    if kind == "cuda":
        here = torch.cuda.device_count()
        if processes.local_world > here:
            raise RequestError(
                f"{processes.local_world} processes on this machine need a GPU each, and it has "
                f"{here}; set --devices {here}"
            )
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = kind == "cpu" and _cpu_computes_bf16()
    if precision == "auto":
        precision = "bf16" if has_bf16 else "fp16" if kind == "cuda" else "float32"
    if precision == "fp16" and kind == "cpu":
        raise RequestError(
            "training.precision=fp16 needs a GPU, and this run is on the CPU; use auto, bf16 or "
            "float32"
        )
    device = torch.device(kind)
    if kind == "cuda":
        device = torch.device(kind, processes.local_rank)
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # sizes stay the same from step to step
    names: dict[str, Precision] = {"float32": "float32", "bf16": "bf16", "fp16": "fp16"}
    return Machine(device, names[precision], processes)


def _cpu_computes_bf16() -> bool:
    """In hardware: emulated bf16 is slower than float32."""
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
