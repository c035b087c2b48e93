"""One line of a class list: the forms in which people and tools write a class."""

from __future__ import annotations

import csv
import re
from typing import NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.files.safe_names import fault_of_class_name
from briskseg.core.types import RGB

MOST_VALUE = 65535

HEX = r"#[0-9a-fA-F]{6}"
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_CVAT = re.compile(r"(?P<name>[^:]+):(?P<color>[\d, .-]*):[^:]*:[^:]*")
# Signs of another kind of file (YAML, JSON, a program) in what should be a plain name.
_STRANGE = re.compile(r"[:;,={}\"]|^-\s|\s#|^\d+\s+\d")

# What the columns of a CSV are called, in lower case.
_COLUMNS = {
    "name": {"name", "names", "class", "class_name", "classes", "label", "category"},
    "value": {"pixel value", "value", "label_key", "id", "index", "class_id", "label_id"},
    "r": {"r", "red"},
    "g": {"g", "green"},
    "b": {"b", "blue"},
    "hex": {"hex", "color", "colour"},
}


class ClassLine(NamedTuple):
    """A class as its line gives it: the value in the label files and the color, where it has."""

    name: str
    color: RGB | None
    value: int | None
    line: int


def header(text: str) -> dict[str, int] | None:
    """The columns of a CSV's first line, or None where it is none."""
    fields = [field.strip().lower() for field in _fields(text)]
    if len(fields) < 2 or any(field[:1].isdecimal() for field in fields):
        return None
    found = {
        kind: next(place for place, field in enumerate(fields) if field in known)
        for kind, known in _COLUMNS.items()
        if any(field in known for field in fields)
    }
    return found if "name" in found and len(found) > 1 else None


def from_columns(text: str, columns: dict[str, int], number: int, where: str) -> ClassLine:
    fields = [field.strip() for field in _fields(text)]
    if len(fields) <= max(columns.values()):
        raise DataError(
            f"{where}: {len(fields)} columns, fewer than the header has; complete the line"
        )
    given = {kind: fields[place] for kind, place in columns.items()}
    if {"r", "g", "b"} <= given.keys():
        color: RGB | None = to_color([given["r"], given["g"], given["b"]], where)
    else:
        color = hex_color(given.get("hex", ""))
    value = file_value(given["value"], where) if "value" in given else None
    return ClassLine(_name(given["name"], where, is_quoted=True), color, value, number)


def class_line(text: str, number: int, where: str) -> ClassLine:
    """A line without a header above it."""
    if match := re.fullmatch(r"([\"'])((?:(?!\1).)+)\1(.*)", text):
        name, rest = match.group(2), match.group(3).replace(",", " ").split()
        return ClassLine(name, to_color(rest, where, name) if rest else None, None, number)
    if (match := _CVAT.fullmatch(text)) and not match["name"].strip().isdecimal():
        color = match["color"].strip()
        given = to_color(color.split(","), where) if color else None
        return ClassLine(_name(match["name"], where), given, None, number)
    if match := re.fullmatch(r"(\d+)\s*:\s*(\D.*)", text):
        name, color = _name_and_color(match.group(2).split(), where)
        return ClassLine(name, color, file_value(match.group(1), where), number)
    words = text.split()
    if "," in text:
        words = [part for field in text.split(",") if (part := field.strip())]
        if sum(not part.isdecimal() for part in words) != 1:
            _name(text, where)  # not one name among numbers: says what is expected
    if len(words) > 3 and all(word.isdecimal() for word in words[:3]) and not _is_number(words[3]):
        return ClassLine(
            _name(" ".join(words[3:]), where), to_color(words[:3], where), None, number
        )
    value = None
    if len(words) > 1 and words[0].isdecimal() and not _is_number(words[1]):
        value, words = file_value(words[0], where), words[1:]
    name, color = _name_and_color(words, where)
    return ClassLine(name, color, value, number)


def _fields(text: str) -> list[str]:
    try:
        return next(csv.reader([text]), [])
    except csv.Error:  # longer than any field that csv reads
        return text.split(",")


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def _name_and_color(words: list[str], where: str) -> tuple[str, RGB | None]:
    """A line's name and color; the numbers at its end are a color or a mistake."""
    if len(words) > 1 and (color := hex_color(words[-1])):
        return _name(" ".join(words[:-1]), where), color
    numbers = 0
    while numbers < len(words) - 1 and _is_number(words[-1 - numbers]):
        numbers += 1
    name = _name(" ".join(words[: len(words) - numbers]), where)
    return name, to_color(words[-numbers:], where, name) if numbers else None


def _name(text: str, where: str, is_quoted: bool = False) -> str:
    name = text.strip().strip("\"'") if is_quoted else text.strip()
    if fault := fault_of_class_name(name):
        raise DataError(f"{where}: {fault}; give it a short plain name")
    if not name or (not is_quoted and _STRANGE.search(name)):
        raise DataError(
            f"{where}: '{name}' is no plain name; expected `name`, `name r g b`, `name #rrggbb` or "
            "`7 name` (7: the value in the label files), and quotes around a name with signs"
        )
    return name


def to_color(parts: list[str], where: str, name: str = "") -> RGB:
    if len(parts) == 1 and (color := hex_color(parts[0])):
        return color
    given = [part.strip() for part in parts]
    if len(given) != 3 or not all(
        re.fullmatch(r"\d{1,3}", part) and int(part) <= 255 for part in given
    ):
        after = f" after the name '{name}'" if name else ""
        raise DataError(
            f"{where}: '{' '.join(given)}'{after} is no color; expected `name` or "
            "`name r g b` with r, g, b whole numbers from 0 to 255"
        )
    red, green, blue = (int(part) for part in given)
    return red, green, blue


def hex_color(text: object) -> RGB | None:
    """The color that `#rrggbb` is; None for anything else."""
    if not isinstance(text, str) or not re.fullmatch(HEX, text):
        return None
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def file_value(text: str, where: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > MOST_VALUE:
        raise DataError(f"{where}: '{text[:20]}' is no file value, expected 0 to {MOST_VALUE}")
    return int(text)
