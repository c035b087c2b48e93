"""briskseg models: the networks there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app
from briskseg.core.errors import RequestError


@app.command()
def models(
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write them as JSON; - for standard output."),
    ] = None,
) -> None:
    """List the networks: name, paper, size.

    Parameters and GFLOP are for 19 classes; GFLOP for one image of 512x1024, a multiplication and
    an addition counted as two.

    Example: briskseg models
    """
    from briskseg.models import MODELS

    if json_file is not None:
        _write_json(
            json_file,
            {
                name: {
                    "title": entry.title,
                    "paper": entry.paper,
                    "year": entry.year,
                    "parameters": entry.parameters,
                    "gflop": entry.gflop,
                }
                for name, entry in MODELS.items()
            },
        )
        return

    from rich.console import Console
    from rich.table import Table

    table = Table("name", "network", "paper", "year", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("GFLOP", justify="right")
    for name, entry in MODELS.items():
        parameters, gflop = f"{entry.parameters / 1e6:.2f} M", f"{entry.gflop:.1f}"
        table.add_row(name, entry.title, entry.paper, str(entry.year), parameters, gflop)
    Console().print(table)


def _write_json(file: Path, result: dict[str, dict[str, str | int | float]]) -> None:
    text = json.dumps(result, indent=2)
    if str(file) == "-":
        print(text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--json {file} cannot be written: {error.strerror}") from error
