"""briskseg models: the networks there are, and the trained weights that come with them."""

from __future__ import annotations

from typing import Any

from briskseg.cli import app
from briskseg.cli.json_file import JsonOption, check_place, write_json


@app.command()
def models(
    json_file: JsonOption = None,
) -> None:
    """List the networks (name, paper, size), and the trained weights that come with briskseg.

    Parameters and GFLOP are for 19 classes; GFLOP for one image of 512x1024, a multiplication and
    an addition counted as two. `predict`, `evaluate` and `export` take the name of shipped weights
    as their MODEL.

    Example: briskseg models
    """
    check_place("--json", json_file)
    shipped = _shipped()
    if json_file is None:
        _print(shipped)
    else:
        write_json(json_file, {"networks": _networks(), "shipped": shipped})


def _networks() -> dict[str, dict[str, Any]]:
    from briskseg.models import MODELS

    return {
        name: {
            "title": entry.title,
            "paper": entry.paper,
            "year": entry.year,
            "parameters": entry.parameters,
            "gflop": entry.gflop,
        }
        for name, entry in MODELS.items()
    }


def _print(shipped: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from briskseg.models import MODELS

    console = Console(width=100, highlight=False)
    table = Table("name", "network", "paper", "year", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("GFLOP at 512x1024", justify="right")
    for name, entry in MODELS.items():
        parameters, gflop = f"{entry.parameters / 1e6:.2f} M", f"{entry.gflop:.1f}"
        table.add_row(name, entry.title, entry.paper, str(entry.year), parameters, gflop)
    console.print(table)
    if not shipped:
        return
    table = Table("weights", "network", "classes", "input", "val mIoU", box=None, pad_edge=False)
    table.add_column("files", overflow="fold")  # a line a file
    for name, one in shipped.items():
        size, miou, before = one["input"], one["val_miou"], one["val_miou_before"]
        told = "any" if size is None else f"{size[0]}x{size[1]}"
        score = "-" if miou is None else f"{100 * miou:.2f} %"
        score = score if before is None else f"{100 * before:.2f} % *"
        files = "\n".join(one["files"])
        table.add_row(name, one["network"], str(one["classes"]), told, score, files)
    console.print()
    console.print(table)
    if any(one["val_miou_before"] is not None for one in shipped.values()):
        console.print("* before they were trained on val too")


def _shipped() -> dict[str, dict[str, Any]]:
    """What is known of the weights that come with the package, from their cards."""
    from briskseg.core.card import read_card
    from briskseg.core.exported import read_exported
    from briskseg.runtime.model_files import WEIGHTS, shipped_files

    shipped = {}
    for name, files in shipped_files().items():
        first = files[-1]
        card = read_card(first) if first.suffix == WEIGHTS else read_exported(first)[0]
        shipped[name] = {
            "network": card.network.name,
            "classes": card.network.classes,
            "input": None if card.input.size is None else [*card.input.size],
            "val_miou": card.scores.get("val_miou"),
            "val_miou_before": card.scores.get("val_miou_before"),
            "files": [file.name for file in files],
        }
    return shipped
