"""Progress over things one can count: a bar with rate and time left, or lines without a terminal.

Written to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from briskseg.core.types import Progress

LINE_EVERY_S = 10.0  # where there is no terminal


@contextmanager
def counter(what: str, unit: str = "images") -> Iterator[Progress]:
    """Yields `progress(done, total)`; shows `what`, done of total, the rate and the time left."""
    console = Console(file=sys.stderr)
    started = time.monotonic()
    if not console.is_terminal:
        yield _lines(console, what, unit, started)
        return
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None, rate="")

        def show(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=done, total=total, rate=f"{rate:.1f} {unit}/s")

        yield show


def _lines(console: Console, what: str, unit: str, started: float) -> Progress:
    last = started

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S:
            return
        last = now
        rate = done / (now - started)
        console.print(
            f"{what} {done}/{total}, {rate:.1f} {unit}/s, {(total - done) / rate:.0f} s left",
            highlight=False,
            markup=False,
        )

    return show
