"""Where a run computes: the device, the precision, and the processes that share the work."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from briskseg.core.errors import RequestError
from briskseg.core.parallel import available_threads
from briskseg.training.processes import Processes


@dataclass(frozen=True)
class Machine:
    """What this process of a run computes with."""

    device: torch.device
    precision: str  # float32, bf16 or fp16
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
        """The loading processes: so many, or by the cores that this run may use."""
        if asked is not None:
            return asked
        share = available_threads() // self.processes.local_world
        # Loading takes a few milliseconds an image: with two cores the step itself is better off
        # with both; with more, one core is left to the step.
        return 0 if share <= 2 else min(share - 1, 12)


def choose_machine(precision: str, device: str, processes: Processes) -> Machine:
    """The machine for a recipe's `training.precision`; device: as torch names it, or auto.

    auto takes bf16 where the processor computes in it (GPUs from Ampere on; CPUs with AVX-512 bf16
    or AMX), else fp16 on CUDA, else float32. Raises RequestError for a device that is not here.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    here = ["cpu", found.type] if found else ["cpu"]
    kind = here[-1] if device == "auto" else device
    if kind not in here:
        raise RequestError(f"there is no device '{kind}' here; this machine has: {', '.join(here)}")
    if kind == "cuda":
        gpu = processes.gpu(torch.cuda.device_count())
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # in hardware: emulated bf16 is slower than float32
        in_hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        has_bf16 = kind == "cpu" and in_hardware
    if precision == "auto":
        precision = "bf16" if has_bf16 else "fp16" if kind == "cuda" else "float32"
    if precision == "fp16" and kind == "cpu":
        raise RequestError(
            "training.precision=fp16 needs a GPU, and this run is on the CPU; use auto, bf16 or "
            "float32"
        )
    if kind != "cuda":
        return Machine(torch.device(kind), precision, processes)
    torch.cuda.set_device(gpu)
    torch.backends.cudnn.benchmark = True  # sizes stay the same from step to step
    return Machine(torch.device(kind, gpu), precision, processes)
