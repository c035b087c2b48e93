"""Where a run computes: the device, the precision, and its place among several processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch

from briskseg.core.errors import RequestError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # as Lightning names them


@dataclass(frozen=True)
class Devices:
    """Where a run computes: `device` as torch names it, or auto, and how many of them."""

    device: str = "auto"
    count: int = 1


@dataclass(frozen=True)
class Machine:
    """What a run computes with: Lightning's accelerator and precision, devices on this machine, and
    this process's place among all."""

    accelerator: str
    precision: Precision
    devices: int
    rank: int
    world: int

    @property
    def has_several_processes(self) -> bool:
        return self.devices > 1 or "TORCHELASTIC_RUN_ID" in os.environ

    @property
    def device(self) -> torch.device:
        """This process's own."""
        if self.accelerator == "cuda":
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device(self.accelerator)

    @property
    def prefers_matrix_gradients(self) -> bool:
        """Whether `convolutions.use_matrix_gradients` is faster here; measured for AVX2 alone."""
        plain = self.accelerator == "cpu" and self.precision == "32-true"
        return plain and torch.backends.cpu.get_cpu_capability() == "AVX2"

    @property
    def is_first(self) -> bool:
        """Of several processes, the one that writes the run folder."""
        return self.rank == 0 and int(os.environ.get("LOCAL_RANK", "0")) == 0

    def workers(self, asked: int | None) -> int:
        """Loading takes a few milliseconds an image: with two cores the step itself is better off
        with both; with more, one core is left to the step."""
        share = (os.cpu_count() or 1) // self.world
        own = 0 if share <= 2 else min(share - 1, 12)
        return own if asked is None else asked


def choose_machine(precision: str, devices: Devices) -> Machine:
    """The machine for a recipe's `training.precision`.

    auto takes bf16 where the processor computes in it (GPUs from Ampere on; CPUs with AVX-512 bf16
    or AMX), else fp16 on CUDA, else float32. Raises RequestError for a device that is not here.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = devices.device
    accelerator = device if device != "auto" else (found.type if found else "cpu")
    if accelerator not in {"cpu", found.type if found else "cpu"}:
        have = f"cpu, {found.type}" if found else "cpu"
        raise RequestError(f"there is no device '{accelerator}' here; this machine has: {have}")
    if accelerator == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = accelerator == "cpu" and _cpu_computes_bf16()
    if precision == "auto":
        precision = "bf16" if has_bf16 else "fp16" if accelerator == "cuda" else "float32"
    if precision == "fp16" and accelerator == "cpu":
        raise RequestError(
            "training.precision=fp16 needs a GPU, and this run is on the CPU; use auto, bf16 or "
            "float32"
        )
    names: dict[str, Precision] = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    return Machine(accelerator, names[precision], devices.count, *_place_in_group(devices))


def _cpu_computes_bf16() -> bool:
    """In hardware: emulated bf16 is slower than float32."""
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())


def _place_in_group(devices: Devices) -> tuple[int, int]:
    """(rank, processes) as Lightning's launchers, torchrun and SLURM tell it."""
    told = os.environ
    rank = told.get("RANK") or told.get("SLURM_PROCID") or told.get("LOCAL_RANK") or 0
    return int(rank), int(told.get("WORLD_SIZE") or told.get("SLURM_NTASKS") or devices.count)
