"""From a recipe to a run folder.

recipe -> data, decoded and counted -> network -> stages of weighted steps -> run folder, report
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from shlex import quote
from textwrap import shorten

import torch

from briskseg.core.errors import Interrupted
from briskseg.core.wording import counted, first_line, hxw
from briskseg.data import Dataset, open_dataset
from briskseg.recipe import AnyRecipe, Recipe
from briskseg.runs.report.page import write_report
from briskseg.runs.run_folder import RunFolder
from briskseg.training.checkpoint_files import Checkpoint, step_of
from briskseg.training.classification_task import ClassificationTask
from briskseg.training.fine_tuning import refuse_misfits
from briskseg.training.length import decide_length
from briskseg.training.loop import Loop
from briskseg.training.machine import Machine, choose_machine
from briskseg.training.preflight import refuse_dataless
from briskseg.training.processes import launched
from briskseg.training.samples.class_folders import ClassFolders, open_class_folders
from briskseg.training.segmentation_task import SegmentationTask
from briskseg.training.session import (
    RunSession,
    opened_run,
    refuse_other_samples,
    with_recorded_length,
)
from briskseg.training.task import Task


def fit(recipe: AnyRecipe, run: Path, session: RunSession | None = None) -> Path:
    """Train as the recipe says and leave everything in the folder `run`.

    Args:
        recipe: the whole run; `data.root` must be set.
        run: a new folder, or where the session resumes one with an unfinished run of this recipe.
        session: where to compute, whether to resume, who is told of progress.

    Raises:
        RequestError: the recipe and the data, the device or the folder do not fit.
        Interrupted: a signal asked it to stop; it is saved.
        DataError: a damaged or mismatched file, before the first step where it fits in memory.
        WeightsError: the weights or the encoder to begin with are damaged or do not fit.
        TrainingError: the loss became NaN, the run folder cannot be written, or another process of
            the run ended; the last good checkpoint is kept.
    """
    root, folder = refuse_dataless(recipe), RunFolder(run)
    session = session or RunSession()
    session = replace(session, began=session.began or time.monotonic())
    with session.stop:
        processes = session.processes or launched(session.devices)
        data: Dataset | ClassFolders
        if isinstance(recipe, Recipe):
            how = recipe.data
            data = open_dataset(root, how.classes, how.split_seed, unlabeled=how.unlabeled)
            data = data.training_on(how.train_splits)
            if processes.is_first and not folder.is_begun():
                refuse_misfits(recipe, data)
        else:
            data = open_class_folders(root)
        machine = choose_machine(recipe.training.precision, session.device, processes)
        with opened_run(folder, recipe, session, machine, fit) as resume:
            task = _train(recipe, folder, session, data, machine, resume)
            processes.leave()
            if machine.is_first:
                task.finish(str(machine.device), session)
                if isinstance(recipe, Recipe):
                    _leave_report(folder, session)
    return run


def _leave_report(folder: RunFolder, session: RunSession) -> None:
    """Write RUN/report.html. The run is done, so whatever fails there is only said."""
    try:
        write_report(folder.path)
    except Interrupted:
        raise
    except Exception as error:
        again = f"briskseg report {quote(str(folder.path))}"
        session.say(f"there is no report: {first_line(error)}; then: {again}")


def _train(
    recipe: AnyRecipe,
    folder: RunFolder,
    session: RunSession,
    data: Dataset | ClassFolders,
    machine: Machine,
    resume: Checkpoint | None,
) -> Task:
    recorded = None  # the folder is the first's; others may not see it
    if machine.is_first and folder.length.is_file():
        recorded = with_recorded_length(recipe, folder, session.minutes)
    recorded = machine.processes.from_first(recorded)
    is_decided, recipe = recorded is not None, recorded or recipe
    torch.manual_seed(recipe.training.seed)
    task: Task
    if isinstance(recipe, Recipe):
        assert isinstance(data, Dataset)
        task = SegmentationTask(recipe, data, folder, machine, session, is_new=resume is None)
    else:
        assert isinstance(data, ClassFolders)
        task = ClassificationTask(recipe, data, folder, machine)
    refuse_other_samples(task, resume)
    deadline = None
    if session.minutes is not None and not is_decided:
        recipe, deadline = decide_length(recipe, task, machine, folder, session)
        task.set_length(recipe.training)
    if resume is not None and step_of(resume) >= resume["steps"]:
        session.say(
            f"{folder.path} has all its {counted(resume['steps'], 'step')}: none is left to train"
        )
    session.say(_understood(recipe, data, task, machine))
    Loop(task, machine, folder, session, deadline).run(resume)
    return task


def _understood(
    recipe: AnyRecipe, data: Dataset | ClassFolders, task: Task, machine: Machine
) -> str:
    """What is about to be trained, in two lines of 100 columns at most on one device: so a wrong
    folder or list of classes is seen before it costs hours."""
    if isinstance(recipe, Recipe):
        assert isinstance(data, Dataset)
        own = recipe.augment.size or recipe.data.size
        val, size_hw = len(data.pairs("val")), own or data.size(data.pairs("train")[0])
    else:
        assert isinstance(data, ClassFolders)
        val, size_hw = len(data.val), (recipe.data.size, recipe.data.size)
    classes, batches, world = task.class_names, task.batches, machine.processes.world
    each = f" on each of {world} devices" if world > 1 else ""
    return (
        f"{counted(len(classes), 'class')}: {shorten(', '.join(classes), 45, placeholder=' ...')}; "
        f"{counted(batches.samples, 'image')} in train, {val} in val\n"
        f"{recipe.model.name} at {hxw(size_hw)}, batches of {batches.batch}{each}, "
        f"{counted(task.steps, 'step')} ({task.steps / len(batches):.1f} epochs), "
        f"{machine.precision} on {machine.device}"
    )
