"""What sentences to people are made of: counts of things, and what other programs said."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and the noun, in the plural unless it is one: "1 class", "2 classes". plural:
    where a verb follows, as in ("image is", "images are")."""
    regular = f"{noun}es" if noun.endswith(("s", "x", "tch", "nch", "sh")) else f"{noun}s"
    return f"{number} {noun if number == 1 else plural or regular}"


def first_of(texts: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are: "a, b and 2 more"."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


def hxw(size_hw: Sequence[int]) -> str:
    """(360, 480) as 360x480."""
    return "x".join(map(str, size_hw))


def number(value: float) -> str:
    """In as few digits as give it back: "30", "0.5", "12.34567"."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def first_line(error: BaseException) -> str:
    """What it says first, of what others' programs say at length; else its type."""
    said = str(error).strip().partition("\n")[0][:300].rstrip(".")
    return said or type(error).__name__


def first_cause(error: BaseException) -> str:
    """The first line of what failed first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
