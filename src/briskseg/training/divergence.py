"""A run that diverged, and the gentler settings with which it may go on.

A run is resumed with the recipe that it was begun with. One that became NaN would become NaN again,
so there, and only there, three keys may change.
"""

from __future__ import annotations

import json

import torch
from torch import nn

from briskseg.core.errors import TrainingError
from briskseg.core.files.atomic import write_whole
from briskseg.runs.run_folder import RunFolder

GENTLER = frozenset({"training.optimizer.lr", "training.clip", "training.precision"})


class Diverged(TrainingError):
    """The loss or the weights are not finite after this step."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


def mark(folder: RunFolder, error: Diverged) -> None:
    """Note in the run folder that its last session ended so."""
    write_whole(folder.diverged, json.dumps({"step": error.step, "found": str(error)}) + "\n")


def check_weights(network: nn.Module, step: int) -> None:
    """Raise Diverged where a finite loss left weights that are not: none such is saved."""
    floats = [(name, t) for name, t in network.state_dict().items() if t.is_floating_point()]
    finite = torch.stack([t.isfinite().all() for _, t in floats]).tolist()  # one wait for all
    for (name, _), is_finite in zip(floats, finite, strict=True):
        if not is_finite:
            raise Diverged(f"after step {step} the weights '{name}' are not finite", step)
