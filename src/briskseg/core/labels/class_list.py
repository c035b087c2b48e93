"""Lists of classes as people and tools write them: names, colors, the values in the label files.

Read, a class a line: `name`, `name r g b`, `name #rrggbb`, `r g b name`, `name,r,g,b`, CVAT's
`name:r,g,b::`, `7 name` and `7: name` (the value in the label files, then on every line), and CSV
with a header (`class_dict.csv`, `_classes.csv`, `goose_label_mapping.csv`). A name with signs in it
stands in quotes. `ignore` is followed by values, names or colors. All else is an error at its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_LIST_BYTES, read_text
from briskseg.core.labels.class_lines import (
    HEX,
    MOST_VALUE,
    ClassLine,
    class_line,
    file_value,
    from_columns,
    header,
    hex_color,
    to_color,
)
from briskseg.core.types import RGB

IGNORED = 255
_COMMENT = re.compile(r"(^|\s)#(?![0-9a-fA-F]{6}(\s|$)).*")


@dataclass
class ClassList:
    """A list of classes. lines: the classes, each with its file value; ignored and ignored_colors:
    file values and colors that mean ignored; ignored_lines: the classes that `ignore` names.
    says_ignored: whether it has an `ignore`, without which 255 is ignored."""

    lines: list[ClassLine] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    ignored_colors: list[RGB] = field(default_factory=list)
    ignored_lines: list[ClassLine] = field(default_factory=list)
    says_ignored: bool = False

    def ignore(self, name: str) -> None:
        """Take a class out of the list: its value and its color mean ignored."""
        for entry in [entry for entry in self.lines if entry.name == name]:
            self.lines.remove(entry)
            self.ignored_lines.append(entry)
            if entry.value is not None:
                self.ignored.append(entry.value)
            if entry.color is not None:
                self.ignored_colors.append(entry.color)


def read_class_list(path: Path) -> ClassList:
    """Read a list of classes; as `parse_class_list`, and errors of reading."""
    text = read_text(path, MAX_LIST_BYTES, "write one class name a line into it")
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
        elif columns is None and not listed.lines and (found := header(line)):
            columns = found
        else:
            entry = from_columns(line, columns, number, where) if columns else None
            listed.lines.append(entry or class_line(line, number, where))
    _number(path, listed)
    _check(path, listed)
    by_name = {entry.name for entry in listed.lines}
    by_value = {entry.value: entry.name for entry in listed.lines}
    listed.says_ignored = bool(ignores)
    for where, what in ignores:
        _ignore(listed, what, by_name, by_value, where)
    gives_values = any(re.search(r"(^|[\s,])\d", what) for _, what in ignores)
    if not gives_values and IGNORED not in by_value:  # the customary mark, beside an `ignore NAME`
        listed.ignored.append(IGNORED)
    if not listed.lines:
        raise DataError(f"{path}: no class in it; write one class name a line")
    return listed


def written_class(name: str, color: RGB | None = None) -> str:
    """The line that reads as this class: `name r g b`, the name in quotes where it needs them.

    Raises DataError for a name that no line can hold: one with both kinds of quotes.
    """
    rest = "" if color is None else " {} {} {}".format(*color)
    for written in (name, f'"{name}"', f"'{name}'"):
        try:
            lines = parse_class_list(written + rest, Path("classes.txt")).lines
        except DataError:
            continue
        if [(line.name, line.color, line.value) for line in lines] == [(name, color, 0)]:
            return written + rest
    raise DataError(f"a list of classes cannot hold the name {name!r}; rename the class")


def _rows(text: str, path: Path) -> Iterator[tuple[int, str]]:
    """Each line that says something, without its comment, and its number."""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if re.fullmatch(rf"{HEX}\s+\S.*", line):
            raise DataError(
                f"{path}, line {number}: '{line[:60]}' begins with a color or is a comment; write "
                "the name first (`sky #808080`), or `# ` before a comment"
            )
        line = line if '"' in line else _COMMENT.sub("", line).strip()
        if line:
            yield number, line


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
    if len(words) == 3 and all(
        re.fullmatch(r"\d{1,3}", word) and int(word) < 256 for word in digits
    ):
        red, green, blue = map(int, digits)
        raise DataError(
            f"{where}: `ignore {text}` can be read in two ways: for the values {red}, {green} and "
            f"{blue} write each on an `ignore` line of its own; for the color write "
            f"`ignore #{red:02x}{green:02x}{blue:02x}`"
        )
    for word in words:
        if word in names:
            listed.ignore(word)
        elif color := hex_color(word):
            listed.ignored_colors.append(color)
        elif re.fullmatch(r"\d+,\d+,\d+", word):
            listed.ignored_colors.append(to_color(word.split(","), where))
        elif re.fullmatch(r"(\d{1,5},?)+", word):
            for value in (file_value(part, where) for part in word.strip(",").split(",")):
                if value in by_value:
                    listed.ignore(by_value[value])
                else:
                    listed.ignored.append(value)
        else:
            words = []
    if not words:
        raise DataError(
            f"{where}: 'ignore{' ' * bool(text)}{text[:40]}'; expected `ignore N` with a value "
            f"from 0 to {MOST_VALUE}, `ignore NAME` with a class of the list, or `ignore #rrggbb`"
        )
