"""A network that one's own program trained -> a weights file of ours, as a run leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.errors import RequestError
from briskseg.core.labels import LabelSet
from briskseg.core.wording import counted
from briskseg.models.network import Network
from briskseg.models.weights.comparison import network_of, shapes_of


def weights_of(network: torch.nn.Module) -> dict[str, Any]:
    """The network's tensors as numpy arrays by their names, copied; what torch computes in fewer
    bits than numpy has is float32."""
    tensors = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    return {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()
        for name, tensor in tensors.items()
    }


def save(
    network: Network,
    path: Path,
    names: Sequence[str] | LabelSet,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    size: tuple[int, int] | None,
) -> None:
    """See `briskseg.save`."""
    if path.suffix.lower() != ".safetensors":
        raise RequestError(f"{path}: expected a file that ends in .safetensors")
    if not isinstance(network, Network) or not network.name:
        raise RequestError(
            f"the network is a {type(network).__name__}, expected one that briskseg.create_model "
            "made; of a compiled or a parallel one save its _orig_mod or module"
        )
    labels, expects = _labels(network, names), _input(network, mean, std, size)
    infinite = [name for name, t in network.state_dict().items() if not torch.isfinite(t).all()]
    if infinite:
        raise RequestError(f"'{infinite[0]}' holds values that are not finite; train it anew")
    card = Card(
        network=NetworkCard(name=network.name, classes=network.classes, options=network.options),
        labels=labels,
        input=expects,
        source="saved by briskseg.save",
    )
    tensors = weights_of(network)
    with torch.device("meta"):  # a network whose layers were changed could not be loaded
        network_of(card.network, shapes_of(tensors), path, "save it as briskseg.create_model does")
    save_weights(path, tensors, card)


def _labels(network: Network, names: Sequence[str] | LabelSet) -> LabelsCard:
    colors = names.colors if isinstance(names, LabelSet) else ()
    names = names.names if isinstance(names, LabelSet) else names
    names = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)
    if not all(isinstance(name, str) for name in names) or len(names) != network.classes:
        raise RequestError(
            f"names are {', '.join(map(str, names))}, expected {network.classes} texts: each "
            f"class's, in the order of the logits of this network of "
            f"{counted(network.classes, 'class')}"
        )
    return LabelsCard.from_label_set(LabelSet(names, colors))


def _input(
    network: Network,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    size: tuple[int, int] | None,
) -> InputCard:
    known = network.expects
    if known is not None:
        mean = known.mean if mean is None else mean
        std = known.std if std is None else std
        size = known.size if size is None else size
    if mean is None or std is None:
        raise RequestError(
            "mean and std are not known of a network that came out of no file; give those of the "
            "(image / 255 - mean) / std by which images were normalized in training"
        )
    try:
        height_width = None if size is None else (int(size[0]), int(size[1]))
        return InputCard(size=height_width, mean=_three(mean), std=_three(std))
    except (TypeError, ValueError, IndexError) as error:
        raise RequestError(
            f"mean={mean}, std={std}, size={size}: expected three numbers from 0 to 1 each, of "
            "(image / 255 - mean) / std, std above 0, and (height, width) in pixels or None"
        ) from error


def _three(numbers: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, numbers)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 1:
        raise ValueError(numbers)
    return red, green, blue
