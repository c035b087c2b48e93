"""`briskseg recipes`: the runs that come with the package."""

from __future__ import annotations

from typing import Annotated

import typer

from briskseg.cli import app, console
from briskseg.core.wording import counted


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this recipe.")] = None,
) -> None:
    """List the shipped recipes, or print one to copy and change.

    Example: briskseg recipes erfnet-camvid11 > mine.yaml
    """
    from rich.box import SIMPLE
    from rich.table import Column, Table

    from briskseg.recipe import Recipe, list_recipes, load_recipe, recipe_text

    if name is not None:
        print(recipe_text(name), end="")
        return
    table = Table(Column("recipe", no_wrap=True), "length", "what for", box=SIMPLE)
    for each in list_recipes():
        recipe = load_recipe(each)
        epochs, steps = recipe.training.epochs, recipe.training.steps
        length = counted(epochs, "epoch") if epochs else counted(steps or 0, "step")
        if isinstance(recipe, Recipe) and recipe.training.stages:
            length = f"{len(recipe.training.stages)} x {length}"
        table.add_row(each, length, recipe_text(each).splitlines()[0].lstrip("# "))
    console.plain_console().print(table)
