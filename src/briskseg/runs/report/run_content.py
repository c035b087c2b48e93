"""A run folder, read: what is there of an unfinished run, and a clear word on what is damaged."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from briskseg.core.card import Card, read_card
from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.core.files.safe_names import file_stem
from briskseg.runs.scores import Scores, read_scores

Row = dict[str, float]  # a row of metrics.csv, only the columns that hold a number

_PLACES = ("step", "epoch", "samples", "seconds", "images_per_s")  # must be finite
_LARGEST = 1e30  # what lies beyond no curve can show, and counts as infinite
# A run of ours has 4 and 6; the page of one that someone else made must not grow without end.
_MOST_FILM_IMAGES, _MOST_EXAMPLES = 16, 24


@dataclass(frozen=True)
class Example:
    """One of the best or worst images: its three pictures, and its mIoU where known."""

    kind: str
    name: str
    image: Path
    truth: Path
    prediction: Path
    miou: float | None


@dataclass(frozen=True)
class Film:
    """The fixed images (K) with their truth, and `shots[epoch][K]`, the predictions."""

    images: Mapping[int, Path]
    truths: Mapping[int, Path]
    shots: Mapping[int, Mapping[int, Path]]


@dataclass(frozen=True)
class Run:
    """What a run folder holds; None or empty for what it does not hold yet."""

    folder: Path
    recipe: str | None
    metrics: tuple[Row, ...]
    scores: Scores | None
    card: Card | None
    film: Film | None
    examples: tuple[Example, ...]

    @property
    def validations(self) -> tuple[Row, ...]:
        """The rows of metrics.csv that a validation wrote."""
        return tuple(row for row in self.metrics if "val_miou" in row)

    @property
    def scores_nothing(self) -> bool:
        """Whether val was trained on, so that there is nothing to score."""
        return self.card is not None and self.card.has_seen_val


def read_run(folder: Path) -> Run:
    """Read a run folder, finished or not.

    Raises RequestError for a folder that is none, DataError or WeightsError naming a damaged file.
    """
    if not folder.is_dir():
        raise RequestError(
            f"{folder} is not there or is no folder, expected a run folder (runs/NAME)"
        )
    known = ("recipe.yaml", "metrics.csv", "scores.json", "model.safetensors")
    if not any((folder / name).is_file() for name in known):
        raise RequestError(f"{folder} is no run folder: it holds none of {', '.join(known)}")
    _refuse_links_out_of(folder)
    weights = folder / "model.safetensors"
    file = folder / "scores.json"
    scores = read_scores(file) if file.is_file() else None
    return Run(
        folder=folder,
        recipe=_text(folder / "recipe.yaml"),
        metrics=_read_metrics(folder / "metrics.csv"),
        scores=scores,
        card=read_card(weights) if weights.is_file() else None,
        film=_find_film(folder / "film"),
        examples=_find_examples(folder / "examples", scores),
    )


def _refuse_links_out_of(folder: Path) -> None:
    """What the page shows must lie in the folder: whoever made a run could otherwise have a file of
    the reader's own put into a page that is then handed on. (Of weights only the card is shown.)"""
    shown = [folder / name for name in ("recipe.yaml", "metrics.csv", "scores.json")]
    for part in (folder / "film", folder / "examples"):
        shown += [part, *sorted(part.glob("*.png"))]
    for path in shown:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(
                f"{path} is a link to a file outside of the run folder, expected a file in it; "
                "replace it by a copy, or remove it"
            )


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        check_size(path, MAX_TEXT_BYTES)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it, or remove it") from None


def _read_metrics(path: Path) -> tuple[Row, ...]:
    text = _text(path) or ""
    whole = text[: text.rfind("\n") + 1]  # a run under way may be writing its last row
    rows: list[Row] = []
    table = csv.DictReader(io.StringIO(whole))
    try:
        for cells in table:
            rows.append({name: _number(name, cell) for name, cell in cells.items() if cell})
    except (ValueError, TypeError, AttributeError, csv.Error):
        raise DataError(
            f"{path}, line {table.line_num}: a cell is no number, expected the rows that training "
            "writes; correct that line or remove it"
        ) from None
    return tuple(rows)


def _number(column: str, cell: str) -> float:
    number = float(cell)
    if column in _PLACES and not abs(number) < 1e15:
        raise ValueError
    return (
        number if abs(number) <= _LARGEST or math.isnan(number) else math.copysign(math.inf, number)
    )


def _find_film(folder: Path) -> Film | None:
    images: dict[int, Path] = {}
    truths: dict[int, Path] = {}
    shots: dict[int, dict[int, Path]] = {}
    for path in sorted(folder.glob("*.png")):
        if found := re.fullmatch(r"(image|truth)-(\d+)\.png", path.name):
            (images if found[1] == "image" else truths)[int(found[2])] = path
        elif found := re.fullmatch(r"epoch-(\d+)-(\d+)\.png", path.name):
            shots.setdefault(int(found[1]), {})[int(found[2])] = path
    places = sorted(images.keys() & truths.keys())[:_MOST_FILM_IMAGES]
    if not places:
        return None
    whole = {e: shots[e] for e in sorted(shots) if all(k in shots[e] for k in places)}
    if not whole:
        return None
    return Film({k: images[k] for k in places}, {k: truths[k] for k in places}, whole)


def _find_examples(folder: Path, scores: Scores | None) -> tuple[Example, ...]:
    images = scores.images if scores else ()
    miou = {file_stem(image.name): image.miou for image in images}
    examples = []
    for path in sorted(folder.glob("*.image.png"))[:_MOST_EXAMPLES]:
        stem = path.name.removesuffix(".image.png")
        found = re.fullmatch(r"(best|worst)-(\d+)-(.+)", stem)
        truth, prediction = (folder / f"{stem}.{part}.png" for part in ("truth", "prediction"))
        if found and truth.is_file() and prediction.is_file():
            name = found[3]
            example = Example(found[1], name, path, truth, prediction, miou.get(name))
            examples.append((found[1], int(found[2]), example))
    return tuple(example for _, _, example in sorted(examples, key=lambda one: one[:2]))
