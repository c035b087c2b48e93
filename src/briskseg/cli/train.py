"""`briskseg train`: from a recipe to a run folder."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app
from briskseg.cli.before_training import chosen_recipe, notify, recipe_of_run, refuse_training
from briskseg.core.process_settings import keep_freed_memory
from briskseg.core.wording import number

_Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe's key: training.epochs=50."),
]
_Out = Annotated[Path | None, typer.Option(help="The run folder; by default runs/RECIPE.")]
_IsUnchecked = Annotated[
    bool, typer.Option("--no-check", help="Train without checking the data first.")
]
_Minutes = Annotated[
    float | None,
    typer.Option(
        metavar="M",
        help="Finish within M minutes, including the check and scoring, in place of a number of "
        "epochs.",
    ),
]
_Repeat = Annotated[
    int | None,
    typer.Option(min=1, help="Train with this many seeds, each in its own run folder in --out."),
]


@app.command()
def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A shipped recipe's name or a YAML file; by default one is chosen for the data.",
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data set's folder, or `streets`.")] = None,
    changes: _Changes = None,
    minutes: _Minutes = None,
    out: _Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="The number of devices on this machine.")] = 1,
    is_unchecked: _IsUnchecked = False,
    repeat: _Repeat = None,
) -> None:
    """Train a network by a recipe. The data is checked first, as by `briskseg check`.

    Example: briskseg train fast-scnn-camvid11 --data CamVid --out runs/first

    A run may be killed at any moment: --resume continues it, with the same result as if it had not
    been interrupted. Ctrl-C saves a checkpoint and exits with status 130. SIGTERM and SIGUSR1,
    which schedulers send, save after the current step and exit with 75 (EX_TEMPFAIL): run the same
    command again with --resume.
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
        recipe = recipe_of_run(out, repeat, data)
    if recipe is None:
        recipe, fitted = chosen_recipe(data, processes)
    described = load_recipe(recipe, [*fitted, *(changes or []), *root], notify)
    run = out or Path("runs") / described.name
    refuse_training(described, run, processes, minutes, repeat, resume, is_unchecked)
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
