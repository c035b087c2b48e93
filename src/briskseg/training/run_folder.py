"""A run folder, opened for a new run or for one that goes on in a further session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import remove_parts, write_whole
from briskseg.core.types import Progress
from briskseg.recipe import PretrainingRecipe, Recipe, load_recipe
from briskseg.runs.lock import locked
from briskseg.training.checkpoint_files import ResumePoint, find_checkpoint
from briskseg.training.divergence import GENTLER, has_diverged, unmark
from briskseg.training.encoder_file import FACTS
from briskseg.training.friendly_errors import told_faults
from briskseg.training.machine import Devices
from briskseg.training.preflight import is_begun, refuse_folder
from briskseg.training.samples.loader import EpochBatches
from briskseg.training.stopping import Stop

# What may differ between the sessions of one run: it changes no weight.
_FREE = {
    "data.root",
    "data.cache_gb",
    "training.workers",
    "training.loggers",
    "training.save_every",
}


Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class RunSession:
    """One session of a run, which may take several.

    resume: go on with the unfinished run in the folder. devices: where to compute.
    stop: hears the signals, and knows what a stopped run tells its user to do.
    listener: is told of progress as {"phase":, "step":, "steps":}. The phases are "read", "train",
    "validate", "validated", "predict" (on train, to adjust the logits), "adjust" and "score". Of
    training it hears also "epoch", "images" a step, "done", the share of the run's work that is
    (small samples are less work), and "score", the last validation's as (name, value); and of what
    a user should know as {"phase": "notice", "text":}.
    """

    resume: bool = False
    devices: Devices = field(default_factory=Devices)
    stop: Stop = field(default_factory=Stop)
    listener: Listener = lambda _: None

    def counted(self, phase: str) -> Progress:
        """A file-by-file progress that tells the listener of this phase."""
        return lambda done, of: self.listener({"phase": phase, "step": done, "steps": of})

    def since(self, kept: ResumePoint | None) -> int | None:
        """The step that the session goes on from, None where it begins the run."""
        if not self.resume:
            return None
        return 0 if kept is None else kept.step

    def say(self, text: str) -> None:
        self.listener({"phase": "notice", "text": text})


@contextmanager
def opened_run(
    run: Path, recipe: Recipe | PretrainingRecipe, session: RunSession, is_first: bool
) -> Iterator[ResumePoint | None]:
    """Hold the folder for this session: make it and write its recipe, or find the checkpoint to go
    on from. What goes wrong while it is held is said in a sentence (`told_faults`).

    Args:
        is_first: of several processes, the one that has the folder; the others only look.

    Yields:
        The checkpoint, or None to begin.

    Raises:
        RequestError: the folder is taken, in use, cannot be made, holds a run of another recipe, or
            none to resume.
    """
    with told_faults(run, session.stop.how_to_resume):
        if not is_first:
            yield find_checkpoint(run, lambda _: None) if session.resume else None
            return
        _make_folder(run, session.resume)
        with locked(run, session.say):
            remove_parts(run)
            yield _open(run, recipe, session)


def _make_folder(run: Path, resume: bool) -> None:
    refuse_folder(run, resume)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"the run folder {run} cannot be made: {error.strerror}; name another with --out"
        ) from error


def _open(run: Path, recipe: Recipe | PretrainingRecipe, session: RunSession) -> ResumePoint | None:
    kept_recipe = run / "recipe.yaml"
    if not is_begun(run):
        if session.resume:
            session.say(f"{run} holds no step of a run: beginning it")
        write_whole(kept_recipe, recipe.to_yaml())
        return None
    begun = load_recipe(str(kept_recipe))
    gentler = _compare(begun, recipe, run, GENTLER if has_diverged(run) else frozenset())
    kept = find_checkpoint(run, session.say)
    step = 0 if kept is None else kept.step
    if gentler:
        write_whole(run / f"recipe-to-step-{step}.yaml", begun.to_yaml())
        write_whole(kept_recipe, recipe.to_yaml())
        session.say(f"the run diverged and goes on from step {step} with another {gentler}")
    unmark(run)
    if step and not (run / "metrics.csv").is_file():
        session.say(f"{run / 'metrics.csv'} is missing: its rows to step {step} are lost")
    return kept


def is_finished(run: Path, recipe: Recipe | PretrainingRecipe) -> bool:
    """Whether the folder holds this recipe's run with its scores, which are written last.

    Raises:
        RequestError: it holds another recipe's.
    """
    if not (run / ("scores.json" if isinstance(recipe, Recipe) else FACTS)).is_file():
        return False
    _compare(load_recipe(str(run / "recipe.yaml")), recipe, run, frozenset())
    return True


def _compare(
    begun: Recipe | PretrainingRecipe,
    asked: Recipe | PretrainingRecipe,
    run: Path,
    may_change: frozenset[str],
) -> str:
    """What has changed of the keys that may; another change raises RequestError."""
    before, now = _flat(begun.model_dump(mode="json")), _flat(asked.model_dump(mode="json"))
    changed = [k for k in before.keys() | now.keys() if before.get(k) != now.get(k)]
    changed = sorted(set(changed) - _FREE)
    told = "; ".join(f"{k} was {before.get(k)}, now {now.get(k)}" for k in changed[:5])
    if set(changed) - may_change:
        raise RequestError(
            f"{run} was begun with another recipe: {told}; resume with the same recipe and --set, "
            "or begin a new run with --out"
        )
    return told


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def seek_batches(batches: EpochBatches, kept: ResumePoint | None) -> None:
    """Let the batches begin where the checkpoint is.

    Raises:
        RequestError: it was cut from another number of images, or for other devices.
    """
    if kept is None:
        return
    if kept.images not in (None, batches.samples):
        raise RequestError(
            f"the run was begun with {kept.images} images in train, and {batches.samples} are "
            "there now; put them back as they were, or begin a new run with --out"
        )
    if kept.processes not in (None, batches.world):
        raise RequestError(
            f"the run was begun on {kept.processes} device(s), and is resumed on {batches.world}; "
            f"resume it with --devices {kept.processes}, or begin a new run with --out"
        )
    batches.start_at(kept.epoch, kept.batch)
