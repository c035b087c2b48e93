"""Numbers of things in sentences."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and the noun, in the plural unless it is one: "1 class", "2 classes". plural:
    where a verb follows, as in ("image is", "images are")."""
    regular = f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
    return f"{number} {noun if number == 1 else plural or regular}"
