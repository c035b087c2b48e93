"""The same recipe with several seeds, and how far their scores lie apart: one seed proves little.

FOLDER/seed-0/, seed-1/, ...   a run each
FOLDER/repeat.json             each run's scores on val, their mean and standard deviation
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from briskseg.core.files.atomic import write_whole
from briskseg.recipe import PretrainingRecipe, Recipe
from briskseg.runs.scores import read_scores
from briskseg.training.encoder_file import FILE as ENCODER
from briskseg.training.encoder_file import read_facts
from briskseg.training.fit import fit
from briskseg.training.preflight import seed_folders
from briskseg.training.pretraining import pretrain
from briskseg.training.run_folder import RunSession, is_finished

FILE = "repeat.json"


@dataclass(frozen=True)
class Spread:
    """Scores of runs that differ in their seed, shares in [0, 1]; None where a run has none.

    each: by the score's name ("miou", "pixel_accuracy", "iou/CLASS"; of a pretraining "val_top1",
    "val_top5"), in the order of the seeds.
    """

    seeds: tuple[int, ...]
    each: Mapping[str, Sequence[float | None]]

    def known(self, name: str) -> list[float]:
        return [score for score in self.each[name] if score is not None]

    def mean(self, name: str) -> float | None:
        return statistics.fmean(self.known(name)) if self.known(name) else None

    def sd(self, name: str) -> float | None:
        """The standard deviation of single runs (n - 1); None of fewer than two."""
        return statistics.stdev(self.known(name)) if len(self.known(name)) > 1 else None

    def to_json(self) -> dict[str, Any]:
        scores = {
            name: {"each": list(each), "mean": self.mean(name), "sd": self.sd(name)}
            for name, each in self.each.items()
        }
        return {"seeds": list(self.seeds), "scores": scores}


def repeat(
    recipe: Recipe | PretrainingRecipe, folder: Path, number: int, session: RunSession
) -> Spread:
    """Train with so many seeds, from the recipe's on, and write `FOLDER/repeat.json`.

    A session that resumes leaves the finished runs, goes on with the one that was stopped and
    begins the others.

    Raises:
        RequestError: the folder is taken or holds none to resume; val is trained on; what `fit` and
            `pretrain` raise.
    """
    runs = seed_folders(recipe, folder, number, session.resume)
    for place, (seed, run) in enumerate(runs.items(), 1):
        _train_one(recipe, seed, run, replace(session, resume=run.exists()), f"{place}/{number}")
    spread = Spread(tuple(runs), _transposed([_scores(run) for run in runs.values()]))
    write_whole(folder / FILE, json.dumps(spread.to_json(), indent=1) + "\n")
    return spread


def _train_one(
    recipe: Recipe | PretrainingRecipe, seed: int, run: Path, session: RunSession, place: str
) -> None:
    training = recipe.training.model_copy(update={"seed": seed})
    seeded = recipe.model_copy(update={"training": training})
    if is_finished(run, seeded):
        session.say(f"seed {seed} ({place}): finished before")
        return
    session.say(f"seed {seed} ({place}): {run}")
    if isinstance(seeded, Recipe):
        fit(seeded, run, session)
    else:
        pretrain(seeded, run, session)


def _scores(run: Path) -> dict[str, float | None]:
    if not (run / "scores.json").is_file():
        facts = read_facts(run / ENCODER)
        return {name: facts[name] for name in ("val_top1", "val_top5")}
    scores = read_scores(run / "scores.json")
    found = {
        "miou": scores.miou,
        "pixel_accuracy": scores.pixel_accuracy,
        "mean_accuracy": scores.mean_accuracy,
    }
    return found | {f"iou/{name}": one.iou for name, one in scores.classes.items()}


def _transposed(rows: Sequence[Mapping[str, float | None]]) -> dict[str, list[float | None]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
