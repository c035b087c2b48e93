"""A run published on the Hub: weights, what was exported of them, recipe, scores and a model card.

Everything goes in one commit, so that a repository is never half of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from briskseg import __version__
from briskseg.core import run_names
from briskseg.core.errors import RequestError
from briskseg.core.exported import READABLE, files_of
from briskseg.core.files.limits import MAX_DOWNLOAD_BYTES
from briskseg.hub.client import Repository, client, hub_errors, own_progress
from briskseg.hub.model_card import CURVES, model_card
from briskseg.recipe import AnyRecipe, Recipe
from briskseg.runs.report.charts import curves_png
from briskseg.runs.report.run_content import read_run

README = "README.md"
Content = Path | bytes


class Pushed(NamedTuple):
    """address: for `load`, with the commit. url: of the commit's page."""

    address: str
    url: str


def contents(
    run_folder: Path, models: Sequence[Path], repository: Repository
) -> dict[str, Content]:
    """What `push` sends of a run, by its name in the repository.

    models: the run's weights and the exported files that were made of them.

    Raises RequestError where the run has no weights, or a file is larger than `load` takes;
    DataError or WeightsError for a damaged file; MissingExtraError without huggingface_hub or
    matplotlib.
    """
    run = read_run(run_folder)
    if run.card is None:
        raise RequestError(
            f"{run_folder} has no {run_names.WEIGHTS} yet: no validation of it has finished; let "
            "it train on"
        )
    files: dict[str, Content] = {}
    for model in sorted(models, key=lambda model: model.name != run_names.WEIGHTS):
        files |= {file.name: file for file in files_of(model) if file.is_file()}
    for file in files.values():
        if isinstance(file, Path):
            _check_file(file, run_folder)
    if run.recipe is not None:
        recipe = without_own_folders(run.folder.read_recipe())
        files[run.folder.recipe.name] = recipe.to_yaml().encode()
    if run.scores is not None:
        # written anew: a file that `evaluate` wrote names folders of this machine
        files[run.folder.scores.name] = run.scores.model_dump_json(indent=1).encode()
    if run.metrics:
        files[CURVES] = curves_png(run)
    scores = None if run.scores_nothing else run.scores
    files[README] = model_card(repository, run.card, scores, [*files]).encode()
    return files


def _check_file(file: Path, run_folder: Path) -> None:
    if not file.resolve().is_relative_to(run_folder.resolve()):
        # whoever made the run could otherwise have a file of the user's own published
        raise RequestError(
            f"{file} is a link to a file outside of the run folder, expected a file in it; replace "
            "it by a copy, or remove it"
        )
    if (size := file.stat().st_size) > MAX_DOWNLOAD_BYTES:
        raise RequestError(
            f"{file} has {size} bytes, and `load` takes at most {MAX_DOWNLOAD_BYTES} from the Hub; "
            "move it out of the run to leave it out"
        )


def without_own_folders(recipe: AnyRecipe) -> AnyRecipe:
    """The recipe without the folders of the machine that it ran on: its data has no folder, and
    files that it names have their names alone."""
    found = recipe.model_dump(mode="json")
    found["data"]["root"] = None
    if isinstance(recipe, Recipe):
        parts = [(found["data"], "unlabeled_images"), (found["training"]["teacher"], "file")]
        for part, key in [*parts, (found["model"], "weights"), (found["model"], "encoder")]:
            if part and part.get(key):
                part[key] = _name(part[key])
    return type(recipe).model_validate(found)


def _name(path: str) -> str:
    return path if path.startswith("hf:/") else PurePath(path).name


def _names_of_a_push(names: set[str]) -> set[str]:
    """Of the files in a repository those that an earlier push may have sent besides weights: they
    are of other weights, and would be taken for these ones'."""
    stem = Path(run_names.WEIGHTS).stem
    exports = {f"{stem}{kind}{suffix}" for kind in ("", "-int8") for suffix in READABLE} & names
    parts = {file.name for name in exports for file in files_of(Path(name))}
    return names & {*parts, run_names.RECIPE, run_names.SCORES, CURVES}


def push(repository: Repository, files: dict[str, Content], private: bool, message: str) -> Pushed:
    """Make the repository where it is not there, and send the files in one commit.

    What an earlier push sent and is not sent now is removed in the same commit.
    private: make it so; one that is there and public is refused.

    Raises RequestError without a token, or where the repository is public; BriskError for whatever
    the Hub refuses; MissingExtraError without huggingface_hub.
    """
    hub = client("push")
    if hub.get_token() is None:
        raise RequestError(
            "pushing needs a token with the right to write, and none is here; log in with: hf auth "
            "login (or set HF_TOKEN)"
        )
    api = hub.HfApi(library_name="briskseg", library_version=__version__)
    with hub_errors(repository), own_progress(hub):
        api.create_repo(repository.id, private=private or None, exist_ok=True)
        there = api.model_info(repository.id)
        if private and not there.private:
            raise RequestError(
                f"{repository.address} is there and public; make it private on its page first, or "
                "leave --private out"
            )
        operations = [
            hub.CommitOperationAdd(name, file if isinstance(file, bytes) else str(file))
            for name, file in files.items()
        ]
        earlier = _names_of_a_push({file.rfilename for file in there.siblings or ()})
        operations += [hub.CommitOperationDelete(name) for name in sorted(earlier - files.keys())]
        done = api.create_commit(repository.id, operations, commit_message=message)
    return Pushed(repository._replace(revision=done.oid).address, done.commit_url)
