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
  scores.json               what model.safetensors scores on val; the run has ended with it
  class_counts.json         pixels by image and class
  film/                     predictions of a few fixed images after every validation
  examples/                 the best and worst images of val
  report.html               all this as a page: of a run that has ended, or by `briskseg report`
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
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from briskseg.core import run_names
from briskseg.core.card import Card, read_card, read_metadata, save_tensors
from briskseg.core.errors import BriskError, DataError, RequestError, WeightsError
from briskseg.core.files.limits import parse_json, read_text
from briskseg.recipe import AnyRecipe, load_recipe
from briskseg.runs.scores import Scores, read_scores

Row = dict[str, float]  # a row of metrics.csv, only the columns that hold a number

# A run of ours has 4 and 6; one that someone else made must not grow a page without end.
_MOST_FILM_IMAGES, _MOST_EXAMPLES = 16, 24
_ENCODER_KEY = "briskseg.encoder"  # of the metadata of encoder.safetensors
_COUNTED = ("step", "epoch", "samples", "seconds", "images_per_s")  # must be finite
_LARGEST = 1e30  # what lies beyond no curve can show, and counts as infinite


class Film(NamedTuple):
    """The fixed images (K) with their truth, and `shots[epoch][K]`, the predictions."""

    images: dict[int, Path]
    truths: dict[int, Path]
    shots: dict[int, dict[int, Path]]


class Example(NamedTuple):
    """Pictures of one of the best or worst images, the first of its kind with rank 0."""

    kind: str
    rank: int
    stem: str
    image: Path
    truth: Path
    prediction: Path


class RunFolder:
    """The folder of one run; nothing is read or made until a method is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / run_names.RECIPE
        self.length = path / "length.json"
        self.metrics = path / "metrics.csv"
        self.weights = path / run_names.WEIGHTS
        self.encoder = path / run_names.ENCODER
        self.encoder_scores = path / "encoder.json"
        self.scores = path / run_names.SCORES
        self.class_counts = path / "class_counts.json"
        self.film = path / "film"
        self.examples = path / "examples"
        self.report = path / "report.html"
        self.lock = path / ".lock"
        self.repeat = path / "repeat.json"  # of a folder that holds runs of several seeds
        self.checkpoints = path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.previous_checkpoint = self.checkpoints / "previous.ckpt"
        self.damaged_checkpoint = self.checkpoints / "damaged.ckpt"
        self.diverged = self.checkpoints / "diverged.json"  # until the next session

    def recipe_to_step(self, step: int) -> Path:
        return self.path / f"recipe-to-step-{step}.yaml"

    def snapshot(self, epoch: int) -> Path:
        return self.checkpoints / f"epoch-{epoch:03d}.safetensors"

    def film_image(self, image: int) -> Path:
        return self.film / f"image-{image}.png"

    def film_truth(self, image: int) -> Path:
        return self.film / f"truth-{image}.png"

    def film_prediction(self, epoch: int, image: int) -> Path:
        return self.film / f"epoch-{epoch:04d}-{image}.png"

    def example(self, kind: str, rank: int, stem: str, part: str) -> Path:
        """kind: best or worst. part: image, truth or prediction."""
        return self.examples / f"{kind}-{rank}-{stem}.{part}.png"

    def seed(self, seed: int) -> RunFolder:
        """The run of one seed in a folder of several."""
        return RunFolder(self.path / f"{run_names.SEED}{seed}")

    def seeds(self) -> list[RunFolder]:
        """The runs in a folder of several seeds, by their numbers."""
        found = {
            p.name.removeprefix(run_names.SEED): p for p in self.path.glob(f"{run_names.SEED}*")
        }
        return [RunFolder(found[seed]) for seed in sorted(filter(str.isdecimal, found), key=int)]

    def refuse_several(self) -> None:
        """Raise RequestError for a folder of several seeds, where one run is asked for."""
        if seeds := self.seeds():
            names = ", ".join(run.path.name for run in seeds[:5])
            raise RequestError(
                f"{self.path} holds runs of several seeds ({names}); name one of them: "
                f"{seeds[0].path}"
            )

    # --- state

    def has_diverged(self) -> bool:
        """Whether the run did, now or once."""
        return self.diverged.is_file() or any(self.path.glob("recipe-to-step-*.yaml"))

    def is_begun(self) -> bool:
        """Whether it holds more than a run leaves that was refused before its first step."""
        return bool(self.beyond_start()) and self.recipe.is_file()

    def beyond_start(self) -> list[str]:
        """The names in the folder but for those that are written before the first step.

        Raises RequestError where the folder cannot be listed.
        """
        with self._made():
            present = list(self.path.iterdir()) if self.path.exists() else []
        first = {self.lock.name, self.recipe.name, self.class_counts.name, self.length.name}
        first.add(self.report.name)  # which `briskseg report` may have written of a refused start
        return [p.name for p in present if p.name not in first and not p.match(".*.part")]

    def make(self) -> None:
        """Make the folder where it is not there; RequestError where it cannot be made."""
        with self._made():
            self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _made(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RequestError(
                f"the run folder {self.path} cannot be made: {error.strerror}; name another with "
                "--out"
            ) from error

    # --- reading

    def read_text(self, path: Path) -> str | None:
        """A text file of the folder, None where it is not there; DataError where it is damaged."""
        return read_text(path) if path.is_file() else None

    def read_recipe(self) -> AnyRecipe:
        """Raises RequestError where the file is not there or is no recipe."""
        return load_recipe(str(self.recipe))

    def read_card(self) -> Card | None:
        """The card of model.safetensors, None before the first validation."""
        return read_card(self.weights) if self.weights.is_file() else None

    def read_scores(self) -> Scores | None:
        """scores.json, None while the run has not ended."""
        return read_scores(self.scores) if self.scores.is_file() else None

    def read_encoder_card(self) -> dict[str, Any]:
        """The recipe, scores and versions in the metadata of encoder.safetensors.

        Raises WeightsError where the file is not there, damaged, or of something else.
        """
        try:
            card: dict[str, Any] = json.loads(read_metadata(self.encoder)[_ENCODER_KEY])
        except (BriskError, KeyError, ValueError) as error:  # damage, or no card of ours
            raise WeightsError(
                f"{self.encoder} cannot be read as a pretrained encoder ({error}); restore it from "
                "a copy, or train again with another --out"
            ) from None
        return card

    def read_length(self) -> dict[str, Any]:
        """length.json, {"minutes", "steps"}; minutes None where the recipe alone says how long.

        Raises DataError where it is damaged.
        """
        text = self.read_text(self.length)
        if text is None:
            return {"minutes": None}
        try:
            length = parse_json(text)
            return {"minutes": float(length["minutes"]), "steps": int(length["steps"])}
        except (ValueError, TypeError, KeyError):
            raise DataError(
                f'{self.length} is damaged, expected {{"minutes": M, "steps": N}}; write it again, '
                f"with the steps of {self.recipe.name}"
            ) from None

    def read_film(self) -> Film | None:
        """The images of which every prediction is there, None where there is none yet."""
        images: dict[int, Path] = {}
        truths: dict[int, Path] = {}
        shots: dict[int, dict[int, Path]] = {}
        for path in sorted(self.film.glob("*.png")):
            if found := re.fullmatch(r"(image|truth)-(\d+)\.png", path.name):
                (images if found[1] == "image" else truths)[int(found[2])] = path
            elif found := re.fullmatch(r"epoch-(\d+)-(\d+)\.png", path.name):
                shots.setdefault(int(found[1]), {})[int(found[2])] = path
        shown = sorted(images.keys() & truths.keys())[:_MOST_FILM_IMAGES]
        whole = {e: shots[e] for e in sorted(shots) if all(k in shots[e] for k in shown)}
        if not shown or not whole:
            return None
        return Film({k: images[k] for k in shown}, {k: truths[k] for k in shown}, whole)

    def read_examples(self) -> list[Example]:
        """Those whose three pictures are there, the best ones first."""
        found = []
        for image in sorted(self.examples.glob("*.image.png"))[:_MOST_EXAMPLES]:
            if named := re.fullmatch(r"(best|worst)-(\d+)-(.+)\.image\.png", image.name):
                stem = image.name.removesuffix("image.png")
                others = [image.with_name(f"{stem}{part}.png") for part in ("truth", "prediction")]
                if all(other.is_file() for other in others):
                    found.append(Example(named[1], int(named[2]), named[3], image, *others))
        return sorted(found)

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
