"""`briskseg train`: from a recipe to a run folder."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.console import counter
from briskseg.cli.options import usual_recipe
from briskseg.core.errors import DataError, MissingExtraError, RequestError
from briskseg.core.files.atomic import refuse_unwritable
from briskseg.core.process_settings import keep_freed_memory
from briskseg.core.wording import counted, number

if TYPE_CHECKING:
    from briskseg.data.check import Finding
    from briskseg.recipe import PretrainingRecipe, Recipe
    from briskseg.training.processes import Processes

FINDINGS = 3  # named in a sentence
LEAST_MINUTES = 0.1  # which even the smallest run on the smallest data needs

_Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key: training.epochs=50."),
]
_Out = Annotated[Path | None, typer.Option(help="The run folder; runs/RECIPE if not named.")]
_IsUnchecked = Annotated[
    bool, typer.Option("--no-check", help="Train without checking the data first.")
]
_Minutes = Annotated[
    float | None,
    typer.Option(
        metavar="M",
        help="Be done in M minutes, checking and scoring included; takes the place of epochs.",
    ),
]
_Repeat = Annotated[
    int | None,
    typer.Option(min=1, help="Train with this many seeds; --out gets a run folder for each."),
]


@app.command()
def train(
    context: typer.Context,
    recipe: Annotated[
        str | None, typer.Argument(help="A shipped recipe's name, or a YAML file; chosen if none.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data set's folder, or `streets`.")] = None,
    changes: _Changes = None,
    minutes: _Minutes = None,
    out: _Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many of them, on this machine.")] = 1,
    is_unchecked: _IsUnchecked = False,
    repeat: _Repeat = None,
) -> None:
    """Train a network as a recipe says, on data that `briskseg check` finds fit.

    Example: briskseg train fast-scnn-camvid11 --data CamVid --out runs/first

    Killed at any moment, a run goes on with --resume and ends as if it had not been. Ctrl-C saves
    and ends with exit status 130. SIGTERM and SIGUSR1, which schedulers send, save after the step
    that is running and end with 75 (EX_TEMPFAIL): run the same command again, with --resume.
    """
    # Large buffers come and go every step: what they held is kept, and in huge pages, which torch
    # asks for if this is set before it is imported.
    keep_freed_memory()
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    began = time.monotonic()
    from briskseg.cli.training_output import TrainingProgress, print_spread
    from briskseg.recipe import PretrainingRecipe, load_recipe
    from briskseg.training.processes import launched

    root = [] if data is None else [f"data.root={json.dumps(data)}"]  # as YAML, whatever it holds
    processes = launched(devices)
    is_first = processes.is_first  # of several processes one speaks
    fitted: list[str] = []
    if recipe is None and resume and out is not None:
        recipe = _recipe_of_run(out, repeat, data)
    if recipe is None:
        recipe, fitted = _chosen_recipe(data, processes)
    described = load_recipe(recipe, [*fitted, *(changes or []), *root], _notify)
    run = out or Path("runs") / described.name
    _refuse(described, run, processes, minutes, repeat, resume, is_unchecked)
    from briskseg.runs.run_folder import RunFolder
    from briskseg.training.stopping import Stop

    how_to_resume = _resume_command(context, recipe, fitted, run, processes.launcher)
    folder = RunFolder(run)
    stop = Stop(how_to_resume, _say_it_saves, lambda: folder.is_begun() or bool(folder.seeds()))
    with stop, TrainingProgress() as progress:
        from briskseg.training.fit import fit
        from briskseg.training.repeat import repeat as train_seeds
        from briskseg.training.session import RunSession

        listener = progress.show if is_first else lambda _: None
        session = RunSession(resume, device, devices, stop, listener, minutes, began)
        if repeat is None:
            fit(described, run, session)
        else:
            spread = train_seeds(described, run, repeat, session)
    if repeat is not None:
        print_spread(spread, run)
    elif is_first:
        _sum_up(run, isinstance(described, PretrainingRecipe))


def _notify(notice: str) -> None:
    print(f"briskseg: {notice}", file=sys.stderr)


def _recipe_of_run(run: Path, repeat: int | None, data: str | None) -> str | None:
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


def _chosen_recipe(data: str | None, processes: Processes) -> tuple[str, list[str]]:
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
        _notify(f"trains the recipe {recipe}{batch} ({why})")
    return recipe, fitted


# Why this recipe was chosen, and not the other.
_WHY = {
    "lite-seg": "its encoder knows ImageNet; see: briskseg recipes",
    "fast-scnn": "lite-seg learns more from few images: pip install 'briskseg[pretrained]'",
}


def _refuse(
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
        _notify(f"{_listed(warnings)} in {report.root}; {command} says more")


def _listed(findings: list[Finding]) -> str:
    """ "2 errors, sizes-differ (12) and lossy-labels (3)"."""
    severity = findings[0].severity
    named = [f"{finding.kind} ({finding.count})" for finding in findings[:FINDINGS]]
    more = f" and {len(findings) - FINDINGS} more" if len(findings) > FINDINGS else ""
    return f"{counted(len(findings), severity)} ({', '.join(named)}{more})"


def _say_it_saves() -> None:
    """At once, where a step may take seconds; print is not for a signal's handler."""
    os.write(2, b"\nsaving after this step; Ctrl-C again stops at once\n")


def _sum_up(run: Path, is_pretraining: bool) -> None:
    """Say what came of it and what to do with it."""
    from briskseg.core.card import read_card
    from briskseg.runs.run_folder import RunFolder

    folder = RunFolder(run)
    if is_pretraining:
        encoder = folder.read_encoder_card()
        scores = f"val top-1 {encoder['val_top1']:.4f}, top-5 {encoder['val_top5']:.4f}"
        print(f"{folder.encoder}: {scores}, best at epoch {encoder['epoch']}")
        words = shlex.quote(f"model.encoder={run}")
        print(f"next: briskseg train erfnet-cityscapes --data CITYSCAPES --set {words}")
        return
    card = read_card(folder.weights)
    epoch = card.training["epoch"]
    if "val_miou" in card.scores:
        shown = f"val mIoU {card.scores['val_miou']:.4f}, best at epoch {epoch}"
    else:
        before = card.scores.get("val_miou_before")
        begun = "" if before is None else f" (val mIoU before: {before:.4f})"
        shown = f"after epoch {epoch}; val was trained on, so it scores nothing{begun}"
    print(f"{folder.weights}: {shown}")
    quoted = shlex.quote(str(run))
    if folder.report.is_file():  # else what it failed by is said
        print(f"{folder.report}: curves, scores, best and worst images")
    print(f"next: briskseg predict {quoted} IMAGE")


# What starts the command where several processes are; its own options are not ours to know.
_LAUNCHERS = {"torchrun": "torchrun ... --no-python ", "srun": "srun ... "}


def _resume_command(
    context: typer.Context, recipe: str, fitted: list[str], run: Path, launcher: str
) -> str:
    """The command that goes on with this run: its options, with the recipe, what was `fitted` of it
    and the folder named."""
    words = ["briskseg" if shutil.which("briskseg") else sys.argv[0], "train", recipe]
    words += ["--out", str(run)]
    for change in fitted:
        words += ["--set", change]
    for option in context.command.params:
        value = context.params[option.name or ""]
        if option.name in ("recipe", "out", "resume") or value in (None, False, option.default):
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            text = number(each) if isinstance(each, float) else str(each)
            words += [option.opts[0]] if each is True else [option.opts[0], text]
    return _LAUNCHERS.get(launcher, "") + shlex.join([*words, "--resume"])
