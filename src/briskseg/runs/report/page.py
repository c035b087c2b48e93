"""From a run folder to `report.html`: one file that opens offline, with everything inside."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path

from briskseg.core.files.atomic import write_whole, writing
from briskseg.runs.report import sections
from briskseg.runs.report.run_content import Run, read_run


def write_report(folder: Path) -> Path:
    """Write RUN/report.html from what the run folder holds, and return its path.

    A run that is not finished gets a page too, which says what is missing.
    Raises RequestError for a folder that is no run, DataError or WeightsError naming a damaged
    file, MissingExtraError without matplotlib.
    """
    run = read_run(folder)
    page, path = report_html(run), run.folder.report
    with writing(path):
        write_whole(path, page.encode("utf-8", "backslashreplace"))
    return path


def report_html(run: Run) -> str:
    """The whole page."""
    name = escape(run.folder.path.resolve().name)
    footer = "Written by briskseg from the files of this run folder alone"
    if run.scores is not None:
        footer += f"; the scores are those of {run.folder.weights.name}"
    parts = [
        f'<h1>{name}</h1><p class="soft">{escape(_summary(run))}</p>',
        sections.headline(run),
        _missing(run),
        sections.curve_section(run),
        sections.film_section(run),
        sections.class_section(run),
        sections.confusion_section(run),
        sections.example_section(run, "best"),
        sections.example_section(run, "worst"),
        sections.recipe_section(run),
        f"<footer>{footer}.</footer>",
    ]
    body = "\n".join(part for part in parts if part)
    style = files("briskseg.runs.report").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} - briskseg</title><style>\n{style}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def _summary(run: Run) -> str:
    if run.card is None:
        return "A training run"
    training = run.card.training
    text = f"{run.card.network.name}, {run.card.network.classes} classes"
    if training.get("recipe"):
        text += f", recipe {training['recipe']}"
    if training.get("data"):
        text += f", data {training['data']}"
    if training.get("epoch"):
        best = "" if run.scores_nothing else "best "
        text += f"; the {best}weights are those of epoch {training['epoch']}"
    if run.scores_nothing:
        text += "; val was trained on, so nothing is scored"
    return text


def _missing(run: Run) -> str:
    folder, scores_nothing = run.folder, run.scores_nothing
    is_missing = {
        f"{folder.weights.name} (the best weights)": run.card is None,
        f"{folder.scores.name} (scores by class)": run.scores is None and not scores_nothing,
        f"{folder.film.name}/ (prediction film)": run.film is None,
        f"{folder.examples.name}/ (best and worst images)": not (run.examples or scores_nothing),
    }
    if run.is_pretraining:  # of an encoder nothing is scored by class, and nothing drawn
        is_missing = {}
    is_missing[f"{folder.metrics.name} (curves)"] = not run.metrics
    is_missing[folder.recipe.name] = run.recipe is None
    names = [name for name, missing in is_missing.items() if missing]
    if not names:
        return ""
    return (
        '<section class="notice"><p>This run is not finished, or parts of it were removed. '
        f"Not there: {escape(', '.join(names))}.</p></section>"
    )
