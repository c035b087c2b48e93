"""What the page shows of a run folder, finished or not, and a clear message on what is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from briskseg.core.card import Card
from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.pictures import opened
from briskseg.core.files.safe_names import file_stem
from briskseg.runs.run_folder import Example, Film, Row, RunFolder
from briskseg.runs.scores import Scores


@dataclass(frozen=True)
class Run:
    """What a run folder holds; None or empty for what it does not hold yet."""

    folder: RunFolder
    recipe: str | None
    metrics: tuple[Row, ...]
    scores: Scores | None
    card: Card | None
    film: Film | None
    examples: list[Example]

    def miou(self, example: Example) -> float | None:
        """Of this image, where it is known."""
        images = self.scores.images if self.scores else ()
        alike = [i.miou for i in images if file_stem(i.name) == example.stem and i.miou is not None]
        chosen = max if example.kind == "best" else min  # of a/b and a_b, the one that is shown
        return chosen(alike, default=None)

    @property
    def validations(self) -> tuple[Row, ...]:
        """The rows of metrics.csv that a validation wrote."""
        return tuple(row for row in self.metrics if "val_loss" in row)

    @property
    def is_pretraining(self) -> bool:
        """Whether it trained an encoder on whole images alone, and has ended."""
        return self.folder.encoder_scores.is_file()

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
    folder.refuse_several()
    known = (folder.recipe, folder.metrics, folder.scores, folder.weights)
    if not any(file.is_file() for file in known):
        names = ", ".join(file.name for file in known)
        raise RequestError(f"{path} is no run folder: it holds none of {names}")
    _refuse_links_out_of(folder)
    return Run(
        folder=folder,
        recipe=folder.read_text(folder.recipe),
        metrics=folder.read_metrics(),
        scores=folder.read_scores(),
        card=folder.read_card(),
        film=folder.read_film(),
        examples=folder.read_examples(),
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
