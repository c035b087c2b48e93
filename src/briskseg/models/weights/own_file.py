"""A network that one's own program trained -> a weights file of ours, as a run leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.errors import RequestError
from briskseg.core.labels import LabelSet
from briskseg.core.wording import counted
from briskseg.models.network import Network
from briskseg.models.weights.comparison import check_finite

RGB = tuple[float, float, float]


def save(
    network: Network,
    path: str | Path,
    names: Sequence[str],
    *,
    mean: RGB | None = None,
    std: RGB | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """See `briskseg.save`."""
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise RequestError(f"{path}: expected a file that ends in .safetensors")
    if not getattr(network, "name", ""):
        raise RequestError(
            f"the {type(network).__name__} has no name by which it could be built again; make it "
            "with briskseg.create_model"
        )
    if network.classes != len(names):
        raise RequestError(
            f"{counted(len(names), 'name')} for a network of {counted(network.classes, 'class')}; "
            "give each class's, in the order of its logits"
        )
    expects = network.expects or InputCard()
    if network.expects is None and (mean is None or std is None):
        raise RequestError(
            "mean and std are not known of a network that came out of no file; give those by which "
            "images were normalized, for example mean=(0, 0, 0), std=(1, 1, 1)"
        )
    tensors = network.state_dict()
    for name, tensor in tensors.items():
        check_finite(name, tensor, path)
    card = Card(
        network=NetworkCard(
            name=network.name, classes=network.classes, options=dict(network.options)
        ),
        labels=LabelsCard.from_label_set(LabelSet(names=tuple(names))),
        input=InputCard(size=size, mean=mean or expects.mean, std=std or expects.std),
        source="saved by briskseg.save",
    )
    save_weights(path, {name: t.detach().cpu().numpy() for name, t in tensors.items()}, card)
