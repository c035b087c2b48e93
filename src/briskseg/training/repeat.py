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
from briskseg.recipe import AnyRecipe
from briskseg.runs.run_folder import RunFolder
from briskseg.training.fit import fit
from briskseg.training.preflight import seed_folders
from briskseg.training.session import RunSession, finished


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


def repeat(recipe: AnyRecipe, folder: Path, number: int, session: RunSession) -> Spread:
    """Train with so many seeds, from the recipe's on, and write `FOLDER/repeat.json`.

    A session that resumes leaves the finished runs, goes on with the one that was stopped and
    begins the others.

    Raises:
        RequestError: the folder is taken or holds none to resume; val is trained on; what `fit`
            raises.
    """
    seeds = RunFolder(folder)
    runs = seed_folders(recipe, seeds, number, session.resume)
    diverged = any(run.has_diverged() for run in runs.values())
    for nth, (seed, run) in enumerate(runs.items(), 1):
        training = recipe.training.model_copy(update={"seed": seed})
        seeded = recipe.model_copy(update={"training": training})
        if (said := finished(run, seeded, diverged)) is not None:
            session.say(f"seed {seed} ({nth}/{number}): {said}")
            continue
        session.say(f"seed {seed} ({nth}/{number}): {run.path}")
        fit(seeded, run.path, replace(session, resume=run.path.exists()))
    scores = [_scores(run) for run in runs.values()]
    each = {name: [row[name] for row in scores] for name in scores[0]}
    spread = Spread(tuple(runs), each)
    write_whole(seeds.repeat, json.dumps(spread.to_json(), indent=1) + "\n")
    return spread


def _scores(run: RunFolder) -> dict[str, float | None]:
    scores = run.read_scores()
    if scores is None:
        card = run.read_encoder_card()
        return {name: card[name] for name in ("val_top1", "val_top5")}
    found = {
        "miou": scores.miou,
        "pixel_accuracy": scores.pixel_accuracy,
        "mean_accuracy": scores.mean_accuracy,
    }
    return found | {f"iou/{name}": one.iou for name, one in scores.classes.items()}
