"""Reads the tensors of a file that another program wrote, running no code that it may hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from briskseg.core.card import CARD_KEY
from briskseg.core.errors import RequestError, WeightsError

# What checkpoints hold beside tensors that can do nothing but be a number or an array.
_NUMPY: list[Any] = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"},
    multiarray.scalar,
    (multiarray.scalar, "numpy.core.multiarray.scalar"),  # as NumPy 1 wrote it
    multiarray._reconstruct,
    (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
]


def read_tensors(path: Path, ours: bool = False) -> dict[str, Tensor]:
    """The tensors by name of a PyTorch checkpoint (.pth, .pt, .ckpt, .tar) or a .safetensors file.

    A checkpoint is a dictionary of tensors, or holds one under "state_dict"; the prefix "module."
    that nn.DataParallel gives every name is removed. A file of ours, which has a card, is taken
    only with `ours`. Raises RequestError if there is no such file or it has a card unasked for,
    WeightsError if it is damaged, holds no tensors, or holds objects that only running code could
    restore.
    """
    if not path.is_file():
        raise RequestError(f"{path} is not there or is no file, expected a weights file")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path} is empty, expected a weights file; copy or download it again")
    found = _read_safetensors(path, ours) if path.suffix == ".safetensors" else _read_pickle(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not any(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(
            f"{path} holds {_description(found)}, expected tensors by name, or a dictionary with "
            "them under 'state_dict'; save them with torch.save(net.state_dict(), FILE)"
        )
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _read_safetensors(path: Path, ours: bool) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is damaged or no safetensors file ({error}); copy or download it again"
        ) from None
    if CARD_KEY in metadata and not ours:
        raise RequestError(
            f"{path} has a card already, expected published weights; use it as it is: "
            f"briskseg.load('{path}')"
        )
    return tensors


def _read_pickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_NUMPY):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage shows as any of a dozen types
        code = re.search(
            r"Unsupported (?:global|class|operand)[: ]+(?:GLOBAL )?([\w.]+)", str(error)
        )
        if code:
            raise WeightsError(
                f"{path} holds an object of type '{code[1]}' beside its tensors, and restoring it "
                "would run code from the file; where you trust it, keep its tensors only: "
                f"torch.save(torch.load('{path}', weights_only=False)['state_dict'], 'weights.pth')"
            ) from None
        raise WeightsError(
            f"{path} is damaged or no PyTorch checkpoint ({type(error).__name__}); copy or "
            "download it again"
        ) from None


def _description(found: Any) -> str:
    if isinstance(found, dict):
        return (
            f"a dictionary without tensors (keys: {', '.join(map(str, list(found)[:5])) or 'none'})"
        )
    return f"a {type(found).__name__}"
