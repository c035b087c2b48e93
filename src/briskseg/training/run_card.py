"""What a run's weights say of themselves, and what their val mIoU was before val was trained on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from briskseg import __version__
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, read_card
from briskseg.core.errors import BriskError
from briskseg.data import Dataset
from briskseg.recipe import Recipe
from briskseg.runtime.model_files import find_weights


def make_card(recipe: Recipe, dataset: Dataset, options: dict[str, Any]) -> Card:
    """What the weights of this run are."""
    begun_with, teacher = recipe.model.weights or recipe.model.encoder, recipe.training.teacher
    return Card(
        network=NetworkCard(
            name=recipe.model.name, classes=len(dataset.labels.names), options=options
        ),
        labels=LabelsCard.from_label_set(dataset.labels),
        input=InputCard(size=recipe.data.size, mean=recipe.data.mean, std=recipe.data.std),
        training={
            "recipe": recipe.name,
            **({"begun_with": Path(begun_with).name} if begun_with else {}),
            **({"teacher": Path(teacher.file).name} if teacher else {}),
            "data": dataset.kind,
            "train_splits": list(recipe.data.train_splits),
            "train_images": len(dataset.pairs("train")),
            "val_images": len(dataset.pairs("val")),
            "stages": max(1, len(recipe.training.stages)),
            "epochs": recipe.training.epochs,  # of each stage, as steps
            "steps": recipe.training.steps,
            "seed": recipe.training.seed,
            "briskseg": __version__,
            "torch": torch.__version__,
        },
        source=f"trained by briskseg from the recipe '{recipe.name}'",
    )


def score_before(recipe: Recipe, dataset: Dataset) -> dict[str, float | None]:
    """Of a run that trains on val too: `val_miou_before`, what the weights that it begins with, or
    those that these began with, scored there before val was trained on; nothing where that is not
    known, or was on other data or classes, and of any other run."""
    if recipe.model.weights is None or "val" not in recipe.data.train_splits:
        return {}
    with suppress(BriskError):  # a run that goes on has them in its checkpoint
        card = read_card(find_weights(Path(recipe.model.weights)))
        for name in ("val_miou_before", "val_miou"):
            if name in card.scores and is_of(card, dataset):
                return {"val_miou_before": card.scores[name]}
    return {}


def is_of(card: Card, dataset: Dataset) -> bool:
    """Whether the weights were trained on this kind of data, with these classes."""
    return card.training.get("data") == dataset.kind and card.labels.names == dataset.labels.names
