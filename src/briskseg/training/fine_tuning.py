"""A network that begins with trained weights instead of random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from briskseg.core.card import Card, load_weights, read_card
from briskseg.core.errors import BriskError, RequestError, WeightsError
from briskseg.data import Dataset
from briskseg.models import create_model
from briskseg.models.network import Network
from briskseg.models.weights.comparison import Shapes, check_finite, differences, shapes_of
from briskseg.recipe import Recipe
from briskseg.runs.run_folder import RunFolder
from briskseg.runtime.model_files import find_weights
from briskseg.training.preflight import fitting_weights


@torch.no_grad()
def begin_with(network: Network, weights: str, recipe: Recipe, dataset: Dataset) -> str:
    """Copy the weights that `model.weights` names into the recipe's network; return what was taken.

    Heads are taken only where the classes are the same, by name and order; otherwise, as where the
    file has none, they stay as they are, random. Raises RequestError if there is no such file, or
    if it is of another network or of other mean and std; WeightsError if it is damaged.
    """
    path = fitting_weights(weights, recipe)
    arrays, card = load_weights(path)
    own, found = network.state_dict(), {k: torch.from_numpy(v) for k, v in arrays.items()}
    heads = _heads(network, recipe.model.name)
    differ = differences(_shapes_without(heads, own), _shapes_without(heads, found))
    if len(differ):
        raise _misfit(
            f"{path} and the recipe's {recipe.model.name} do not fit: {differ}", card, network
        )
    same_classes = card.labels.names == dataset.labels.names
    taken = {k for k in own if k in found and (k not in heads or same_classes)}
    for key in taken:
        check_finite(key, found[key], path)
        own[key].copy_(found[key])
    said = f"begins with {len(taken)} of the network's {len(own)} tensors, from {path}"
    if card.has_seen_val and _is_of(card, dataset) and "val" not in recipe.data.train_splits:
        said += ", which were trained on val too: what the run scores there says nothing"
    fresh = sorted({key.rpartition(".")[0] for key in own.keys() - taken})
    if not same_classes:
        return f"{said}; new, for other classes: {', '.join(fresh)}"
    return f"{said}; new are heads that only training uses" if fresh else said


def _misfit(found: str, card: Card, network: Network) -> BriskError:
    """The error where tensors differ: mostly the options do, which the card and the network say."""
    theirs, ours = card.network.options, network.options
    others = {k: theirs[k] for k in theirs if k in ours and theirs[k] != ours[k]}
    if not others:
        return WeightsError(f"{found}; the file is damaged: copy or download it again")
    words = " ".join(f"--set model.options.{key}={json.dumps(v)}" for key, v in others.items())
    return RequestError(f"{found}; train the variant that the file holds: add {words}")


def find_encoder(name: str) -> Path:
    """The file that `model.encoder` means: itself, or a run folder's encoder or whole network."""
    path = Path(name)
    if not path.is_dir():
        return path
    folder = RunFolder(path)
    for file in (folder.encoder, folder.weights):
        if file.is_file():
            return file
    raise RequestError(
        f"model.encoder: the folder {path} holds neither {folder.encoder.name} nor "
        f"{folder.weights.name}; name a run folder that has one, or a file"
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
            if name in card.scores and _is_of(card, dataset):
                return {"val_miou_before": card.scores[name]}
    return {}


def _is_of(card: Card, dataset: Dataset) -> bool:
    """Whether the weights were trained on this kind of data, with these classes."""
    return card.training.get("data") == dataset.kind and card.labels.names == dataset.labels.names


def _heads(network: Network, name: str) -> set[str]:
    """The tensors that depend on the number of classes, and those of heads that only training uses,
    which a file need not hold."""
    another = network.classes - 1 or 2
    options = {k: False if k == "auxiliary" else v for k, v in network.options.items()}
    with torch.device("meta"):  # shapes without memory
        other = shapes_of(create_model(name, another, **options).state_dict())
    return {
        key for key, shape in shapes_of(network.state_dict()).items() if other.get(key) != shape
    }


def _shapes_without(heads: set[str], tensors: Mapping[str, Tensor]) -> Shapes:
    return shapes_of({key: tensor for key, tensor in tensors.items() if key not in heads})
