"""A .keras file that `briskseg export` wrote -> a weights file of ours, equal to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from briskseg.core.card import Card, save_weights
from briskseg.core.errors import RequestError, WeightsError
from briskseg.export.keras_file import read_keras
from briskseg.models import create_model
from briskseg.models.weights.comparison import COUNTER, differences, shapes_of
from briskseg.models.weights.convert import new_file


def convert_keras(path: Path, out: Path | None = None) -> tuple[Card, Path]:
    """Write the weights and the card in the .keras file `path` to `out`; return card and `out`.

    `out` is by default `path` with the suffix .safetensors; a file that is there already is not
    overwritten. Raises RequestError if there is no such file or `out` is there, WeightsError if it
    is damaged, has no card, or holds other tensors than the card's network has.
    """
    out = new_file(path, out)
    tensors, card = read_keras(path)
    network = card.network
    try:
        with torch.device("meta"):  # shapes without memory
            state = create_model(network.name, network.classes, **network.options).state_dict()
    except RequestError as error:
        raise WeightsError(
            f"{path}: its card names a network that cannot be built: {error}"
        ) from None
    counters = {name: np.zeros((), np.int64) for name in state if name.endswith(COUNTER)}
    tensors = counters | tensors
    mismatch = differences(shapes_of(state), {name: a.shape for name, a in tensors.items()})
    if mismatch:
        raise WeightsError(
            f"{path} is not the {network.name} with {network.classes} classes that its card names: "
            f"{mismatch}; export it again"
        )
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise WeightsError(
                f"{path}: '{name}' holds values that are not finite numbers; its training diverged"
            )
    save_weights(out, {name: tensors[name] for name in state}, card)
    return card, out
