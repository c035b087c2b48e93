"""Lists of classes as people and tools write them: names, colors, the values in the label files.

Read, a class a line: `name`, `name r g b`, `name #rrggbb`, `r g b name`, `name,r,g,b`, CVAT's
`name:r,g,b::`, `7 name` and `7: name` (the value in the label files, then on every line), and CSV
with a header (`class_dict.csv`, `_classes.csv`, `goose_label_mapping.csv`). A name with signs in it
stands in quotes. `ignore` is followed by values, names or colors. All else is an error at its line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_LIST_BYTES, check_size
from briskseg.core.files.safe_names import fault_of_class_name
from briskseg.core.types import RGB

IGNORED = 255
_MOST_VALUE = 65535

_HEX = r"#[0-9a-fA-F]{6}"
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_CVAT = re.compile(r"(?P<name>[^:]+):(?P<color>[\d, .-]*):[^:]*:[^:]*")
_COMMENT = re.compile(r"(^|\s)#(?![0-9a-fA-F]{6}(\s|$)).*")
# Signs of another kind of file (YAML, JSON, a program) in what should be a plain name.
_STRANGE = re.compile(r"[:;,={}\"]|^-\s|\s#|^\d+\s+\d")

# What the columns of a CSV are called, in lower case.
_NAMES = {"name", "names", "class", "class_name", "classes", "label", "category"}
_VALUES = {"pixel value", "value", "label_key", "id", "index", "class_id", "label_id"}
_REDS, _GREENS, _BLUES = {"r", "red"}, {"g", "green"}, {"b", "blue"}
_HEXES = {"hex", "color", "colour"}


class ClassLine(NamedTuple):
    """A class as its line gives it: the value in the label files and the color, where it has."""

    name: str
    color: RGB | None
    value: int | None
    line: int


@dataclass
class ClassList:
    """A list of classes. values: the file value of each class; ignored and ignored_colors: file
    values and colors that mean ignored, with the classes that `ignore` names taken out of lines."""

    lines: list[ClassLine] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    ignored_colors: list[RGB] = field(default_factory=list)

    def ignore(self, name: str) -> None:
        """Take a class out of the list: its value and its color mean ignored."""
        for entry in [entry for entry in self.lines if entry.name == name]:
            self.lines.remove(entry)
            if entry.value is not None:
                self.ignored.append(entry.value)
            if entry.color is not None:
                self.ignored_colors.append(entry.color)


def read_class_list(path: Path) -> ClassList:
    """Read a list of classes; as `parse_class_list`, and errors of reading."""
    try:
        check_size(path, MAX_LIST_BYTES)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; write one class name a line into it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    return parse_class_list(text, path)


def parse_class_list(text: str, path: Path) -> ClassList:
    """Read the text of a list of classes; the module says which forms. Every class gets its value:
    the one given, else the number of its line among the classes, from 0. path: for messages.

    Raises DataError with file and line for anything else, a repeated name, color or value, more
    than 255 classes, and an `ignore` that can be read in two ways.
    """
    listed, ignores = ClassList(), []
    rows = _rows(text, path)
    columns: dict[str, int] | None = None
    for number, line in rows:
        where = f"{path}, line {number}"
        if re.match(r"ignore(\s|$)", line, re.IGNORECASE):
            ignores.append((where, line[6:].strip()))
        elif columns is None and not listed.lines and (found := _header(line)):
            columns = found
        else:
            entry = _from_columns(line, columns, number, where) if columns else None
            listed.lines.append(entry or _line(line, number, where))
    _number(path, listed)
    _check(path, listed)
    by_name = {entry.name for entry in listed.lines}
    by_value = {entry.value: entry.name for entry in listed.lines}
    for where, what in ignores:
        _ignore(listed, what, by_name, by_value, where)
    gives_values = any(re.search(r"(^|[\s,])\d", what) for _, what in ignores)
    if not gives_values and IGNORED not in by_value:  # the customary mark, beside an `ignore NAME`
        listed.ignored.append(IGNORED)
    if not listed.lines:
        raise DataError(f"{path}: no class in it; write one class name a line")
    return listed


def _rows(text: str, path: Path) -> Iterator[tuple[int, str]]:
    """Each line that says something, without its comment, and its number."""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if re.fullmatch(rf"{_HEX}\s+\S.*", line):
            raise DataError(
                f"{path}, line {number}: '{line[:60]}' begins with a color or is a comment; write "
                "the name first (`sky #808080`), or `# ` before a comment"
            )
        line = line if '"' in line else _COMMENT.sub("", line).strip()
        if line:
            yield number, line


def _header(text: str) -> dict[str, int] | None:
    """The columns of a CSV's first line, or None where it is none."""
    fields = [field.strip().lower() for field in next(csv.reader([text]))]
    if len(fields) < 2 or any(field[:1].isdigit() for field in fields):
        return None
    kinds = {
        "name": _NAMES,
        "value": _VALUES,
        "r": _REDS,
        "g": _GREENS,
        "b": _BLUES,
        "hex": _HEXES,
    }
    found = {
        kind: next(place for place, field in enumerate(fields) if field in known)
        for kind, known in kinds.items()
        if any(field in known for field in fields)
    }
    return found if "name" in found and len(found) > 1 else None


def _from_columns(text: str, columns: dict[str, int], number: int, where: str) -> ClassLine:
    fields = [field.strip() for field in next(csv.reader([text]))]
    if len(fields) <= max(columns.values()):
        raise DataError(
            f"{where}: {len(fields)} columns, fewer than the header has; complete the line"
        )
    given = {kind: fields[place] for kind, place in columns.items()}
    color = None
    if {"r", "g", "b"} <= given.keys():
        color = _color([given["r"], given["g"], given["b"]], where)
    elif "hex" in given and re.fullmatch(_HEX, given["hex"]):
        color = _hex(given["hex"])
    value = _value(given["value"], where) if "value" in given else None
    return ClassLine(_name(given["name"], where, is_quoted=True), color, value, number)


def _line(text: str, number: int, where: str) -> ClassLine:
    """A line without a header above it."""
    if match := re.fullmatch(r"[\"']([^\"']+)[\"'](.*)", text):
        name, rest = match.group(1), match.group(2).replace(",", " ").split()
        return ClassLine(name, _color(rest, where, name) if rest else None, None, number)
    if (match := _CVAT.fullmatch(text)) and not match["name"].strip().isdigit():
        color = match["color"].strip()
        given = _color(color.split(","), where) if color else None
        return ClassLine(_name(match["name"], where), given, None, number)
    if match := re.fullmatch(r"(\d+)\s*:\s*(\D.*)", text):
        name, color = _name_and_color(match.group(2).split(), where)
        return ClassLine(name, color, _value(match.group(1), where), number)
    words = text.split()
    if "," in text:
        words = [part for field in text.split(",") if (part := field.strip())]
        if sum(not part.isdigit() for part in words) != 1:
            _name(text, where)  # not one name among numbers: says what is expected
    if len(words) > 3 and all(word.isdigit() for word in words[:3]) and not _is_number(words[3]):
        return ClassLine(_name(" ".join(words[3:]), where), _color(words[:3], where), None, number)
    value = None
    if len(words) > 1 and words[0].isdigit() and not _is_number(words[1]):
        value, words = _value(words[0], where), words[1:]
    name, color = _name_and_color(words, where)
    return ClassLine(name, color, value, number)


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def _name_and_color(words: list[str], where: str) -> tuple[str, RGB | None]:
    """A line's name and color; the numbers at its end are a color or a mistake."""
    if len(words) > 1 and re.fullmatch(_HEX, words[-1]):
        return _name(" ".join(words[:-1]), where), _hex(words[-1])
    numbers = 0
    while numbers < len(words) - 1 and _is_number(words[-1 - numbers]):
        numbers += 1
    name = _name(" ".join(words[: len(words) - numbers]), where)
    return name, _color(words[-numbers:], where, name) if numbers else None


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


def _color(parts: list[str], where: str, name: str = "") -> RGB:
    if len(parts) == 1 and re.fullmatch(_HEX, parts[0]):
        return _hex(parts[0])
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


def _hex(text: str) -> RGB:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _value(text: str, where: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > _MOST_VALUE:
        raise DataError(f"{where}: '{text[:20]}' is no file value, expected 0 to {_MOST_VALUE}")
    return int(text)


def _number(path: Path, listed: ClassList) -> None:
    """Give every class its value; a list that is numbered in part is an error."""
    bare = [entry for entry in listed.lines if entry.value is None]
    if bare and len(bare) < len(listed.lines):
        first = next(entry for entry in listed.lines if entry.value is not None)
        raise DataError(
            f"{path}, line {first.line}: begins with the number {first.value}, and line "
            f'{bare[0].line} with none: number every line, or write `"{first.value} {first.name}"` '
            "in quotes where the number belongs to the name"
        )
    if bare:
        listed.lines = [entry._replace(value=index) for index, entry in enumerate(listed.lines)]


def _check(path: Path, listed: ClassList) -> None:
    names: dict[str, int] = {}
    colors: dict[RGB, int] = {}
    values: dict[int | None, int] = {}
    for name, color, value, line in listed.lines:
        where = f"{path}, line {line}"
        if name in names:
            raise DataError(
                f"{where}: the class '{name}' again, after line {names[name]}; "
                "every class needs a name of its own"
            )
        if color is not None and color in colors:
            raise DataError(
                f"{where}: the color {color} of '{name}' is another class's; "
                "every class needs a color of its own"
            )
        if value in values:
            raise DataError(
                f"{where}: the value {value} of '{name}' is that of line {values[value]} too; "
                "every class needs a value of its own"
            )
        names[name], values[value] = line, line
        if color is not None:
            colors[color] = line
    if len(names) > 255:
        raise DataError(f"{path}: {len(names)} classes; at most 255 fit into an 8-bit label map")


def _ignore(
    listed: ClassList, text: str, names: set[str], by_value: dict[int | None, str], where: str
) -> None:
    """What follows an `ignore`: names of classes, values, colors."""
    plain = text.strip("\"'")
    if plain in names:
        listed.ignore(plain)
        return
    words = text.split()
    digits = [word.strip(",") for word in words]
    if len(words) == 3 and all(word.isdigit() and int(word) < 256 for word in digits):
        red, green, blue = map(int, digits)
        raise DataError(
            f"{where}: `ignore {text}` can be read in two ways: for the values {red}, {green} and "
            f"{blue} write each on an `ignore` line of its own; for the color write "
            f"`ignore #{red:02x}{green:02x}{blue:02x}`"
        )
    for word in words:
        if word in names:
            listed.ignore(word)
        elif re.fullmatch(_HEX, word):
            listed.ignored_colors.append(_hex(word))
        elif re.fullmatch(r"\d+,\d+,\d+", word):
            listed.ignored_colors.append(_color(word.split(","), where))
        elif parts := [part for part in word.split(",") if re.fullmatch(r"\d{1,5}", part)]:
            values = [_value(part, where) for part in parts]
            for value in values:
                if value in by_value:
                    listed.ignore(by_value[value])
                else:
                    listed.ignored.append(value)
        else:
            words = []
    if not words:
        raise DataError(
            f"{where}: 'ignore{' ' * bool(text)}{text[:40]}'; expected `ignore N` with a value "
            f"from 0 to {_MOST_VALUE}, `ignore NAME` with a class of the list, or `ignore #rrggbb`"
        )
