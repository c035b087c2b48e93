"""`briskseg demo`: from data to masks, on drawn streets."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="A new folder for everything it writes.")] = Path(
        "demo"
    ),
) -> None:
    """Try the whole workflow on drawn streets: data, check, train, evaluate, predict.

    It takes two to three minutes on two cores. If it is interrupted, the same command continues.

    Example: briskseg demo --out demo
    """
    from rich.console import Console
    from rich.markup import escape

    from briskseg.cli.before_training import check_can_train
    from briskseg.core.errors import RequestError

    check_can_train()  # before a minute of drawing and checking
    streets, run, masks = out / "streets", out / "run", out / "masks"
    is_drawn = (streets / "streets.json").exists()
    if out.exists() and not is_drawn:
        raise RequestError(
            f"{out} exists and holds no demo to go on with (no finished {streets}); remove it, or "
            "name a new folder with --out"
        )
    resume = ["--resume"] if run.exists() else []
    draw = ("data", "draw", streets, "--train", "200", "--val", "40", "--size", "120x160")
    console = Console(stderr=True, highlight=False)
    for what, *words in (
        *([] if is_drawn else [("Draw streets", *draw)]),
        ("Is the data fit to train on?", "check", streets),
        ("Train for about a minute", "train", "demo", "--data", streets, "--out", run, *resume),
        ("Score the weights", "evaluate", run, "--data", streets, "--json", out / "scores.json"),
        ("Label images", "predict", run, streets / "images" / "val", "--out", masks),
    ):
        argv = [*map(str, words)]
        console.print(f"\n[bold]{what}[/bold]")
        console.print(f"$ briskseg {shlex.join(argv)}", style="cyan", markup=False, soft_wrap=True)
        app(argv, standalone_mode=False)
    console.print(_AFTERWARDS.format(out=escape(str(out))), soft_wrap=True)


_AFTERWARDS = """
[bold]Done.[/bold] Look at
  {out}/run/report.html         curves, scores, confusion, a film of the training
  {out}/masks                   labels, colors and overlays of the validation images
  {out}/run/model.safetensors   the weights, with their card inside

[bold]Your own data[/bold]: a folder with images/train/NAME.png, labels/train/NAME.png, the same
under val, and classes.txt (a name a line). Then
  briskseg check DIR
  briskseg train --data DIR --out runs/mine
`briskseg data` shows the other layouts that are read as they are: CamVid, Cityscapes."""
