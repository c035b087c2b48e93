"""Sizes as one types them: HxW, height first."""

from __future__ import annotations

import re
from typing import overload

from briskseg.core.errors import RequestError


@overload
def read_size(text: str, option: str) -> tuple[int, int]: ...
@overload
def read_size(text: None, option: str) -> None: ...
@overload
def read_size(text: str | None, option: str) -> tuple[int, int] | None: ...
def read_size(text: str | None, option: str) -> tuple[int, int] | None:
    """(height, width) in pixels; None where the option was not given."""
    if text is None:
        return None
    sides = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if sides is None:
        raise RequestError(f"{option} {text} is no size, expected HxW as in 512x1024")
    return int(sides[1]), int(sides[2])
