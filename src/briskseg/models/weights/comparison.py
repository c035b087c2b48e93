"""How the tensors of a file compare, by name and shape, with those that are expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from briskseg.core.card import NetworkCard
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.safe_names import printable
from briskseg.core.types import Array
from briskseg.core.wording import counted
from briskseg.models import Options, create_model
from briskseg.models.network import Network

Shapes = Mapping[str, tuple[int, ...]]

# Batch norm's, which nothing here reads: files from before PyTorch 0.4.1 lack them.
COUNTER = ".num_batches_tracked"


@dataclass(frozen=True)
class Differences:
    """In the names of the file's own layout; the counters of batch norm may be missing."""

    total: int  # tensors expected
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    reshaped: tuple[str, ...]  # "NAME (found), expected (...)"

    def __len__(self) -> int:
        return len(self.missing) + len(self.unknown) + len(self.reshaped)

    @property
    def are_of_another_network(self) -> bool:
        """Not a file that nearly fits: more than half of what is expected is not there."""
        return len(self.missing) + len(self.reshaped) > self.total / 2

    def __str__(self) -> str:
        parts = []
        for what, keys in (
            ("missing", self.missing),
            ("not of it", self.unknown),
            ("of another shape", self.reshaped),
        ):
            if keys:
                more = ", ..." if len(keys) > 3 else ""
                parts.append(f"{len(keys)} {what} ({first_names(keys)}{more})")
        return f"of its {self.total} tensors {', '.join(parts)}"


def first_names(names: Iterable[str]) -> str:
    """The first three, as a line can show them."""
    return ", ".join(printable(name[:200]) for name in islice(names, 3))


def differences(expected: Shapes, found: Shapes) -> Differences:
    """What `found` lacks, has besides, or has in another shape than `expected`."""
    return Differences(
        len(expected),
        tuple(key for key in expected if key not in found and not key.endswith(COUNTER)),
        tuple(key for key in found if key not in expected),
        tuple(
            f"{key} {found[key]}, expected {shape}"
            for key, shape in expected.items()
            if key in found and found[key] != shape
        ),
    )


def network_of(card: NetworkCard, found: Shapes, path: Path, again: str) -> Network:
    """The network that the card in `path` names, with fresh weights, where the file's tensors are
    its own; else WeightsError. again: how the file is made again."""
    try:
        network = fresh_network(card.name, card.classes, card.options)
    except RequestError as error:
        raise WeightsError(
            f"{path}: its card names a network that cannot be built: {error}"
        ) from None
    if mismatch := differences(shapes_of(network.state_dict()), found):
        raise WeightsError(
            f"{path} is not the {card.name} with {counted(card.classes, 'class')} that its card "
            f"names: {mismatch}; {again}"
        )
    return network


def fresh_network(name: str, classes: int, options: Options) -> Network:
    """As `create_model`, for weights out of a file: the random numbers of the process go on as if
    nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        return create_model(name, classes, **options)


def shapes_of(tensors: Mapping[str, Tensor | Array]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def length(shapes: Shapes, name: str) -> int:
    """How many values the tensor has along its first dimension; 0 if there is none."""
    return (shapes.get(name) or (0,))[0]


def check_finite(name: str, tensor: Tensor, path: Path) -> None:
    """Raises WeightsError, naming `path`, if any value is infinite or not a number."""
    if not bool(torch.isfinite(tensor.float()).all()):  # as the network holds them
        raise WeightsError(
            f"{path}: '{name}' holds values that are not finite numbers; the file is damaged "
            "or its training diverged: download it again or take an earlier checkpoint"
        )


def same_numbers(shape: tuple[int, ...], found: tuple[int, ...] | None) -> bool:
    """Whether one is a linear layer's weights, and the other those of a 1x1 convolution."""
    if found is None or len(shape) < 2 or len(found) < 2:
        return False
    return found[:2] == shape[:2] and set(found[2:] + shape[2:]) <= {1}
