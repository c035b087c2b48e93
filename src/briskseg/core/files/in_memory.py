"""Bytes as a file: what was sent, fetched, or lies in a file of another kind."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

# The class of the system's paths; `Path` itself cannot be derived from before Python 3.12.
if TYPE_CHECKING:
    SystemPath = Path
else:
    SystemPath = type(Path())


class InMemory(SystemPath):
    """Bytes as a path that can be read. Its name is for messages; paths that are made from it hold
    nothing."""

    _content: bytes = b""

    @classmethod
    def of(cls, path: Path, content: bytes) -> InMemory:
        """These bytes, named by this path."""
        held = cls(path)
        held._content = content
        return held

    def open(self, mode: str = "r", *how: Any, **more: Any) -> IO[Any]:  # type: ignore[override]
        if mode != "rb":
            raise OSError(30, "bytes in memory can only be read, as bytes", str(self))
        return io.BytesIO(self._content)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, len(self._content), 0, 0, 0))

    def is_file(self, **how: Any) -> bool:
        return True
