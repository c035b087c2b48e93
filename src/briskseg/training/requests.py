"""What is refused of a training at once: before torch is loaded, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.recipe import PretrainingRecipe, Recipe
from briskseg.runtime.files import find_weights
from briskseg.training.lock import FILE as LOCK


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


def refuse_weightless(recipe: Recipe | PretrainingRecipe, resume: bool) -> None:
    """RequestError where the weights that a new run would begin with are not there."""
    if isinstance(recipe, Recipe) and recipe.model.weights is not None and not resume:
        find_weights(Path(recipe.model.weights))


def refuse_folder(run: Path, resume: bool) -> None:
    """Raise RequestError for what is no folder for this sitting; an empty one is, and what a run
    leaves that was killed as it began."""
    try:
        there = list(run.iterdir()) if run.exists() else []
    except OSError as error:
        raise RequestError(
            f"the run folder {run} cannot be made: {error.strerror}; name another with --out"
        ) from error
    begun = run / "recipe.yaml" in there
    others = [p for p in there if p.name != LOCK and not p.match(".*.part")]
    if not resume and others:
        what = "already holds a run" if begun else "exists and is not empty"
        raise RequestError(
            f"{run} {what}; name another folder with --out"
            + (", or go on with it with --resume" if begun else "")
        )
    if resume and not begun and (others or not run.exists()):
        raise RequestError(f"{run} holds no run to resume (no recipe.yaml); leave --resume out")


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
