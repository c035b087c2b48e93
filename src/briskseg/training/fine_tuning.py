"""The network as a run begins: with random weights, a pretrained encoder, or trained weights."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from briskseg.core.card import Card, load_weights
from briskseg.core.errors import BriskError, RequestError, WeightsError, nearest
from briskseg.data import Dataset
from briskseg.models import create_model
from briskseg.models.network import Network
from briskseg.models.weights.comparison import check_finite, differences, shapes_of
from briskseg.recipe import Recipe
from briskseg.runs.run_folder import RunFolder
from briskseg.training.few_labels.teacher import Teacher
from briskseg.training.preflight import fitting_weights
from briskseg.training.run_card import is_of
from briskseg.training.samples.loader import find_unlabeled
from briskseg.training.session import RunSession
from briskseg.training.train_step import parameter_factors


def begin_network(recipe: Recipe, dataset: Dataset, session: RunSession, is_new: bool) -> Network:
    """The recipe's network as the run begins; the session hears what it begins with."""
    network = create_model(recipe.model.name, len(dataset.labels.names), **recipe.model.options)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.model.encoder is not None and is_new:
        taken = network.load_encoder(_encoder_of_run(recipe.model.encoder))
        session.say(f"begins with a pretrained encoder: {taken}")
    # both refuse what fits nothing
    parameter_factors(recipe.training.optimizer, network)
    frozen_batch_norms(recipe.training.frozen_batch_norm, network)
    if recipe.training.batch_norm_momentum is not None:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.training.batch_norm_momentum
    if any(stage.output == "encoder" for stage in recipe.training.stages):
        with torch.no_grad():
            network.eval().forward_encoder(torch.zeros(1, 3, 8, 8))  # refuses where there is none
    if is_new:
        if padded := _padding(recipe, dataset):
            session.say(padded)
        if recipe.model.weights is not None:
            session.say(_begin_with(network, recipe.model.weights, recipe, dataset))
        elif "val" in recipe.data.train_splits:
            session.say("begins with random weights, not with any that were scored on val before")
        elif recipe.model.encoder is None:
            session.say("begins with random weights")
    return network.train()


def frozen_batch_norms(parts: Sequence[str], network: nn.Module) -> list[nn.Module]:
    """The batch norms in these parts of the network; RequestError for a part that has none."""
    norms = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }
    for part in parts:
        if not any(name.startswith(f"{part}.") for name in norms):
            children = [name for name, _ in network.named_children()]
            raise RequestError(
                f"training.frozen_batch_norm: no batch norm of {type(network).__name__} is in "
                f"'{part}'; {nearest(part, children)}"
            )
    within = tuple(f"{part}." for part in parts)
    return [norm for name, norm in norms.items() if name.startswith(within)]


def _padding(recipe: Recipe, dataset: Dataset) -> str:
    """Said where the first image, unscaled, fills less than half of a sample."""
    sample_hw = recipe.augment.size
    if sample_hw is None:
        return ""
    image_hw = recipe.data.size or dataset.size(dataset.pairs("train")[0])
    filled = math.prod(min(1.0, i / s) for i, s in zip(image_hw, sample_hw, strict=True))
    if filled >= 0.5:
        return ""
    height, width = image_hw
    return (
        f"images of {width}x{height} fill {filled:.0%} of a sample of {sample_hw[1]}x"
        f"{sample_hw[0]}, and the rest is padding; smaller samples train faster: "
        f"--set augment.size=[{height},{width}]"
    )


def refuse_misfits(recipe: Recipe, dataset: Dataset) -> None:
    """Raise what `begin_network` will raise while there is no run folder yet: one that holds a
    recipe which cannot be trained could only be deleted."""
    if not dataset.pairs("train"):
        raise RequestError(
            f"{dataset.root} has no labeled image in its train split, so there is nothing to learn "
            "from; add some"
        )
    if recipe.data.unlabeled_images is not None:
        find_unlabeled(Path(recipe.data.unlabeled_images), dataset)
    with torch.random.fork_rng(devices=[]):
        network = begin_network(recipe, dataset, RunSession(), is_new=True)
        if recipe.training.teacher is not None:
            Teacher(recipe, network, dataset, torch.device("cpu"))


@torch.no_grad()
def _begin_with(network: Network, weights: str, recipe: Recipe, dataset: Dataset) -> str:
    """Copy the weights that `model.weights` names into the recipe's network; return what was taken.

    Heads are taken only where the classes are the same, by name and order; otherwise, as where the
    file has none, they stay as they are, random. Raises RequestError if there is no such file, or
    if it is of another network or of other mean and std; WeightsError if it is damaged.
    """
    path = fitting_weights(weights, recipe)
    arrays, card = load_weights(path)
    own, found = network.state_dict(), {k: torch.from_numpy(v) for k, v in arrays.items()}
    heads = _heads(network, recipe.model.name)
    ours, theirs = ({k: t for k, t in held.items() if k not in heads} for held in (own, found))
    differ = differences(shapes_of(ours), shapes_of(theirs))
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
    if card.has_seen_val and is_of(card, dataset) and "val" not in recipe.data.train_splits:
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


def _encoder_of_run(name: str) -> str | Path:
    """What `model.encoder` means to `Network.load_encoder`: of a run folder its encoder or whole
    network."""
    path = Path(name)
    if not path.is_dir():
        return name
    folder = RunFolder(path)
    for file in (folder.encoder, folder.weights):
        if file.is_file():
            return file
    raise RequestError(
        f"model.encoder: the folder {path} holds neither {folder.encoder.name} nor "
        f"{folder.weights.name}; name a run folder that has one, or a file"
    )


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
