"""The networks with published scores, as files that can be timed: trained weights are not needed,
since speed does not depend on what the weights are."""

from __future__ import annotations

from pathlib import Path

from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.labels import CITYSCAPES
from briskseg.models import MODELS, create_model


def write_untrained(folder: Path) -> dict[str, Path]:
    """By its name, a weights file NAME.safetensors with random weights for every network whose mIoU
    on Cityscapes val is published: its card has that score, and the size of images it holds for.

    Raises MissingExtraError without torch.
    """
    written = {}
    for name, entry in MODELS.items():
        if entry.published is None:
            continue
        network = create_model(name, len(CITYSCAPES.names))
        miou, size_hw = entry.published
        card = Card(
            network=NetworkCard(name=name, classes=network.classes, options=network.options),
            labels=LabelsCard.from_label_set(CITYSCAPES),
            input=InputCard(size=size_hw),
            scores={"val_miou": miou},
            source="random weights; the score is the published one",
        )
        written[name] = path = folder / f"{name}.safetensors"
        save_weights(path, {k: v.numpy() for k, v in network.state_dict().items()}, card)
    return written
