"""From a run folder to `report.html`: one file that opens offline, with everything inside."""

from __future__ import annotations

from html import escape
from pathlib import Path

from briskseg.core.errors import BriskError
from briskseg.core.files.atomic import write_whole
from briskseg.runs.report.run_content import Run, read_run
from briskseg.runs.report.sections import (
    class_section,
    confusion_section,
    curve_section,
    example_section,
    film_section,
    headline,
    recipe_section,
)
from briskseg.runs.report.style import STYLE


def write_report(folder: Path) -> Path:
    """Write RUN/report.html from what the run folder holds, and return its path.

    A run that is not finished gets a page too, which says what is missing.
    Raises RequestError for a folder that is no run, DataError or WeightsError naming a damaged
    file, MissingExtraError without matplotlib.
    """
    page = report_html(read_run(folder))
    path = folder / "report.html"
    try:
        write_whole(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise BriskError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def report_html(run: Run) -> str:
    """The whole page."""
    name = escape(run.folder.resolve().name)
    scored = run.scores is not None
    parts = [
        f'<h1>{name}</h1><p class="soft">{escape(_summary(run))}</p>',
        headline(run),
        _missing(run),
        curve_section(run),
        film_section(run),
        class_section(run, run.scores) if run.scores is not None else "",
        confusion_section(run.scores) if run.scores is not None else "",
        example_section(run, "best", "Best images"),
        example_section(run, "worst", "Worst images"),
        recipe_section(run),
        "<footer>Written by briskseg from the files of this run folder alone"
        f"{'; the scores are those of model.safetensors' if scored else ''}.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} - briskseg</title><style>{STYLE}</style></head>\n"
        f"<body><main>{chr(10).join(part for part in parts if part)}</main></body></html>\n"
    )


def _summary(run: Run) -> str:
    if run.card is None:
        return "A training run"
    facts = run.card.training
    text = f"{run.card.network.name}, {run.card.network.classes} classes"
    if facts.get("recipe"):
        text += f", recipe {facts['recipe']}"
    if facts.get("data"):
        text += f", data {facts['data']}"
    if facts.get("epoch"):
        best = "" if run.scores_nothing else "best "
        text += f"; the {best}weights are those of epoch {facts['epoch']}"
    if run.scores_nothing:
        text += "; val was trained on, so nothing is scored"
    return text


def _missing(run: Run) -> str:
    """What an unfinished run has not written yet."""
    lacking = {
        "metrics.csv (curves)": not run.metrics,
        "model.safetensors (the best weights)": run.card is None,
        "scores.json (scores by class)": run.scores is None and not run.scores_nothing,
        "film/ (prediction film)": run.film is None,
        "examples/ (best and worst images)": not run.examples and not run.scores_nothing,
        "recipe.yaml": run.recipe is None,
    }
    names = [name for name, lacks in lacking.items() if lacks]
    if not names:
        return ""
    return (
        '<section class="notice"><p>This run is not finished, or parts of it were removed. '
        f"Not there: {escape(', '.join(names))}.</p></section>"
    )
