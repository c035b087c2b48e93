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
    """Bytes as a path that can be read. Its name is for messages; paths that are made from it are
    plain ones."""

    _content: bytes | None = None

    @classmethod
    def of(cls, path: Path, content: bytes) -> InMemory:
        """These bytes, named by this path."""
        held = cls(path)
        held._content = content
        return held

    def __reduce__(self) -> tuple[Any, ...]:
        return InMemory.of, (Path(str(self)), self._content)

    def open(self, mode: str = "r", *how: Any, **more: Any) -> IO[Any]:  # type: ignore[override]
        if self._content is None:
            return super().open(mode, *how, **more)
        if mode != "rb":
            raise OSError(30, "bytes in memory can only be read, as bytes", str(self))
        return io.BytesIO(self._content)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if self._content is None:
            return super().stat(follow_symlinks=follow_symlinks)
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, len(self._content), 0, 0, 0))

    def is_file(self, **how: Any) -> bool:
        return self._content is not None or super().is_file(**how)
