"""A run folder: every file that a run leaves, by its name, and how each is read.

RUN/
  recipe.yaml               the recipe as resolved
  recipe-to-step-N.yaml     the recipe until a run that diverged went on with a gentler one
  length.json               the steps that `train --minutes` decided on
  metrics.csv               a row a log step and a row a validation
  events.out.tfevents.*     the same for TensorBoard, a file a session
  checkpoints/              last.ckpt, previous.ckpt, damaged.ckpt, epoch-NNN.safetensors
  model.safetensors         the best weights, with their card
  encoder.safetensors       the best encoder of a pretraining or of a first stage
  encoder.json              a pretraining's scores; it has ended once this is there
  scores.json               what model.safetensors scores on val; written last
  class_counts.json         pixels by image and class
  film/                     predictions of a few fixed images after every validation
  examples/                 the best and worst images of val
  report.html               `briskseg report`
  .lock                     held by the process that trains
SEEDS/                      of `train --repeat`
  seed-N/                   a run folder each
  repeat.json               their scores, mean and standard deviation
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from briskseg.core.card import Card, read_card, save_tensors
from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.recipe import PretrainingRecipe, Recipe, load_recipe
from briskseg.runs.scores import Scores, read_scores

Row = dict[str, float]  # a row of metrics.csv, only the columns that hold a number

_ENCODER_KEY = "briskseg.encoder"  # of the metadata of encoder.safetensors
_COUNTED = ("step", "epoch", "samples", "seconds", "images_per_s")  # must be finite
_LARGEST = 1e30  # what lies beyond no curve can show, and counts as infinite


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; nothing is read or made until a method is called."""

    path: Path

    # --- files

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    def recipe_to_step(self, step: int) -> Path:
        return self.path / f"recipe-to-step-{step}.yaml"

    @property
    def length(self) -> Path:
        return self.path / "length.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        return self.checkpoints / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        return self.checkpoints / "previous.ckpt"

    @property
    def damaged_checkpoint(self) -> Path:
        return self.checkpoints / "damaged.ckpt"

    @property
    def diverged(self) -> Path:
        """There from a divergence to the next session."""
        return self.checkpoints / "diverged.json"

    def snapshot(self, epoch: int) -> Path:
        return self.checkpoints / f"epoch-{epoch:03d}.safetensors"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def encoder(self) -> Path:
        return self.path / "encoder.safetensors"

    @property
    def encoder_scores(self) -> Path:
        return self.path / "encoder.json"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    @property
    def class_counts(self) -> Path:
        return self.path / "class_counts.json"

    @property
    def film(self) -> Path:
        """Holds image-K.png, truth-K.png and epoch-NNNN-K.png."""
        return self.path / "film"

    def film_prediction(self, epoch: int, image: int) -> Path:
        return self.film / f"epoch-{epoch:04d}-{image}.png"

    @property
    def examples(self) -> Path:
        """Holds KIND-RANK-STEM.PART.png: best or worst; image, truth or prediction."""
        return self.path / "examples"

    def example(self, kind: str, rank: int, stem: str, part: str) -> Path:
        return self.examples / f"{kind}-{rank}-{stem}.{part}.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def repeat(self) -> Path:
        """Of a folder that holds runs of several seeds."""
        return self.path / "repeat.json"

    def seed(self, seed: int) -> RunFolder:
        """The run of one seed in a folder of several."""
        return RunFolder(self.path / f"seed-{seed}")

    def events(self) -> list[Path]:
        return sorted(self.path.glob("events.out.tfevents.*"))

    def seeds(self) -> list[Path]:
        return sorted(path for path in self.path.glob("seed-*") if path.is_dir())

    # --- state

    @property
    def is_run(self) -> bool:
        """Whether any of the files is there by which a run is known."""
        known = (self.recipe, self.metrics, self.scores, self.weights)
        return any(file.is_file() for file in known)

    def is_begun(self) -> bool:
        """Whether it holds more than a run leaves that was refused before its first step."""
        return bool(self.beyond_start()) and self.recipe.is_file()

    def beyond_start(self) -> list[str]:
        """The names in the folder but for those that are written before the first step.

        Raises RequestError where the folder cannot be listed.
        """
        try:
            present = list(self.path.iterdir()) if self.path.exists() else []
        except OSError as error:
            raise RequestError(
                f"the run folder {self.path} cannot be made: {error.strerror}; name another with "
                "--out"
            ) from error
        first = {file.name for file in (self.lock, self.recipe, self.class_counts, self.length)}
        return [p.name for p in present if p.name not in first and not p.match(".*.part")]

    # --- reading

    def read_text(self, path: Path) -> str | None:
        """A text file of the folder, None where it is not there; DataError where it is damaged."""
        if not path.is_file():
            return None
        try:
            check_size(path, MAX_TEXT_BYTES)
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}); restore it, or remove it") from None

    def read_recipe(self) -> Recipe | PretrainingRecipe:
        """Raises RequestError where the file is not there or is no recipe."""
        return load_recipe(str(self.recipe))

    def read_card(self) -> Card | None:
        """The card of model.safetensors, None before the first validation."""
        return read_card(self.weights) if self.weights.is_file() else None

    def read_scores(self) -> Scores | None:
        """scores.json, None while the run has not ended."""
        return read_scores(self.scores) if self.scores.is_file() else None

    def read_encoder_card(self) -> dict[str, Any]:
        """The recipe, scores and versions in the metadata of encoder.safetensors."""
        from safetensors import safe_open

        with safe_open(self.encoder, framework="np") as file:
            card: dict[str, Any] = json.loads(file.metadata()[_ENCODER_KEY])
        return card

    def read_metrics(self) -> tuple[Row, ...]:
        """The whole rows of metrics.csv, none where it is not there.

        Raises DataError naming the line of what is no number.
        """
        text = self.read_text(self.metrics) or ""
        whole = text[: text.rfind("\n") + 1]  # a run under way may be writing its last row
        rows: list[Row] = []
        table = csv.DictReader(io.StringIO(whole))
        try:
            for cells in table:
                rows.append({name: _number(name, cell) for name, cell in cells.items() if cell})
        except (ValueError, TypeError, AttributeError, csv.Error):
            raise DataError(
                f"{self.metrics}, line {table.line_num}: a cell is no number, expected the rows "
                "that training writes; correct that line or remove it"
            ) from None
        return tuple(rows)


def save_encoder(path: Path, tensors: Mapping[str, Any], card: Mapping[str, Any]) -> None:
    """Write an encoder's tensors under the names that they have in the segmentation network, and
    whatever was trained on top of it; `card` (recipe, scores, versions) becomes its metadata."""
    save_tensors(path, tensors, {_ENCODER_KEY: json.dumps(card)})


def _number(column: str, cell: str) -> float:
    number = float(cell)
    if column in _COUNTED and not abs(number) < 1e15:
        raise ValueError
    return (
        number if abs(number) <= _LARGEST or math.isnan(number) else math.copysign(math.inf, number)
    )
