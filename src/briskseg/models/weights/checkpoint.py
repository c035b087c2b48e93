"""Reads the tensors of a file that another program wrote, running no code that it may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from briskseg.core.card import CARD_KEY, load_weights, read_metadata
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.limits import MAX_WEIGHTS_BYTES, check_size
from briskseg.core.files.safe_names import printable
from briskseg.core.wording import counted
from briskseg.models.weights.paddle_file import read_paddle
from briskseg.models.weights.pickled import StandIn, module_tensors, read_pickled

T = TypeVar("T")

# Under which a checkpoint that holds several sets of tensors has the network's own.
_USUAL = "state_dict"
_MOST_DEPTH = 3  # dictionaries in dictionaries
_MOST_PARTS = 8  # of a prefix; each is tried
# What training modules hold beside the network: torch's AveragedModel how many it is the mean of,
# PIDNet's and DDRNet's code its loss.
_BESIDE = re.compile(r"n_averaged$|(sem_)?loss\.")


def read_tensors(path: Path, ours: bool = False, parts: Sequence[str] = ()) -> dict[str, Tensor]:
    """The tensors by name of a PyTorch checkpoint (.pth, .pt, .ckpt, .tar), a .safetensors file or
    PaddlePaddle's weights (.pdparams).

    A checkpoint is a dictionary of tensors, or a whole module, or holds one: under "state_dict", or
    as the only one. The prefix that wrappers give every name stays (`unprefixed`). A file of
    ours, which has a card, is taken only with `ours`. A dictionary with at least the keys `parts`,
    each of which holds the tensors of a part of the network, is taken too: the key then comes
    before their names.

    Raises RequestError if there is no such file or it has a card unasked for, WeightsError if it is
    damaged, something else, or holds no tensors or several sets of them.
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
        found = read_pickled(path)
    sets = _sets_of_tensors(found)
    if not sets:
        raise WeightsError(
            f"{path} holds {_description(found)}, expected tensors by name, or a dictionary with "
            "them under 'state_dict'; save them with torch.save(net.state_dict(), FILE)"
        )
    if parts and all((part,) in sets for part in parts):
        named = {".".join(key): tensors for key, tensors in sets.items()}
        sets = {(): {f"{key}.{n}": t for key, tensors in named.items() for n, t in tensors.items()}}
    # what has no matrix is of the training: a scaler, a schedule, a score, a generator's state
    sets = {key: of for key, of in sets.items() if any(t.ndim > 1 for t in of.values())} or sets
    if len(sets) > 1:
        keys = sorted(sets, key=lambda key: not key)  # the file's own tensors last
        listed = ", ".join(
            f"'{printable('.'.join(key)[:100]) or 'the file itself'}' "
            f"({counted(len(sets[key]), 'tensor')})"
            for key in keys
        )
        raise WeightsError(
            f"{path} holds several sets of tensors: {listed}, expected one; keep the network's, as "
            f"with torch.save({{'state_dict': torch.load({str(path)!r}, weights_only=True)"
            f"{''.join(f'[{part!r}]' for part in keys[0])}}}, 'weights.pth')"
        )
    (tensors,) = sets.values()
    for name, tensor in tensors.items():
        _check_plain(name, tensor, path)
    return tensors


def unprefixed(tensors: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """The tensors, or whatever has their names, with fewer and fewer of what all names begin with:
    by the prefix that is left out, "", "module.", "module.model." ...

    nn.DataParallel, torch.compile, Lightning and others put such before every name of the network,
    whose own names may begin alike too, so who knows these names chooses.
    """
    prefixes = [""]
    named = [name for name in tensors if not _BESIDE.search(name)]
    for parts in zip(*(name.split(".", _MOST_PARTS)[:-1] for name in named), strict=False):
        if len(set(parts)) > 1:
            break
        prefixes.append(f"{prefixes[-1]}{parts[0]}.")
    if len(prefixes) == 1:
        return {"": dict(tensors)}
    return {prefix: {n.removeprefix(prefix): tensors[n] for n in named} for prefix in prefixes}


def _sets_of_tensors(found: Any, depth: int = 0) -> dict[tuple[str, ...], dict[str, Tensor]]:
    """The dictionaries of tensors in what a file holds, by the keys that lead there; (): itself."""
    if isinstance(found, StandIn):
        tensors = module_tensors(found)
        return {(): tensors} if tensors else {}
    # Only names that are text: to write out any other key can take forever, by how it is nested.
    if not isinstance(found, dict) or depth > _MOST_DEPTH:
        return {}
    if isinstance(found.get(_USUAL), dict) and (
        usual := _sets_of_tensors(found[_USUAL], depth + 1)
    ):
        return usual
    tensors = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
    sets: dict[tuple[str, ...], dict[str, Tensor]] = {(): tensors} if tensors else {}
    for key, inner in found.items():
        if isinstance(key, str):
            for below, inside in _sets_of_tensors(inner, depth + 1).items():
                sets[key, *below] = inside
    return sets


def _check_plain(name: str, tensor: Tensor, path: Path) -> None:
    """Raise WeightsError for a sparse, quantized or absent tensor, or one of complex numbers, and
    for a matrix of bytes, as which rounded weights are kept."""
    is_plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    is_odd = tensor.is_quantized or tensor.is_nested or tensor.is_complex()
    if is_plain and not is_odd and tensor.element_size() == 1 and tensor.ndim > 1:
        raise WeightsError(
            f"{path}: '{printable(name[:100])}' is of {tensor.dtype}, as rounded weights are, "
            "expected numbers of 16 bits or more; take the file that it was rounded from"
        )
    if not is_plain or is_odd:
        raise WeightsError(
            f"{path}: '{printable(name[:100])}' is no plain tensor of numbers, expected only such; "
            "save the network's own: torch.save(net.state_dict(), FILE)"
        )


def _read_safetensors(path: Path, ours: bool) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    if CARD_KEY in read_metadata(path):
        if ours:
            return {name: torch.from_numpy(array) for name, array in load_weights(path)[0].items()}
        raise RequestError(
            f"{path} has a card already, expected published weights; use it as it is: "
            f"briskseg.load({str(path)!r})"
        )
    try:
        return load_file(path)
    except Exception as error:  # the library's own error, or any of torch's
        raise WeightsError(
            f"{path} is damaged or no safetensors file ({error}); copy or download it again"
        ) from None


def _description(found: Any) -> str:
    if isinstance(found, dict):
        keys = [printable(key[:100]) for key in list(found)[:5] if isinstance(key, str)]
        return f"a dictionary without tensors (keys: {', '.join(keys) or 'none'})"
    return f"a {type(found).__name__}"
