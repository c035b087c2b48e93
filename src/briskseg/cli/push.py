"""briskseg push: a run as a repository on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app, console
from briskseg.core.errors import RequestError

_Private = Annotated[bool, typer.Option("--private", help="Make the repository for you alone.")]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would be sent, and its model card; send nothing."),
]


@app.command()
def push(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where to, on the Hub.")],
    private: _Private = False,
    dry_run: _DryRun = False,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    json_file: console.JsonOption = None,
) -> None:
    """Publish a run on the Hugging Face Hub, where `hf://OWNER/NAME` is a MODEL for every verb.

    It sends in one commit: model.safetensors with its card, exported files that were made of these
    weights, scores.json, recipe.yaml without the folders of your machine, the curves, and
    README.md, the card for people and for the Hub's search. A repository that is not there is made.

    It needs a token that may write: `hf auth login`, or the variable HF_TOKEN.

    Example: briskseg push runs/first me/streets --private
    """
    from briskseg.hub.client import Repository
    from briskseg.hub.push import README, contents
    from briskseg.hub.push import push as push_files
    from briskseg.runs.run_folder import RunFolder
    from briskseg.runtime.model_files import find_files

    target = Repository.from_id(repository)
    if not run.is_dir():
        raise RequestError(f"{run} is not there or is no folder, expected a run folder (runs/NAME)")
    files = contents(run, find_files(run), target)
    sizes = {
        name: len(file) if isinstance(file, bytes) else file.stat().st_size
        for name, file in files.items()
    }
    result = {"repository": target.id, "files": sizes}
    is_quiet = console.is_stdout(json_file)
    if not is_quiet:
        for name, size in sizes.items():
            print(f"{name:<24}{size / 1e6:>9.2f} MB")
    if RunFolder(run).scores.name not in files:
        console.note("the run has no scores.json yet, so its card states none")
    if dry_run:
        readme = files[README]
        assert isinstance(readme, bytes)
        if not is_quiet:
            print(f"\nnothing was sent; {README} would be:\n\n{readme.decode()}")
    else:
        from rich.console import Console

        message = message or f"Push the run {run.resolve().name}"
        total = f"{sum(sizes.values()) / 1e6:.1f} MB in {len(sizes)} files"
        with Console(stderr=True).status(f"sending {total} to {target.address}"):
            done = push_files(target, files, private, message)
        result |= done._asdict()
        if not is_quiet:
            print(f"pushed   {done.url}")
            print(f"load     {target.address}   (this very commit: {done.address})")
    console.write_json(json_file, result)
