"""One session of a run, which may take several: the folder opened to begin the run or to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import remove_parts, write_whole
from briskseg.core.types import Progress
from briskseg.core.wording import counted, number
from briskseg.recipe import AnyRecipe, Recipe
from briskseg.runs.lock import locked
from briskseg.runs.run_folder import RunFolder
from briskseg.training.checkpoint_files import Checkpoint, find_checkpoint, step_of
from briskseg.training.friendly_errors import friendly_errors
from briskseg.training.machine import Machine
from briskseg.training.preflight import refuse_folder
from briskseg.training.processes import Processes, connected
from briskseg.training.stopping import Stop

if TYPE_CHECKING:
    from briskseg.training.task import Task

# What may differ between the sessions of one run: it changes no weight.
_FREE = {
    "data.root",
    "data.cache_gb",
    "training.workers",
    "training.loggers",
    "training.save_every",
}

# A run is resumed with the recipe that it was begun with. One that became NaN would become NaN
# again, so there, and only there, these may change.
_GENTLER = {"training.optimizer.lr", "training.clip", "training.precision"}

Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class RunSession:
    """One session of a run.

    resume: go on with the unfinished run in the folder.
    device, devices: where to compute, as torch names it, and on how many of them here.
    stop: hears the signals, and knows what a stopped run tells its user to do.
    listener: is told of progress as {"phase":, "step":, "steps":}. The phases are "read", "train",
    "validate", "validated", "predict" (on train, to adjust the logits), "adjust" and "score". Of
    training it hears also "epoch", "images" a step, "done", the share of the run's work that is
    (small samples are less work), and "score", the last validation's as (name, value); of a step
    also "names", of the samples it trained on (on the first device, where there are several); and
    of what a user should know as {"phase": "notice", "text":}.
    minutes: from `began` (of `time.monotonic`) to the end of scoring; the run's length is chosen so
    that it fits. None: the recipe says how long.
    processes: this process among several, None to find out.
    """

    resume: bool = False
    device: str = "auto"
    devices: int = 1
    stop: Stop = field(default_factory=Stop)
    listener: Listener = lambda _: None
    minutes: float | None = None
    began: float | None = None
    processes: Processes | None = None

    def counted(self, phase: str) -> Progress:
        """A file-by-file progress that tells the listener of this phase."""
        return lambda done, of: self.listener({"phase": phase, "step": done, "steps": of})

    def say(self, text: str) -> None:
        self.listener({"phase": "notice", "text": text})


@contextmanager
def opened_run(
    folder: RunFolder,
    recipe: AnyRecipe,
    session: RunSession,
    machine: Machine,
    fit: Callable[[AnyRecipe, Path, RunSession], Any],
) -> Iterator[Checkpoint | None]:
    """Hold the folder for this session: make it and write its recipe, or find the checkpoint to go
    on from; and connect the processes of the run. What goes wrong while it is held is said in a
    sentence (`friendly_errors`).

    Args:
        fit: what further processes on this machine call, with the same recipe and folder.

    Yields:
        The checkpoint, or None to begin.

    Raises:
        RequestError: the folder is taken, in use, cannot be made, holds a run of another recipe, or
            none to resume.
    """
    processes, device = machine.processes, machine.device.type
    how = session.stop.how_to_resume
    values = {name: getattr(session, name) for name in ("resume", "device", "minutes", "began")}
    start = partial(_start, fit, recipe, folder.path, values | {"how_to_resume": how})
    with friendly_errors(folder, how):
        if not machine.is_first:
            with connected(processes, device, start):
                yield processes.from_first(None)
            return
        refuse_folder(folder, session.resume)
        folder.make()
        with locked(folder.path, session.say):
            remove_parts(folder.path)
            resume = _open(folder, recipe, session)
            with connected(processes, device, start):
                yield processes.from_first(resume)


def _start(
    fit: Callable[[AnyRecipe, Path, RunSession], Any],
    recipe: AnyRecipe,
    run: Path,
    session: dict[str, Any],
    processes: Processes,
) -> None:
    """What a further process of `--devices` does."""
    stop = Stop(session.pop("how_to_resume"))
    fit(recipe, run, RunSession(**session, stop=stop, processes=processes))


def _open(folder: RunFolder, recipe: AnyRecipe, session: RunSession) -> Checkpoint | None:
    if not folder.is_begun():
        if session.resume:
            session.say(f"{folder.path} holds no step of a run: beginning it")
        folder.length.unlink(missing_ok=True)
        write_whole(folder.recipe, recipe.to_yaml())
        return None
    begun = folder.read_recipe()
    diverged = folder.diverged.is_file()
    recipe = with_recorded_length(recipe, folder, session.minutes)
    changed = _compare(begun, recipe, folder, _GENTLER if diverged else set())
    resume = find_checkpoint(folder, session.say)
    step = step_of(resume)
    if changed:
        write_whole(folder.recipe_to_step(step), begun.to_yaml())
        write_whole(folder.recipe, recipe.to_yaml())
        session.say(f"the run diverged and goes on from step {step} with another {changed}")
    folder.diverged.unlink(missing_ok=True)
    if step and not folder.metrics.is_file():
        session.say(f"{folder.metrics} is missing: its rows to step {step} are lost")
    return resume


def finished(folder: RunFolder, recipe: AnyRecipe, diverged: bool) -> str | None:
    """The notice that this recipe's run has its scores, which are written last, or None.

    diverged: whether a run of another seed did, which then goes on more gently; so the recipe may
    differ here in what may change there.

    Raises:
        RequestError: the folder holds another recipe's run.
    """
    last = folder.scores if isinstance(recipe, Recipe) else folder.encoder_scores
    if not last.is_file():
        return None
    changed = _compare(folder.read_recipe(), recipe, folder, _GENTLER if diverged else set())
    return f"finished before, and stays as it is: {changed}" if changed else "finished before"


def _compare(begun: AnyRecipe, asked: AnyRecipe, folder: RunFolder, may_change: set[str]) -> str:
    """What has changed of the keys that may; another change raises RequestError."""
    before, now = _flat(begun.model_dump(mode="json")), _flat(asked.model_dump(mode="json"))
    changed = [k for k in before.keys() | now.keys() if before.get(k) != now.get(k)]
    changed = sorted(set(changed) - _FREE)
    listed = "; ".join(f"{k} was {before.get(k)}, now {now.get(k)}" for k in changed[:5])
    if set(changed) - may_change:
        raise RequestError(
            f"{folder.path} was begun with another recipe: {listed}; resume with the same recipe "
            "and --set, or begin a new run with --out"
        )
    return listed


def with_steps(recipe: AnyRecipe, steps: int) -> AnyRecipe:
    """The recipe with this length, of each stage where it has several."""
    training = recipe.training.model_copy(update={"steps": steps, "epochs": None})
    return recipe.model_copy(update={"training": training})


def with_recorded_length(recipe: AnyRecipe, folder: RunFolder, minutes: float | None) -> AnyRecipe:
    """The recipe with the length that an earlier session of this run decided on.

    Raises RequestError where the run was begun with other minutes, or with none.
    """
    length = folder.read_length()
    begun = length["minutes"]
    if minutes is not None and minutes != begun:
        had = "no --minutes" if begun is None else f"--minutes {number(begun)}"
        raise RequestError(
            f"{folder.path} was begun with {had}, and this command has --minutes "
            f"{number(minutes)}; leave --minutes out, or begin a new run with --out"
        )
    return recipe if begun is None else with_steps(recipe, length["steps"])


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def refuse_other_samples(task: Task, resume: Checkpoint | None) -> None:
    """Raise RequestError for a checkpoint of other classes, of another number of images, of other
    devices, or that learned from another teacher."""
    if resume is None:
        return
    batches = task.batches
    begun, now = resume.get("classes", [*task.class_names]), [*task.class_names]
    if begun != now:  # checkpoints of before had none
        change = f"{len(begun)} classes then, {len(now)} now"
        if len(begun) == len(now):
            number = next(n for n, name in enumerate(begun) if name != now[n])
            change = f"class {number} was '{begun[number]}' and is '{now[number]}'"
        raise RequestError(
            f"the class list is another than when the run was begun ({change}); put it back, or "
            "begin a new run with --out, from these weights with --set model.weights=RUN"
        )
    if resume.get("learns_from") != task.learns_from:
        raise RequestError(
            "training.teacher is another file than when the run was begun; put that one back, or "
            "begin a new run with --out"
        )
    if resume["images"] != batches.samples:
        raise RequestError(
            f"the run was begun with {counted(resume['images'], 'image')} in train, and now it has "
            f"{batches.samples}; put them back as they were, or begin a new run with --out"
        )
    if resume["processes"] != batches.world:
        raise RequestError(
            f"the run was begun on {counted(resume['processes'], 'device')}, and is resumed on "
            f"{batches.world}; resume it on as many (--devices {resume['processes']}, or started "
            "by torchrun or srun), or begin a new run with --out"
        )
