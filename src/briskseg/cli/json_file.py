"""`--json FILE`: a verb's result for programs, in a file or, with -, on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from briskseg.core.errors import BriskError, RequestError

JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for stdout."),
]


def check_place(option: str, file: Path | None) -> None:
    """Raises RequestError, before there is work, where the folder to write to is not there."""
    if file is not None and not is_stdout(file) and not file.parent.is_dir():
        raise RequestError(f"{option} {file}: the folder {file.parent} is not there; make it")


def is_stdout(file: Path | None) -> bool:
    """Whether the JSON goes to standard output, where nothing else may be printed then."""
    return str(file) == "-"


def write_json(file: Path | None, result: dict[str, Any]) -> None:
    """Write the result, where it was asked for. Call it last: what was printed for the user before
    is not lost where the file cannot be written (BriskError)."""
    if file is None:
        return
    text = json.dumps(result, indent=1, allow_nan=False)
    if is_stdout(file):
        print(text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BriskError(f"--json {file} cannot be written: {error.strerror}") from None
