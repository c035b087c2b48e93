"""Reads the tensors of a file that another program wrote, running no code that it may hold."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from briskseg.core.card import CARD_KEY
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.limits import MAX_WEIGHTS_BYTES, check_size
from briskseg.core.files.safe_names import printable
from briskseg.models.weights.paddle_file import read_paddle

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
    """The tensors by name of a PyTorch checkpoint (.pth, .pt, .ckpt, .tar), a .safetensors file or
    PaddlePaddle's weights (.pdparams).

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
    check_size(path, MAX_WEIGHTS_BYTES, WeightsError)
    found: Any
    if path.suffix == ".pdparams":
        found = read_paddle(path)
    elif path.suffix == ".safetensors":
        found = _read_safetensors(path, ours)
    else:
        found = _read_pickle(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    # Only names that are text: to write out any other key can take forever, by how it is nested.
    tensors = _tensors_by_name(found) if isinstance(found, dict) else {}
    if not tensors:
        raise WeightsError(
            f"{path} holds {_description(found)}, expected tensors by name, or a dictionary with "
            "them under 'state_dict'; save them with torch.save(net.state_dict(), FILE)"
        )
    for name, tensor in tensors.items():
        _check_plain(name, tensor, path)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _tensors_by_name(found: dict[Any, Any]) -> dict[str, Tensor]:
    return {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}


def _check_plain(name: str, tensor: Tensor, path: Path) -> None:
    """Raise WeightsError for a sparse, quantized or absent tensor, or one of complex numbers."""
    is_plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not is_plain or tensor.is_quantized or tensor.is_nested or tensor.is_complex():
        raise WeightsError(
            f"{path}: '{printable(name[:100])}' is no plain tensor of numbers, expected only such; "
            "save the network's own: torch.save(net.state_dict(), FILE)"
        )


def _read_safetensors(path: Path, ours: bool) -> dict[str, Tensor]:
    from safetensors import safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except Exception as error:  # the library's own error, or any of torch's
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
    _refuse_bomb(path)
    try:
        with torch.serialization.safe_globals(_NUMPY):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage shows as any of a dozen types
        code = re.search(r"Unsupported (?:global|class)[: ]+(?:GLOBAL )?([\w.]+)", str(error))
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


def _refuse_bomb(path: Path) -> None:
    """torch.save compresses nothing, so no more comes out of its file than is in it; but torch.load
    inflates what another program compressed, to any size."""
    try:
        if not zipfile.is_zipfile(path):  # raises, too, on some archives
            return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile's own error, or what its reading of damage ends in
        raise WeightsError(
            f"{path} is damaged or no PyTorch checkpoint ({type(error).__name__}); copy or "
            "download it again"
        ) from None
    inflated = sum(member.file_size for member in members)
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise WeightsError(
            f"{path} is a compressed archive ({inflated} bytes unpacked), expected a checkpoint as "
            "torch.save writes it, which is not; if it holds one, unpack it first"
        )
    if inflated > path.stat().st_size:
        raise WeightsError(
            f"{path} states {inflated} bytes of content in a file of {path.stat().st_size}; it is "
            "damaged: copy or download it again"
        )


def _description(found: Any) -> str:
    if isinstance(found, dict):
        keys = [printable(key[:100]) for key in list(found)[:5] if isinstance(key, str)]
        return f"a dictionary without tensors (keys: {', '.join(keys) or 'none'})"
    return f"a {type(found).__name__}"
