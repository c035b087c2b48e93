"""What is refused of a training at once: before torch is loaded, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from briskseg.core.card import read_card
from briskseg.core.errors import RequestError
from briskseg.recipe import PretrainingRecipe, Recipe
from briskseg.runs.lock import FILE as LOCK
from briskseg.runtime.model_files import find_weights


def refuse_dataless(recipe: Recipe | PretrainingRecipe) -> str:
    """The recipe's data; RequestError where it names none."""
    if recipe.data.root is not None:
        return recipe.data.root
    data = (
        "add --data DIR, or --data streets to train on drawn scenes"
        if isinstance(recipe, Recipe)
        else "add --data DIR, a folder with train/CLASS/*.jpg and val/CLASS/*.jpg"
    )
    raise RequestError(f"the recipe '{recipe.name}' names no data; {data}")


def refuse_weights(recipe: Recipe | PretrainingRecipe, run: Path) -> None:
    """As `fitting_weights`, of the weights that a run would begin with which is not begun."""
    if isinstance(recipe, Recipe) and recipe.model.weights is not None and not is_begun(run):
        fitting_weights(recipe.model.weights, recipe)


def fitting_weights(weights: str, recipe: Recipe) -> Path:
    """The file that `model.weights` names, as far as its card tells fit for the recipe.

    Raises:
        RequestError: it is not there, or is of another network or of other mean and std.
        WeightsError: it is damaged.
    """
    path = find_weights(Path(weights))
    card = read_card(path)
    if card.network.name != recipe.model.name:
        raise RequestError(
            f"model.weights: {path} holds {card.network.name}, and the recipe trains "
            f"{recipe.model.name}; name weights of that network, or set model.name"
        )
    theirs, ours = ((part.mean, part.std) for part in (card.input, recipe.data))
    if theirs != ours:
        mean, std = (str(list(values)).replace(" ", "") for values in theirs)
        raise RequestError(
            f"model.weights: {path} was trained with mean {theirs[0]} and std {theirs[1]}, and the "
            f"recipe has {ours[0]} and {ours[1]}; add --set data.mean={mean} --set data.std={std}"
        )
    return path


def refuse_folder(run: Path, resume: bool) -> None:
    """Raise RequestError for what is no folder for this session; an empty one is, and what a run
    leaves that was refused, or killed as it began."""
    others, begun = _left_by_steps(run), is_begun(run)
    if not resume and others:
        what = "already holds a run" if begun else "exists and is not empty"
        raise RequestError(
            f"{run} {what}; name another folder with --out"
            + (", or go on with it with --resume" if begun else "")
        )
    if resume and not begun and (others or not run.exists()):
        raise RequestError(f"{run} holds no run to resume (no recipe.yaml); leave --resume out")


def is_begun(run: Path) -> bool:
    """Whether the folder holds more of a run than one leaves that was refused before it trained."""
    return bool(_left_by_steps(run)) and (run / "recipe.yaml").is_file()


def _left_by_steps(run: Path) -> list[str]:
    """What is in the folder beside the files that are written before the first step."""
    try:
        there = list(run.iterdir()) if run.exists() else []
    except OSError as error:
        raise RequestError(
            f"the run folder {run} cannot be made: {error.strerror}; name another with --out"
        ) from error
    first = {LOCK, "recipe.yaml", "class_counts.json"}
    return [p.name for p in there if p.name not in first and not p.match(".*.part")]


def seed_folders(
    recipe: Recipe | PretrainingRecipe, folder: Path, number: int, resume: bool
) -> dict[int, Path]:
    """The run folder of each of so many seeds; RequestError where `folder` is none for them."""
    if isinstance(recipe, Recipe) and "val" in recipe.data.train_splits:
        raise RequestError(
            "--repeat compares scores on val, and data.train_splits has val trained on; leave val "
            "out of it"
        )
    first = recipe.training.seed
    runs = {seed: folder / f"seed-{seed}" for seed in range(first, first + number)}
    if any(run.exists() for run in runs.values()) and not resume:
        raise RequestError(
            f"{folder} already holds such runs; name another folder with --out, or go on with them "
            "with --resume"
        )
    if (folder / "recipe.yaml").exists():
        raise RequestError(f"{folder} is a single run; name another folder with --out")
    if resume and not folder.is_dir():
        raise RequestError(f"{folder} is not there, so nothing can go on; leave --resume out")
    return runs
