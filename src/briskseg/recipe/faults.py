"""What is wrong with a recipe's values, a sentence for each key: found, expected, what to write."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from posixpath import commonprefix
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from briskseg.core.errors import nearest
from briskseg.core.files.safe_names import printable

# pydantic's types of errors that say of what type a value is to be.
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "literal_error": "",  # its choices
}
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_UNION = re.compile(r"(literal|tuple|lax-or-strict|function-\w+|constrained-\w+|nullable)\[")
_MEMBERS = {"Factor", "int", "float", "bool", "str", "none"}  # of unions, beside those


def describe(
    error: ValidationError, recipe: type[BaseModel], values: Mapping[str, Any]
) -> Iterator[str]:
    """A sentence for each key of `values` that is wrong, in the order of the recipe's class."""
    by_key = _faults_by_key(error)
    for key, faults in by_key.items():
        types = {fault["type"] for fault in faults}
        # a union's other members complain of the whole list where one of its values is wrong
        if types <= _EXPECTED.keys() and any(other.startswith(f"{key}.") for other in by_key):
            continue
        if types <= _EXPECTED.keys():
            meant = _meant(types, faults[0]["input"], key)
            right = next((text for value, text in meant if _fits(recipe, values, key, value)), "")
            hint = f"; write {right}" if right else ""
            yield f"'{key or 'recipe'}': {_type_fault(key, faults)}{hint}"
        else:  # a union's other members complain of the type alone
            fault = next(fault for fault in faults if fault["type"] not in _EXPECTED)
            yield _sentence(key, fault, recipe)


def _faults_by_key(error: ValidationError) -> dict[str, list[ErrorDetails]]:
    found: dict[str, list[ErrorDetails]] = {}
    for fault in error.errors(include_url=False):
        loc = list(fault["loc"])
        if fault["type"] == "missing" and isinstance(loc[-1], int):  # a list that is too short
            loc.pop()
        # the name of a union's member does not belong to the key
        parts = [part for part in map(str, loc) if part not in _MEMBERS and not _UNION.match(part)]
        found.setdefault(".".join(printable(part[:100]) for part in parts), []).append(fault)
    return found


def _sentence(key: str, fault: ErrorDetails, recipe: type[BaseModel]) -> str:
    found = fault["input"]
    if fault["type"] == "extra_forbidden":
        *parents, last = key.split(".")
        choices = _keys_of(recipe, parents)
        elsewhere = [path for path in key_paths(recipe) if path.endswith(f".{last}")]
        if elsewhere and not difflib.get_close_matches(last, choices):
            near = max(elsewhere, key=lambda path: len(commonprefix([path, key])))
            return f"unknown key '{key}'; did you mean '{near}'?"
        return f"unknown key '{key}'; {nearest(last, choices)}"
    if fault["type"] == "missing":
        if isinstance(fault["loc"][-1], int):
            return f"'{key}': expected more values, found {_short(found)}"
        return f"'{key}' is missing"
    if fault["type"] == "too_long":
        return f"'{key}': expected {fault['ctx']['max_length']} values, found {_short(found)}"
    message = fault["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(found, dict) else f", found {_short(found)}"
    return f"'{key or 'recipe'}': {message[0].lower()}{message[1:]}{shown}"


def _type_fault(key: str, faults: list[ErrorDetails]) -> str:
    """Of which type a value is to be, and the value."""
    wanted = [
        fault["ctx"]["expected"] if fault["type"] == "literal_error" else _EXPECTED[fault["type"]]
        for fault in faults
    ]
    if key.endswith(".size") and "a list" in wanted:
        wanted = ["[height, width]"]
    return f"expected {' or '.join(dict.fromkeys(wanted))}, found {_short(faults[0]['input'])}"


def _meant(types: Collection[str], found: Any, key: str) -> Iterator[tuple[Any, str]]:
    """What may have been meant by a value of the wrong type, and how a recipe has it."""
    if isinstance(found, str):
        text = found.strip()
        if (truth := _TRUTH.get(text.lower())) is not None:
            yield truth, f"{_short(truth)}, without quotes"
        for kind in (int, float):
            with suppress(ValueError):
                yield kind(text), f"{kind(text)}, without quotes"
        if sides := re.fullmatch(r"(\d{1,5})\s*[x,*]\s*(\d{1,5})", text):
            size = [int(side) for side in sides.groups()]
            yield size, f"{size}"
        shown = printable(text[:100])
        yield [text], f"[{shown}]"
        if "model_type" in types:  # any other dictionary would take a name too
            yield {"name": text}, f"{{name: {shown}}}"
    elif isinstance(found, bool | int | float):
        shown = _short(found)
        yield shown, f"""it in quotes, '{shown}' (in a shell --set "{key}='{shown}'")"""
        yield [found], f"[{shown}]"
        if found in (0, 1):
            yield bool(found), _short(bool(found))
        if isinstance(found, float) and found.is_integer():
            yield int(found), _short(int(found))


def _fits(recipe: type[BaseModel], values: Mapping[str, Any], key: str, value: Any) -> bool:
    """Whether the key is right with this value: nothing else is worth writing."""
    changed = copy.deepcopy(dict(values))
    inner: Any = changed
    *parents, last = [int(part) if part.isdecimal() else part for part in key.split(".")]
    try:
        for part in parents:
            inner = inner[part]
        inner[last] = value
        recipe.model_validate(changed)
    except ValidationError as error:
        return not any(k == key or k.startswith(f"{key}.") for k in _faults_by_key(error))
    except (KeyError, IndexError, TypeError):  # a value that lies in no dictionary or list
        return False
    return True


def _short(found: Any) -> str:
    """A value as the recipe has it, cut where it is long."""
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    try:
        shown = printable(repr([*found] if isinstance(found, tuple) else found))  # as in YAML
    except ValueError:  # Python writes out no number of thousands of digits
        return "a number of thousands of digits"
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def _keys_of(part: type[BaseModel], parents: Sequence[str]) -> list[str]:
    """The keys that the part at this path below `part` knows."""
    for parent in parents:
        if parent.isdigit():  # the index in a tuple of parts
            continue
        inner = _part_of(part, parent)
        if inner is None:
            return []
        part = inner
    return list(part.model_fields)


def key_paths(part: type[BaseModel]) -> Iterator[str]:
    """Every key outside lists, as `--set` has it: those of the outer parts first."""
    yield from part.model_fields
    for key, field in part.model_fields.items():
        below = _part_of(part, key)
        if below is not None and get_origin(field.annotation) is not tuple:
            yield from (f"{key}.{path}" for path in key_paths(below))


def _part_of(part: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The class of the part, or of each of the parts, under a key; None of a value."""
    field = part.model_fields.get(key)
    kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
