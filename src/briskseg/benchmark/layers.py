"""What a network computes and moves, counted from its layers as they run on no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from briskseg.core.card import NetworkCard
from briskseg.core.errors import needs

with needs("counting a network's operations", "train"):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

from briskseg.models import create_model


@dataclass(frozen=True)
class Work:
    """flop: floating-point operations of convolutions and matrix products, a multiplication with
    its addition (1 MAC) as 2; values: numbers that these layers take in and give, weights included.
    """

    flop: int
    values: int


def count_work(network: NetworkCard, size_hw: tuple[int, int]) -> Work:
    """What the network does for one image of `size_hw`. Batch norm, activations and resizing are
    not counted: they are a few percent, and are folded into the convolutions where speed matters.

    Raises RequestError for a network or option that is not known.
    """
    with torch.device("meta"):
        net = create_model(network.name, network.classes, **network.options).eval()
        images = torch.empty(1, 3, *size_hw)
    with torch.no_grad(), _Counter() as counter:  # inference mode shows layers that have no count
        net(images)
    return Work(counter.flop, counter.values)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up every operation that torch knows to count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flop = self.values = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=out)
            self.values += sum(x.numel() for x in (*args, out) if isinstance(x, torch.Tensor))
        return out
