"""Tables of scores: names at the left, shares in percent at the right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def score_table(first: str, headings: Iterable[str]) -> Table:
    """An empty table: a column of names, then one of numbers for each heading."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def percent(share: float | None) -> str:
    """A share in [0, 1] in percent, for under a heading or title that says so; - for None."""
    return "-" if share is None else f"{100 * share:.2f}"
