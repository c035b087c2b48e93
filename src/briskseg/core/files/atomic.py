"""Files written whole: under another name, synced, renamed; so a kill or a power cut leaves either
the file as it was or the new one, never half of it.

    RUN/.NAME.PID.part   what a killed process was writing; `remove_parts` takes it away
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from briskseg.core.errors import BriskError


@contextmanager
def written_whole(path: Path, synced: bool = True) -> Iterator[Path]:
    """Yields the name to write to; at the end what lies there is synced and becomes `path`. It is
    a new file's name: nothing is written through a link that lay there. Many files that can be
    made again need not be synced, which takes a disk milliseconds each.

    Raises OSError naming `path`; then, as on any exception, `path` is as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            yield part
            if synced:
                sync(part)
            part.replace(path)
            if synced:
                sync(path.parent)
        finally:
            part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | str, synced: bool = True) -> None:
    """Let `path` hold these bytes, or this text in UTF-8; as `written_whole`."""
    with written_whole(path, synced) as part, part.open("xb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an OSError name this file: one of a write that fails names none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def writing(path: Path, kind: type[BriskError] = BriskError) -> Iterator[None]:
    """Let an OSError be a message: `path`, or of a folder what fails in it, cannot be written."""
    try:
        yield
    except OSError as error:
        where = error.filename if error.filename and path.is_dir() else path
        raise kind(f"{where} cannot be written: {error.strerror or error}") from None


def sync(path: Path) -> None:
    """Have the disk hold what a file, or a folder's list of names, holds now."""
    if path.is_dir() and os.name == "nt":
        return  # Windows syncs no folders
    how = os.O_RDONLY if path.is_dir() else os.O_RDWR  # Windows syncs what is open for writing
    opened = os.open(path, how)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def remove_parts(folder: Path) -> None:
    """Take away what killed processes were writing in a folder, and in the folders in it."""
    for part in [*folder.glob(".*.part"), *folder.glob("*/.*.part")]:
        part.unlink(missing_ok=True)
