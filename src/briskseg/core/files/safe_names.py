"""Names that others chose: what may be one, and how it is shown and made part of a file's name."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from briskseg.core.errors import DataError

LONGEST_CLASS_NAME = 100
_LONGEST_STEM = 100
# Characters that reorder the text around them, by which a name can pass for another one.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _is_hidden(character: str) -> bool:
    """Whether a terminal acts on it, or cannot write it, instead of showing it."""
    return character in _REORDERING or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def printable(text: str, keep: str = "") -> str:
    r"""The text with each character that a terminal would act on as its escape, as in `\x1b[2J`;
    those in `keep` stay."""
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode("ascii") if _is_hidden(c) and c not in keep else c
        for c in text
    )


def fault_of_class_name(name: str) -> str | None:
    """What keeps a text from being a class's name, or None."""
    if len(name) > LONGEST_CLASS_NAME:
        return (
            f"a class name of {len(name)} characters ('{printable(name[:20])}...'), expected at "
            f"most {LONGEST_CLASS_NAME}"
        )
    if any(map(_is_hidden, name)):
        return f"the class name '{printable(name)}' has characters that no one can see"
    return None


def check_file_name(path: Path) -> Path:
    """The path, if its name can be shown on a line; else DataError with the name escaped."""
    if path.name.isprintable() or not any(map(_is_hidden, path.name)):
        return path
    raise DataError(
        f"{printable(str(path))}: a file name with characters that no terminal shows, expected a "
        "name of letters, digits and signs; rename it"
    )


def distinct(names: Iterable[str]) -> list[str]:
    """The names, equal ones with -2, -3 ... in their order: case is no difference, as on some file
    systems."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    found = []
    for name in names:
        number = last.get(name.casefold(), 0) + 1
        free = name if number == 1 else f"{name}-{number}"
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        last[name.casefold()] = number
        taken.add(free.casefold())
        found.append(free)
    return found


def file_stem(name: str) -> str:
    """A name as part of a file's: one folder deep and not too long. `a/b` and `a_b` become one."""
    stem = printable(name).replace("/", "_").replace("\\", "_")
    if len(stem.encode()) <= _LONGEST_STEM:
        return stem
    mark = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{stem.encode()[:_LONGEST_STEM].decode(errors='ignore')}-{mark}"
