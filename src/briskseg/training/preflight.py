"""What is refused of a training at once: before torch is loaded, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from briskseg.core.card import read_card
from briskseg.core.errors import RequestError
from briskseg.recipe import AnyRecipe, Recipe
from briskseg.runs.run_folder import RunFolder
from briskseg.runtime.model_files import find_weights


def refuse_dataless(recipe: AnyRecipe) -> str:
    """The recipe's data; RequestError where it names none."""
    if recipe.data.root is not None:
        return recipe.data.root
    data = (
        "add --data DIR, or --data streets to train on drawn scenes"
        if isinstance(recipe, Recipe)
        else "add --data DIR, a folder with train/CLASS/*.jpg and val/CLASS/*.jpg"
    )
    raise RequestError(f"the recipe '{recipe.name}' names no data; {data}")


def refuse_weights(recipe: AnyRecipe, folder: RunFolder) -> None:
    """As `fitting_weights`, where the run has yet to begin with them."""
    if isinstance(recipe, Recipe) and recipe.model.weights is not None and not folder.is_begun():
        fitting_weights(recipe.model.weights, recipe)


def refuse_teacher(recipe: AnyRecipe) -> None:
    """Raise as `teacher_file` where the recipe names a teacher that cannot be one."""
    if isinstance(recipe, Recipe) and recipe.training.teacher is not None:
        teacher_file(recipe.training.teacher.file)


def teacher_file(name: str) -> Path:
    """The file that `training.teacher` names: weights, a run's or shipped ones, or an .onnx file.

    Raises RequestError where it is not there or of another kind.
    """
    path = Path(name)
    if path.suffix.lower() == ".onnx" and path.is_file():
        return path
    try:
        return find_weights(path)
    except RequestError as error:
        raise RequestError(f"training.teacher: {error}") from None


def fitting_weights(weights: str, recipe: Recipe) -> Path:
    """The file that `model.weights` names, where its card fits the recipe.

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


def refuse_folder(folder: RunFolder, resume: bool) -> None:
    """Raise RequestError for a folder that this session cannot use. An empty one it can, and one
    that holds only what a run writes before its first step."""
    run, others, begun = folder.path, folder.beyond_start(), folder.is_begun()
    if not resume and others:
        what = "already holds a run" if begun else "exists and is not empty"
        raise RequestError(
            f"{run} {what}; name another folder with --out"
            + (", or go on with it with --resume" if begun else "")
        )
    if resume and not begun and (others or not run.exists()):
        raise RequestError(f"{run} holds no run to resume (no recipe.yaml); leave --resume out")


def seed_folders(
    recipe: AnyRecipe, folder: RunFolder, number: int, resume: bool
) -> dict[int, RunFolder]:
    """The run folder of each of so many seeds; RequestError where `folder` is none for them."""
    if isinstance(recipe, Recipe) and "val" in recipe.data.train_splits:
        raise RequestError(
            "--repeat compares scores on val, and data.train_splits has val trained on; leave val "
            "out of it"
        )
    first = recipe.training.seed
    runs = {seed: folder.seed(seed) for seed in range(first, first + number)}
    if any(run.path.exists() for run in runs.values()) and not resume:
        raise RequestError(
            f"{folder.path} already holds such runs; name another folder with --out, or go on with "
            "them with --resume"
        )
    if folder.recipe.exists():
        raise RequestError(f"{folder.path} is a single run; name another folder with --out")
    if resume and not folder.path.is_dir():
        raise RequestError(f"{folder.path} is not there, so nothing can go on; leave --resume out")
    return runs
