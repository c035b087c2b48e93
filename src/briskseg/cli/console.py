"""What the verbs share to print: text that no file's names can abuse, progress, tables and JSON.

Progress goes to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from briskseg.core.errors import BriskError, RequestError
from briskseg.core.files.atomic import refuse_unwritable
from briskseg.core.files.safe_names import printable
from briskseg.core.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from briskseg.core.types import Progress

WIDTH = 100  # of tables whose columns would else depend on the terminal
LINE_EVERY_S = 10.0  # of progress where there is no terminal


def is_stdout(file: Path | None) -> bool:
    """Whether the JSON goes to standard output, where nothing else may be printed then."""
    return str(file) == "-"


def _check_json_file(file: Path | None) -> Path | None:
    """Refuses, before there is work, a folder, and a file that cannot be written there."""
    if file is not None and not is_stdout(file):
        if not os.access(file, os.W_OK):  # of a device like /dev/null the folder is not written
            refuse_unwritable(file.parent)
        if file.is_dir():
            raise RequestError(f"--json {file} is a folder; name a file, as {file / 'result.json'}")
        if not file.parent.is_dir():
            raise RequestError(f"--json {file}: the folder {file.parent} is not there; make it")
        if file.exists() and not os.access(file, os.W_OK):
            raise RequestError(f"--json {file} may not be written; name another file")
    return file


JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        callback=_check_json_file,
        help="Write the result as JSON; - for stdout.",
    ),
]


class PlainText:
    """A stream that writes control characters (colors, cursor moves, clipboard, title) as escapes.

    Rich, whose bars and tables need such characters, finds the stream itself under the attribute
    that it looks for; what it is given to show holds class names alone, which are checked on
    reading.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """As the stream's."""
        self.rich_proxied_file.write(printable(text, keep="\n\t"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Standard output and error are such streams, and write what their encoding lacks as escapes.

    A reader that has gone (`briskseg models | head -1`) ends the program without a word. One that
    was closed from the start (`>&-`) is the null device: a file opened later would get its number.
    """
    nowhere = partial(open, os.devnull, "w")
    before = sys.stdout or nowhere(), sys.stderr or nowhere()
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (PlainText(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # else Python would try again at its end, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain_console(width: int | None = None) -> Console:
    """For tables and texts on standard output: nothing in them is taken for markup or colored."""
    from rich.console import Console

    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_table(
    headings: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    names: int = 1,
    width: int | None = None,
    name_width: int | None = None,
) -> None:
    """Print a table whose first columns hold names and the others numbers; a name too long for its
    column goes on in the next line. width: of the table, by default the terminal's. name_width:
    the most letters of the first column."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for index, heading in enumerate(headings):
        if index < names:
            most = name_width if index == 0 else None
            table.add_column(heading, overflow="fold", max_width=most)
        else:  # half a number would be another one
            table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    plain_console(width).print(table)


def note(text: str) -> None:
    """Say on standard error what the user is to know, though the work goes on."""
    print(f"note: {text}", file=sys.stderr)


def warn_of_dark(images: Sequence[Path]) -> None:
    """Say once, on standard error, which of these images are read as black."""
    from briskseg.core.images import dark_images

    if said := dark_images(images):
        print(f"warning: {said}", file=sys.stderr)


def files_in(folder: Path) -> set[Path]:
    """The files in a folder and below it; none where it is not there. Of the folder that one stands
    in, or one above, its own alone: below lies what has nothing to do with it."""
    is_wide = Path.cwd().is_relative_to(folder.resolve())
    with suppress(OSError):  # something went while it was listed
        return {path for path in folder.glob("*" if is_wide else "**/*") if path.is_file()}
    return set()


def say_replaced(folder: Path, before: set[Path], written: Iterable[Path]) -> None:
    """Say on standard error how many of the files that lay in the folder were written anew."""
    if replaced := before.intersection(written):
        note(f"replaced {counted(len(replaced), 'file')} in {folder}")


def percent(share: float | None, sign: str = "") -> str:
    """A share in [0, 1] in percent, two digits behind the point; "-" for None. sign: " %" where no
    heading says so."""
    return "-" if share is None else f"{100 * share:.2f}{sign}"


class ProgressLines:
    """Progress where nobody watches: of what is shown, a line every few seconds; on a terminal,
    which has a bar, none."""

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, time.monotonic()

    def show(self, text: str) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last >= LINE_EVERY_S:
            self._last = now
            self._console.print(text, highlight=False, markup=False)


@contextmanager
def counter(what: str, unit: str = "images") -> Iterator[Progress]:
    """Yields `progress(done, total)`; shows `what`, done of total, the rate and the time left.

    A bar, or on no terminal a line every few seconds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(file=sys.stderr)
    started, lines = time.monotonic(), ProgressLines(console)
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(what, total=None, rate="")

    def show(done: int, total: int) -> None:
        rate = done / max(time.monotonic() - started, 1e-9)
        per_s = f"{rate:.1f} {unit}/s"
        bar.update(task, completed=done, total=total, rate=per_s)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        lines.show(f"{what} {done}/{total}, {per_s}{left}")

    with bar:
        yield show


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
