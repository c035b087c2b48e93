"""briskseg models: the networks there are, and the trained weights that come with them."""

from __future__ import annotations

from typing import Any

from briskseg.cli import app, console
from briskseg.core.wording import hxw


@app.command()
def models(
    json_file: console.JsonOption = None,
) -> None:
    """List the networks (name, paper, size) and the trained weights that come with briskseg.

    Parameters and GFLOP are for 19 classes. GFLOP are for one image of 512x1024, with a
    multiplication and an addition counted as two. Every verb takes the name of shipped weights as
    its MODEL.

    Example: briskseg models
    """
    from briskseg.models import MODELS

    keys = ("title", "paper", "year", "parameters", "gflop")
    networks = {name: {key: getattr(one, key) for key in keys} for name, one in MODELS.items()}
    shipped = _shipped()
    if json_file is not None:
        console.write_json(json_file, {"networks": networks, "shipped": shipped})
    if console.is_stdout(json_file):
        return
    headings = ("name", "network", "paper", "year", "parameters", "GFLOP at 512x1024")
    rows = []
    for name, one in MODELS.items():
        size = f"{one.parameters / 1e6:.2f} M", f"{one.gflop:.1f}"
        rows.append((name, one.title, one.paper, str(one.year), *size))
    console.print_table(headings, rows, names=4, width=console.WIDTH)
    if shipped:
        print()
        _print_shipped(shipped)


def _print_shipped(shipped: dict[str, dict[str, Any]]) -> None:
    headings = ("weights", "network", "classes", "input", "val mIoU", "files")
    rows = []
    for name, one in shipped.items():
        size_hw, miou, before = one["input"], one["val_miou"], one["val_miou_before"]
        size_text = "any" if size_hw is None else hxw(size_hw)
        percent = console.percent
        score = percent(miou, " %") if before is None else f"{percent(before, ' %')} *"
        files = "\n".join(one["files"])
        rows.append((name, one["network"], str(one["classes"]), size_text, score, files))
    console.print_table(headings, rows, names=len(headings), width=console.WIDTH)
    if any(one["val_miou_before"] is not None for one in shipped.values()):
        print("* before they were trained on val too")


def _shipped() -> dict[str, dict[str, Any]]:
    """What is known of the weights that come with the package, from their cards."""
    from briskseg.runtime.model_files import read_file, shipped_files

    shipped = {}
    for name, files in shipped_files().items():
        card, _ = read_file(files[-1])
        shipped[name] = {
            "network": card.network.name,
            "classes": card.network.classes,
            "input": None if card.input.size is None else [*card.input.size],
            "val_miou": card.scores.get("val_miou"),
            "val_miou_before": card.scores.get("val_miou_before"),
            "files": [file.name for file in files],
        }
    return shipped
