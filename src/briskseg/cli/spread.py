"""What `train --repeat` prints: each seed's scores, their mean and how far they lie apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from briskseg.cli.tables import percent, score_table

if TYPE_CHECKING:
    from briskseg.training.repeat import Spread


def print_spread(spread: Spread, folder: Path) -> None:
    """Two tables on standard output: a row a seed, and a row a class."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    shown = [name for name in spread.each if not name.startswith("iou/")]
    table = score_table("seed", [_title(name) for name in shown])
    for place, seed in enumerate(spread.seeds):
        table.add_row(str(seed), *(percent(spread.each[name][place]) for name in shown))
    table.add_row("mean", *(percent(spread.mean(name)) for name in shown))
    table.add_row("standard deviation", *(percent(spread.sd(name)) for name in shown))
    console.print(table)
    classes = [name for name in spread.each if name.startswith("iou/")]
    if classes:
        console.print()
        table = score_table("class", ["IoU, mean, %", "standard deviation", "least", "most"])
        for name in classes:
            known = spread.known(name)
            least, most = min(known, default=None), max(known, default=None)
            values = spread.mean(name), spread.sd(name), least, most
            table.add_row(name.removeprefix("iou/"), *map(percent, values))
        console.print(table)
    console.print()
    console.print(f"{folder / 'repeat.json'}: the same as JSON, in [0, 1]", soft_wrap=True)
    console.print(f"next: briskseg report {folder / f'seed-{spread.seeds[0]}'}", soft_wrap=True)


def _title(name: str) -> str:
    titles = {"miou": "mIoU", "val_top1": "top-1", "val_top5": "top-5"}
    return f"{titles.get(name, name.replace('_', ' '))}, %"
