"""Keys that recipes had under other names: they still load, and the new name is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from briskseg.core.errors import RecipeError

RENAMED = {
    "augment.class_max": "augment.cat_max_ratio",
    "augment.growth": "augment.progressive_resize",
    "data.resident": "data.gpu_cache",
}


def current_key(key: str) -> str:
    """A dotted key, or one below it, under its name of today."""
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return key


def rename_keys(values: Mapping[str, Any], source: str) -> tuple[dict[str, Any], list[str]]:
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
