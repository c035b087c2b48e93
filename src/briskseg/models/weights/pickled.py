"""What torch.save wrote, read without running any code that the file names.

torch's own restricted reader restores tensors and plain values. Whatever else a file holds (a
trainer's settings, a history, a whole module) becomes a `StandIn`: a record of what it was made of,
which does nothing. So the tensors beside it, or in it, are still read.
"""

from __future__ import annotations

import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from briskseg.core.errors import WeightsError
from briskseg.core.files.contents import refuse_other

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
_MOST_NAMES = 300  # classes and functions that one file may name; a network names a few dozen
_MOST_DEPTH = 50  # modules in modules

_GLOBAL = re.compile(r"Unsupported (?:global|class)[: ]+(?:GLOBAL )?([\w.]+)")
_BLOCKED = re.compile(r"unsupported GLOBAL ([\w.]+) whose module")
_UNFILLED = re.compile(r"Can only (SETITEM|append|extend).*, but got <class '.*StandIn_(\d+)'>")
_CALLS = ("reduce for unrecognized function", "persistent_load of storage is allowed")


class StandIn:
    """In place of an object of a class that is not known here; state: what it was filled with."""

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        """Whatever the class is called with is not used."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_pickled(path: Path) -> Any:
    """What the file holds: tensors, plain values, and a StandIn for each object.

    Raises WeightsError where it is damaged or something else.
    """
    _refuse_other_files(path)
    known: dict[str, Any] = {}  # a class or function that the file names -> what it becomes here
    while True:
        try:
            allowed = [(there, name) for name, there in known.items()]
            with torch.serialization.safe_globals([*_NUMPY, *allowed]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # damage shows as any of a dozen types
            if len(known) >= _MOST_NAMES or not _learned(str(error), known):
                raise _unreadable(path, error) from error


def _learned(message: str, known: dict[str, Any]) -> bool:
    """Whether torch's message says what a stand-in is missing for, which `known` then has."""
    if unknown := _GLOBAL.search(message):
        name = unknown[1] if "." in unknown[1] else f"builtins.{unknown[1]}"
        if name in known:
            return False
        known[name] = type(f"StandIn_{len(known)}", (StandIn,), {})
        return True
    # a class derived from dict or list is filled as these are
    if unfilled := _UNFILLED.search(message):
        plain: type = OrderedDict if unfilled[1] == "SETITEM" else list
        name = list(known)[int(unfilled[2])]
        known[name] = type("Plain", (), {"__new__": lambda *_, **__: plain()})
        return True
    return False


def _unreadable(path: Path, error: Exception) -> WeightsError:
    if blocked := _BLOCKED.search(str(error)):
        return WeightsError(
            f"{path} calls '{blocked[1]}' while it is read, which a checkpoint has no use for; do "
            "not open it with anything: get the weights from a source that you trust"
        )
    if any(text in str(error) for text in _CALLS):
        return WeightsError(
            f"{path} holds objects that only running code from the file could restore, expected "
            "tensors and plain values; where you trust it, save its tensors alone in the program "
            "that wrote it: torch.save(net.state_dict(), 'weights.pth')"
        )
    return WeightsError(
        f"{path} is damaged or no PyTorch checkpoint ({type(error).__name__}); copy or download "
        "it again"
    )


def module_tensors(module: StandIn, prefix: str = "", depth: int = 0) -> dict[str, Tensor]:
    """What a whole torch.nn.Module's `state_dict()` would give; nothing of anything else."""
    state = module.state
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
        return {}
    found: dict[str, Tensor] = {}
    passing = state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, tensor in (state.get(kind) or {}).items():
            if isinstance(tensor, Tensor) and name not in passing:
                found[f"{prefix}{name}"] = tensor.detach()
    for name, inner in state["_modules"].items():
        if isinstance(inner, StandIn) and depth < _MOST_DEPTH:
            found |= module_tensors(inner, f"{prefix}{name}.", depth + 1)
    return found


def _refuse_other_files(path: Path) -> None:
    """Raise WeightsError for what is no checkpoint, and for an archive that unpacks to more than it
    is: torch.save compresses nothing, but torch.load inflates what another program compressed."""
    refuse_other(path, "a PyTorch checkpoint", WeightsError, expected=("zip",))
    try:
        if not zipfile.is_zipfile(path):  # raises, too, on some archives
            return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile's own error, or what its reading of damage ends in
        raise _unreadable(path, error) from None
    names = [member.filename for member in members]
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise WeightsError(
            f"{path} is a TorchScript archive, a program with its weights, expected a checkpoint; "
            "take the weights out of it: "
            f"torch.save(torch.jit.load({str(path)!r}).state_dict(), 'weights.pth')"
        )
    if not any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        some = ", ".join(names[:3])
        raise WeightsError(
            f"{path} is an archive without a checkpoint of torch.save ({some} ...), expected one; "
            "unpack it, and name the file of weights in it"
        )
    inflated = sum(member.file_size for member in members)
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise WeightsError(
            f"{path} is a compressed archive ({inflated} bytes unpacked), expected a checkpoint as "
            "torch.save writes it, which is not; where you trust it, write it again: "
            f"torch.save(torch.load({str(path)!r}, weights_only=True), 'weights.pth')"
        )
    if inflated > path.stat().st_size:
        raise WeightsError(
            f"{path} states {inflated} bytes of content in a file of {path.stat().st_size}; it is "
            "damaged: copy or download it again"
        )
