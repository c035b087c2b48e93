"""Reads PaddlePaddle's weights (.pdparams): a pickle of NumPy arrays by name, of which none of its
code is run.

A pickle is a program; this one may do nothing but make plain values and arrays. Each name that it
may call is bound to a stand-in of ours here, so not even NumPy's own code gets its values.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from briskseg.core.errors import WeightsError
from briskseg.core.files.safe_names import printable
from briskseg.core.types import Array

_RENAMED = (("._mean", ".running_mean"), ("._variance", ".running_var"))  # batch norm's


def read_paddle(path: Path) -> dict[str, Tensor]:
    """The tensors by name, batch norm's statistics under torch's names.

    Raises WeightsError if the file is damaged or would run code.
    """
    try:
        # from memory: a file would be asked for as much as it says that it has
        found = _Reader(io.BytesIO(path.read_bytes())).load()
    except _CodeError as error:
        raise WeightsError(
            f"{path} would run '{printable(str(error)[:100])}' when it is read, expected arrays by "
            "name and nothing else; do not trust it"
        ) from None
    except Exception as error:  # damage shows as any of a dozen types
        raise WeightsError(
            f"{path} is damaged or no PaddlePaddle weights ({type(error).__name__}); copy or "
            "download it again"
        ) from None
    if not isinstance(found, dict):
        return {}
    return {
        _renamed(name): torch.from_numpy(value.array)
        for name, value in found.items()
        if isinstance(name, str) and isinstance(value, _Array) and value.array is not None
    }


def _renamed(name: str) -> str:
    for theirs, ours in _RENAMED:
        if name.endswith(theirs):
            return name.removesuffix(theirs) + ours
    return name


class _CodeError(Exception):
    """The file names something that is not to be called."""


class _DType:
    """Stands for numpy.dtype: numbers of a fixed size, little-endian."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"}:
            raise ValueError(code)
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in "<|=":
            raise ValueError("big-endian numbers")


class _Array:
    """Stands for numpy.ndarray: takes its state as values, and copies the bytes that are there."""

    array: Array | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, data = state
        values = np.frombuffer(data, np.dtype(f"<{dtype.code}"))
        # copied: torch wants memory that may be written to
        self.array = values.reshape(shape, order="F" if by_columns else "C").copy(order="C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()  # of the size that its state says, not that the call asks for


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _CodeError(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _latin1,  # how protocol 2 keeps bytes
}


# The reader in Python: the one in C keeps what it may be asked for again in a list as long as the
# file says, so a few bytes could fill the memory.
class _Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise _CodeError(f"{module}.{name}")
        return _NAMES[module, name]
