"""What validations leave in the run folder: the best weights with their card, and the film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from briskseg import __version__
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.files.atomic import written_whole
from briskseg.core.images import write_png
from briskseg.core.labels import LabelSet
from briskseg.data import Dataset
from briskseg.recipe import Recipe
from briskseg.runs.run_folder import RunFolder, save_encoder
from briskseg.training.fine_tuning import score_before
from briskseg.training.samples.loader import Batch
from briskseg.training.stages import Stage


class Outputs(Protocol):
    """What a validation leaves in the run folder."""

    def show(self, batch: Batch, predicted: Tensor | None, epoch: int) -> None: ...

    def keep(
        self,
        weights: Mapping[str, Any],
        scores: Mapping[str, float],
        step: int,
        epoch: int,
        stage: Stage,
    ) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class SegmentationOutputs:
    """model.safetensors: the weights with the best val mIoU so far, or the last ones, unscored,
    where val is trained on; snapshots when asked; predictions of a few images for the film.

    A stage that trains the encoder alone leaves the best encoder in encoder.safetensors instead:
    its decoder has learned nothing yet, and a whole network would pass for one that can predict.

    Args:
        shown: the names of the film's images.
        keeps_last: whether val is trained on.
    """

    def __init__(
        self,
        folder: RunFolder,
        card: Card,
        labels: LabelSet,
        shown: Sequence[str],
        snapshots: bool,
        keeps_last: bool,
    ) -> None:
        self.folder, self.card, self.labels = folder, card, labels
        self.snapshots, self.keeps_last = snapshots, keeps_last
        self.best = {"encoder": -1.0, "logits": -1.0}  # by the stage's output
        self._film = {name: k for k, name in enumerate(shown)}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "scores": self.card.scores}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]
        self.card = self.card.model_copy(update={"scores": state["scores"]})

    def show(self, batch: Batch, predicted: Tensor | None, epoch: int) -> None:
        """Add an image's prediction to the film, where it is one of those shown."""
        k = self._film.get(batch.names[0])
        if k is None or predicted is None:
            return
        folder = self.folder.film
        folder.mkdir(exist_ok=True)
        if not (folder / f"image-{k}.png").exists():
            self._write(f"truth-{k}.png", batch.labels[0], self.labels.palette)
            self._write(f"image-{k}.png", batch.images[0].permute(1, 2, 0))
        name = self.folder.film_prediction(epoch, k).name
        self._write(name, predicted[0], self.labels.palette)

    def _write(self, name: str, picture: Tensor, palette: Any = None) -> None:
        with written_whole(self.folder.film / name) as part:
            write_png(part, picture.cpu().numpy(), palette=palette)

    def keep(
        self,
        weights: Mapping[str, Any],
        scores: Mapping[str, float],
        step: int,
        epoch: int,
        stage: Stage,
    ) -> None:
        """Save the weights that a validation has scored where they are the best so far."""
        score, output = scores["val_miou"], stage.output
        kept = {"val_miou": None if score != score else score}
        card = self.card.model_copy(
            update={
                "scores": self.card.scores if self.keeps_last else kept,
                "training": {**self.card.training, "epoch": epoch, "step": step},
            }
        )
        best = self.folder.encoder if output == "encoder" else self.folder.weights
        if self.keeps_last or score > self.best[output] or not best.exists():
            self.best[output] = score if score > self.best[output] else self.best[output]
            _save(best, weights, output, card)
        if self.snapshots:
            _save(self.folder.snapshot(epoch), weights, output, card)


def _save(path: Path, weights: Mapping[str, Any], output: str, card: Card) -> None:
    if output == "encoder":
        encoder = {k: v for k, v in weights.items() if k.startswith("encoder.")}
        save_encoder(path, encoder, {**card.training, **card.scores})
    else:
        save_weights(path, weights, card)


def make_card(recipe: Recipe, dataset: Dataset, options: dict[str, Any]) -> Card:
    """What the weights of this run are."""
    begun_with = recipe.model.weights or recipe.model.encoder
    return Card(
        network=NetworkCard(
            name=recipe.model.name, classes=len(dataset.labels.names), options=options
        ),
        labels=LabelsCard.from_label_set(dataset.labels),
        input=InputCard(size=recipe.data.size, mean=recipe.data.mean, std=recipe.data.std),
        training={
            "recipe": recipe.name,
            **({"begun_with": Path(begun_with).name} if begun_with else {}),
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
        scores=score_before(recipe, dataset),
        source=f"trained by briskseg from the recipe '{recipe.name}'",
    )
