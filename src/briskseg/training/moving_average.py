"""The weights' exponential moving average, which is validated and saved in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class MovingAverage:
    """The decay rises as (1 + n) / (10 + n) to `decay`, so that early averages forget the random
    start (the schedule of TensorFlow's ExponentialMovingAverage). Batch norm's statistics are
    averaged as the weights are; its step counters are the last ones.

    network: on the device where it will stay.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0  # steps in the average
        self._weights = dict(network.state_dict())  # the network's own tensors
        self._average = {name: t.clone() for name, t in self._weights.items()}
        # as lists, for one kernel over all of them: (average, network's)
        floats = [name for name, t in self._weights.items() if t.is_floating_point()]
        self._floats, self._counters = (
            ([self._average[name] for name in names], [self._weights[name] for name in names])
            for names in (floats, self._weights.keys() - floats)
        )

    @torch.no_grad()
    def update(self) -> None:
        """Count the weights after a step."""
        if self.count == 0:
            _copy(self._average, self._weights)
        else:
            weight = 1 - min(self.decay, (1 + self.count) / (10 + self.count))
            torch._foreach_lerp_(*self._floats, weight)
            torch._foreach_copy_(*self._counters)
        self.count += 1

    def restart(self) -> None:
        """The next weights are the average of one."""
        self.count = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While it lasts, the network has the averaged weights."""
        trained = {name: t.clone() for name, t in self._weights.items()}
        _copy(self._weights, self._average)
        try:
            yield
        finally:
            _copy(self._weights, trained)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "tensors": self._average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]
        _copy(self._average, state["tensors"])


@torch.no_grad()
def _copy(into: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> None:
    for name, tensor in into.items():
        tensor.copy_(new[name])
