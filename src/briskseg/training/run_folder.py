"""A run folder, opened for a new run or for one that goes on in a further sitting."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from briskseg.core.errors import RequestError, TrainingError
from briskseg.recipe import PretrainingRecipe, Recipe, load_recipe
from briskseg.training.machine import Devices

# What may differ between the sittings of one run: it changes no weight.
_FREE = {"data.root", "data.cache_gb", "training.workers", "training.loggers"}


Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Sitting:
    """One sitting of a run, which may take several.

    resume: go on with the unfinished run in the folder. devices: where to compute.
    how_to_resume: what an interrupted run tells its user to do. listener: is told of progress as
    {"phase": "read" | "train" | "validate" | "validated" | "score", "step":, "steps":}; of training
    also "epoch", "images" a step, and "score", the last validation's as (name, value).
    """

    resume: bool = False
    devices: Devices = field(default_factory=Devices)
    how_to_resume: str = "the same call with Sitting(resume=True)"
    listener: Listener = lambda _: None

    def counted(self, phase: str) -> Callable[[int, int], None]:
        """A file-by-file progress that tells the listener of this phase."""
        return lambda done, of: self.listener({"phase": phase, "step": done, "steps": of})


def open_run(run: Path, recipe: Recipe | PretrainingRecipe, resume: bool) -> Path | None:
    """Make the folder and write its recipe, or find the checkpoint to go on from.

    Returns:
        The checkpoint, or None to begin.

    Raises:
        RequestError: the folder is taken, or holds a run of another recipe, or none to resume.
    """
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:  # the first process has made the folder
        last = run / "checkpoints" / "last.ckpt"
        return last if resume and last.is_file() else None
    kept = run / "recipe.yaml"
    if not resume:
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            what = "already holds a run" if kept.is_file() else "exists and is not empty"
            raise RequestError(
                f"{run} {what}; name another folder with --out"
                + (", or go on with it with --resume" if kept.is_file() else "")
            )
        run.mkdir(parents=True, exist_ok=True)
        kept.write_text(recipe.to_yaml(), "utf-8")
        return None
    if not kept.is_file():
        raise RequestError(f"{run} holds no run to resume (no recipe.yaml); leave --resume out")
    begun = load_recipe(str(kept))
    _compare(begun, recipe, run)
    last = run / "checkpoints" / "last.ckpt"
    return last if last.is_file() else None


def _compare(
    begun: Recipe | PretrainingRecipe, asked: Recipe | PretrainingRecipe, run: Path
) -> None:
    before, now = _flat(begun.model_dump(mode="json")), _flat(asked.model_dump(mode="json"))
    changed = [k for k in before.keys() | now.keys() if before.get(k) != now.get(k)]
    changed = sorted(set(changed) - _FREE)
    if changed:
        told = "; ".join(f"{k} was {before.get(k)}, now {now.get(k)}" for k in changed[:5])
        raise RequestError(
            f"{run} was begun with another recipe: {told}; resume with the same recipe and --set, "
            "or begin a new run with --out"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def resume_place(checkpoint: Path) -> tuple[int, int]:
    """(epoch, batch) at which the run goes on."""
    try:
        place = torch.load(checkpoint, map_location="cpu", weights_only=True)["place"]
        return int(place["epoch"]), int(place["batch"])
    except Exception as error:
        raise TrainingError(
            f"{checkpoint} cannot be read ({type(error).__name__}); it is damaged: delete it to "
            "begin again, or restore it from a copy"
        ) from error
