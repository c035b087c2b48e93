"""What is printed reaches the terminal as text: names from strangers' files cannot drive it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from briskseg.core.files.safe_names import printable


class PlainText:
    """A stream that writes control characters (colors, cursor moves, clipboard, title) as escapes.

    Rich, whose bars and tables need such characters, finds the stream itself under the attribute
    that it looks for; what it is given to show holds class names alone, which are checked on
    reading.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """As the stream's; what its encoding cannot write is escaped too."""
        encoding = self.rich_proxied_file.encoding or "utf-8"
        plain = printable(text, keep="\n\t")
        self.rich_proxied_file.write(plain.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Standard output and error are such streams."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PlainText(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
