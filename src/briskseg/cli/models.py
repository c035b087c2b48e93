"""briskseg models: the networks there are, and the trained weights that come with them."""

from __future__ import annotations

from typing import Any

from briskseg.cli import app
from briskseg.cli.console import (
    WIDTH,
    JsonOption,
    check_json,
    percent,
    plain_table,
    print_rows,
    write_json,
)


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
    check_json(json_file)
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
    table = plain_table("name")
    for heading in ("network", "paper", "year"):
        table.add_column(heading)
    table.add_column("parameters", justify="right")
    table.add_column("GFLOP at 512x1024", justify="right")
    rows: list[tuple[str, ...]] = []
    for name, one in _networks().items():
        size = f"{one['parameters'] / 1e6:.2f} M", f"{one['gflop']:.1f}"
        rows.append((name, one["title"], one["paper"], str(one["year"]), *size))
    print_rows(table, rows, WIDTH)
    if not shipped:
        return
    table = plain_table("weights")
    for heading in ("network", "classes", "input", "val mIoU"):
        table.add_column(heading)
    table.add_column("files", overflow="fold")  # a line a file
    rows = []
    for name, one in shipped.items():
        size_hw, miou, before = one["input"], one["val_miou"], one["val_miou_before"]
        size_text = "any" if size_hw is None else f"{size_hw[0]}x{size_hw[1]}"
        score = percent(miou, " %") if before is None else f"{percent(before, ' %')} *"
        files = "\n".join(one["files"])
        rows.append((name, one["network"], str(one["classes"]), size_text, score, files))
    print()
    print_rows(table, rows, WIDTH)
    if any(one["val_miou_before"] is not None for one in shipped.values()):
        print("* before they were trained on val too")


def _shipped() -> dict[str, dict[str, Any]]:
    """What is known of the weights that come with the package, from their cards."""
    from briskseg.core.card import read_card
    from briskseg.core.exported import read_exported
    from briskseg.runtime.model_files import is_exported, shipped_files

    shipped = {}
    for name, files in shipped_files().items():
        last = files[-1]
        card = read_exported(last)[0] if is_exported(last) else read_card(last)
        shipped[name] = {
            "network": card.network.name,
            "classes": card.network.classes,
            "input": None if card.input.size is None else [*card.input.size],
            "val_miou": card.scores.get("val_miou"),
            "val_miou_before": card.scores.get("val_miou_before"),
            "files": [file.name for file in files],
        }
    return shipped
