"""briskseg report: a run folder as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, finished or not.")],
) -> None:
    """Write a run's report: curves, scores by class, confusion, prediction film, best and worst.

    The page is RUN/report.html, one file that opens offline. `train` writes it at its end; this
    writes it again, also for a run that is not finished.

    Example: briskseg report runs/first
    """
    from briskseg.runs.report.page import write_report

    print(write_report(run))
