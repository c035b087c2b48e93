"""What the page shows of a run folder, finished or not, and a clear message on what is damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from briskseg.core.card import Card
from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.pictures import opened
from briskseg.core.files.safe_names import file_stem
from briskseg.runs.run_folder import Row, RunFolder
from briskseg.runs.scores import Scores

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

    folder: RunFolder
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


def read_run(path: Path) -> Run:
    """Read a run folder, finished or not.

    Raises RequestError for a folder that is none, DataError or WeightsError naming a damaged file.
    """
    folder = RunFolder(path)
    if not path.is_dir():
        raise RequestError(
            f"{path} is not there or is no folder, expected a run folder (runs/NAME)"
        )
    if not folder.is_run:
        known = (folder.recipe, folder.metrics, folder.scores, folder.weights)
        names = ", ".join(file.name for file in known)
        raise RequestError(f"{path} is no run folder: it holds none of {names}")
    _refuse_links_out_of(folder)
    scores = folder.read_scores()
    return Run(
        folder=folder,
        recipe=folder.read_text(folder.recipe),
        metrics=folder.read_metrics(),
        scores=scores,
        card=folder.read_card(),
        film=_find_film(folder.film),
        examples=_find_examples(folder, scores),
    )


def _refuse_links_out_of(folder: RunFolder) -> None:
    """What the page shows must lie in the folder: whoever made a run could otherwise have a file of
    the reader's own put into a page that is then handed on. (Of weights only the card is shown.)"""
    shown = [folder.recipe, folder.metrics, folder.scores]
    for part in (folder.film, folder.examples):
        shown += [part, *sorted(part.glob("*.png"))]
    for path in shown:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.path.resolve()):
            raise DataError(
                f"{path} is a link to a file outside of the run folder, expected a file in it; "
                "replace it by a copy, or remove it"
            )


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A picture of the run, decoded; DataError naming the file where it is damaged or too large."""
    with opened(path, "a picture", "train on, or remove it") as picture:
        picture.load()
        yield picture


def _find_film(folder: Path) -> Film | None:
    images: dict[int, Path] = {}
    truths: dict[int, Path] = {}
    shots: dict[int, dict[int, Path]] = {}
    for path in sorted(folder.glob("*.png")):
        if found := re.fullmatch(r"(image|truth)-(\d+)\.png", path.name):
            (images if found[1] == "image" else truths)[int(found[2])] = path
        elif found := re.fullmatch(r"epoch-(\d+)-(\d+)\.png", path.name):
            shots.setdefault(int(found[1]), {})[int(found[2])] = path
    shown = sorted(images.keys() & truths.keys())[:_MOST_FILM_IMAGES]
    whole = {e: shots[e] for e in sorted(shots) if all(k in shots[e] for k in shown)}
    if not shown or not whole:
        return None
    return Film({k: images[k] for k in shown}, {k: truths[k] for k in shown}, whole)


def _find_examples(folder: RunFolder, scores: Scores | None) -> tuple[Example, ...]:
    miou = {file_stem(image.name): image.miou for image in (scores.images if scores else ())}
    examples = {}
    for image in sorted(folder.examples.glob("*.image.png"))[:_MOST_EXAMPLES]:
        if found := re.fullmatch(r"(best|worst)-(\d+)-(.+)\.image\.png", image.name):
            kind, rank, stem = found[1], int(found[2]), found[3]
            truth, prediction = (
                image.with_name(image.name.removesuffix("image.png") + f"{part}.png")
                for part in ("truth", "prediction")
            )
            if truth.is_file() and prediction.is_file():
                example = Example(kind, stem, image, truth, prediction, miou.get(stem))
                examples[kind, rank, stem] = example
    return tuple(examples[key] for key in sorted(examples))
