"""Recipes as text: the shipped ones and files, with changes from outside, checked and explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import ValidationError

from briskseg.core.errors import RecipeError, nearest
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.limits import check_size
from briskseg.core.files.yaml_text import MAX_CHARACTERS, YamlError, parse_yaml
from briskseg.core.run_names import RECIPE
from briskseg.recipe.faults import describe
from briskseg.recipe.pretraining import PretrainingRecipe
from briskseg.recipe.segmentation import SHORT_FORMS, Recipe

_FAULTS_NAMED = 20

# Keys that recipes had under other names still load, and the new name is said.
RENAMED = {
    "augment.class_max": "augment.cat_max_ratio",
    "augment.growth": "augment.progressive_resize",
    "data.resident": "data.gpu_cache",
}

AnyRecipe = Recipe | PretrainingRecipe
TASKS: dict[str, type[AnyRecipe]] = {"segmentation": Recipe, "pretraining": PretrainingRecipe}


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("briskseg") / "recipes"
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def load_recipe(
    name_or_path: str, changes: Sequence[str] = (), notify: Callable[[str], object] | None = None
) -> AnyRecipe:
    """Read a shipped recipe by name, or a YAML file, and apply changes as `training.epochs=50`.

    Args:
        notify: called with a sentence for each key that is given under a former name.

    Raises:
        RecipeError: no such recipe, not YAML, an unknown or doubled key, or an impossible value.
    """
    values = _parse(recipe_text(name_or_path), name_or_path)
    values.setdefault("name", Path(name_or_path).name.removesuffix(".yaml").removesuffix(".yml"))
    values, notices = _rename_keys(values, name_or_path)
    for change in changes:
        key = change.partition("=")[0]
        if (now := _current_key(key)) != key:
            notices.append(f"--set {change}: '{key}' is now called '{now}'; it is set all the same")
        _apply(values, now + change.removeprefix(key))
    if notify is not None:
        for notice in notices:
            notify(notice)
    return read_recipe(values, name_or_path)


def recipe_text(name_or_path: str) -> str:
    """A shipped recipe's YAML with its comments, or a file's; RecipeError if there is none."""
    path = Path(name_or_path)
    if path.is_dir() and name_or_path not in list_recipes():
        run = path / RECIPE
        meant = f"did you mean {quote(str(run))}?" if run.is_file() else "--data names data"
        raise RecipeError(f"{path} is a folder, expected a recipe's name or file; {meant}")
    if name_or_path in list_recipes():
        return (resources.files("briskseg") / "recipes" / f"{name_or_path}.yaml").read_text("utf-8")
    if path.is_file():
        refuse_other(path, "a recipe in YAML", RecipeError, expected=("json",))  # which is YAML too
        try:
            check_size(path, 4 * MAX_CHARACTERS, RecipeError)
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not a text file; a recipe is YAML") from None
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror or error}") from None
    if path.suffix in {".yaml", ".yml"}:
        raise RecipeError(f"no recipe file {path}; check the path, or see `briskseg recipes`")
    raise RecipeError(f"no recipe '{name_or_path}'; {nearest(name_or_path, list_recipes())}")


def read_recipe(values: Mapping[str, Any], source: str) -> AnyRecipe:
    """Check values against the models; every fault is named with its key, in one message."""
    task = str(values.get("task", "segmentation"))[:100]
    if task not in TASKS:
        raise RecipeError(f"recipe {source}: no task '{task}'; {nearest(task, TASKS)}")
    try:
        return TASKS[task].model_validate(values)
    except ValidationError as error:
        faults = list(islice(describe(error, TASKS[task], values), _FAULTS_NAMED))
        if len(faults) == _FAULTS_NAMED:
            faults.append(f"and more, {error.error_count()} in all")
        raise RecipeError(f"recipe {source}: " + "; ".join(faults)) from None


def _current_key(key: str) -> str:
    """A dotted key, or one below it, under its name of today."""
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return key


def _rename_keys(values: Mapping[str, Any], source: str) -> tuple[dict[str, Any], list[str]]:
    """A recipe's values under the names of today, and a sentence for each key that was renamed.

    Raises RecipeError where a key is there under both of its names.
    """
    renamed, notices = dict(values), []
    for old, new in RENAMED.items():
        part, _, name = old.partition(".")
        inner = renamed.get(part)
        if not isinstance(inner, dict) or name not in inner:
            continue
        new_name = new.partition(".")[2]
        if new_name in inner:
            raise RecipeError(
                f"recipe {source}: '{old}' is the former name of '{new}', and both are given; "
                f"remove '{old}'"
            )
        renamed[part] = {new_name if key == name else key: v for key, v in inner.items()}
        notices.append(f"recipe {source}: '{old}' is now called '{new}'; it is read all the same")
    return renamed, notices


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        values = parse_yaml(text)
    except YamlError as error:
        raise RecipeError(f"recipe {source}: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {source} holds no keys; expected model, data, training, ...")
    return values


def _apply(values: dict[str, Any], change: str) -> None:
    """Set one key by its dotted path; the value is read as YAML."""
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {change}: expected KEY=VALUE, as in training.epochs=50")
    try:
        value = parse_yaml(text)
    except YamlError as error:
        raise RecipeError(f"--set {change}: the value is not YAML: {error}") from None
    *parents, last = key.split(".")
    inner: Any = values
    for parent in parents:
        index = _index(inner, parent, change)
        if isinstance(inner, dict) and not isinstance(inner.get(parent), dict | list):
            alone = SHORT_FORMS.get(parent)
            inner[parent] = {alone: inner[parent]} if alone and inner.get(parent) else {}
        inner = inner[index]
    before = inner.get(last) if isinstance(inner, dict) else None
    if isinstance(before, dict) and isinstance(value, str) and last in SHORT_FORMS:
        value = before | {SHORT_FORMS[last]: value}
    inner[_index(inner, last, change)] = value
    # epochs and steps exclude each other: naming one from outside takes the other's place
    if key in ("training.epochs", "training.steps") and value is not None:
        inner.pop("steps" if last == "epochs" else "epochs", None)


def _index(inner: Any, part: str, change: str) -> str | int:
    """A dotted path's part as the key of a dictionary, or as an index of a list, from 0 on."""
    if isinstance(inner, dict):
        return part
    if not isinstance(inner, list):
        raise RecipeError(f"--set {change}: '{part}' lies in {inner!r}, which holds no keys")
    if not re.fullmatch(r"\d{1,6}", part) or int(part) >= len(inner):
        raise RecipeError(f"--set {change}: '{part}' is no index of a list of {len(inner)}")
    return int(part)
