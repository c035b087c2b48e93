"""briskseg push: a run as a repository on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app, console
from briskseg.core.errors import RequestError

_Private = Annotated[bool, typer.Option("--private", help="Create the repository as private.")]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would be sent, and send nothing."),
]


@app.command()
def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The Hub's repository.")],
    private: _Private = False,
    dry_run: _DryRun = False,
    message: Annotated[str | None, typer.Option(help="The commit's message.")] = None,
    json_file: console.JsonOption = None,
) -> None:
    """Publish a run on the Hugging Face Hub. Every verb takes `hf://OWNER/NAME` as its MODEL.

    One commit holds model.safetensors with its card, the files exported from these weights,
    scores.json, recipe.yaml without your machine's folders, the curves, and README.md, the model
    card for people and the Hub's search. The repository is created if it does not exist.

    This needs a token with write access: `hf auth login`, or the variable HF_TOKEN.

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
