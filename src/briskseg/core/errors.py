"""The errors that reach a user, each one sentence: what was found, what was expected, what to do.

BriskError                 exit status 1: the work failed
├── RequestError           exit status 2: the request was wrong
│   ├── RecipeError        a recipe with an unknown key or an impossible value
│   └── MissingExtraError  an optional package is not installed
├── DataError              an image, a label file or a data set is damaged or does not fit
│   ├── ContentError       a file is of another kind than its name says, or than is read
│   ├── PixelsError        an image has more pixels than are read at once
│   └── UnknownLabelError  a label file holds values or colors that are no class
├── WeightsError           a weights file is damaged, not recognized, or lacks its card
├── TrainingError          a run cannot go on: it diverged, or its folder is not usable
├── ExportError            an exported file does not compute what its network computes
└── Interrupted            exit status 130: the user, or a signal, asked the work to stop
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from briskseg.core.wording import counted, first_of

_SHOWN = 5  # unknown values or colors of a file, in a message


class BriskError(Exception):
    """Base of every error that is a message to the user; `exit_status` is the command's."""

    exit_status = 1


class RequestError(BriskError):
    """The request was wrong: an unknown name, an impossible value, a folder that is not there."""

    exit_status = 2


class RecipeError(RequestError):
    """A recipe has an unknown key or an impossible value."""


class MissingExtraError(RequestError):
    """A package is needed and not installed. extra: the one that brings it; empty: briskseg itself
    does, and it was left out or removed."""

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        words = f"'briskseg[{extra}]'" if extra else package
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install {words}"
        )


@contextmanager
def needs(purpose: str, extra: str, package: str = "") -> Iterator[None]:
    """Within, a package that cannot be imported is a MissingExtraError. package: what pip calls it,
    where that is not the module's name."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = package or str(error.name).partition(".")[0]
        raise MissingExtraError(missing, purpose, extra) from error


class DataError(BriskError):
    """An image, a label file or a data set is damaged or does not fit what was declared."""


class ContentError(DataError):
    """A file is of another kind than its name says, or than is read.

    kind: of the findings that `check` lists. found: the sentence without what to do, `fix_hint`.
    """

    def __init__(self, kind: str, found: str, fix_hint: str) -> None:
        self.kind, self.found, self.fix_hint = kind, found, fix_hint
        super().__init__(f"{found}; {fix_hint}")


class PixelsError(DataError):
    """An image, a label file or a frame has more pixels than are read at once."""


class UnknownLabelError(DataError):
    """A label file holds values or colors that are no class.

    unknown: each unknown file value, or RGB color, with its number of pixels, most frequent first.
    fix_hint: the likely way out.
    """

    def __init__(
        self, path: Path, unknown: Mapping[Any, int], expected: str, fix_hint: str
    ) -> None:
        self.unknown = dict(sorted(unknown.items(), key=lambda item: -item[1]))
        self.fix_hint = fix_hint
        what = "color" if any(isinstance(key, tuple) for key in unknown) else "value"
        listed = [f"{key} ({counted(n, 'pixel')})" for key, n in self.unknown.items()]
        super().__init__(
            f"{path}: {what}{'s' * (len(unknown) > 1)} {first_of(listed, _SHOWN)} of no class; "
            f"expected {expected}; {fix_hint}"
        )


class WeightsError(BriskError):
    """A weights file is damaged, not recognized, or lacks its card."""


class TrainingError(BriskError):
    """A run cannot go on."""


class ExportError(BriskError):
    """An exported file does not compute what its network computes."""


class Interrupted(BriskError):
    """The user pressed Ctrl-C, or another signal asked the work to stop."""

    def __init__(self, message: str, exit_status: int = 130) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def nearest(name: object, choices: Iterable[str]) -> str:
    """The end of a message on an unknown name: the nearest choice, if one is near, and all."""
    name, known = str(name), list(choices)
    close = difflib.get_close_matches(name, known, n=1)
    if not close:  # one that begins so: `erfnt` means an `erfnet-...`
        begins = {choice[: len(name)]: choice for choice in reversed(known)}
        close = [begins[b] for b in difflib.get_close_matches(name, begins, n=1, cutoff=0.75)]
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}choices: {', '.join(known)}"
