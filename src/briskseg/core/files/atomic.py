"""Files written whole: under another name, synced, renamed; so a kill or a power cut leaves either
the file as it was or the new one, never half of it.

    RUN/.NAME.PID.part   what a killed process was writing; `remove_parts` takes it away
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from briskseg.core.errors import BriskError, RequestError


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
    """Let an OSError be a message: `path`, or of a folder what fails in it, cannot be written. It
    is a RequestError where a file and a folder are in each other's place."""
    try:
        yield
    except OSError as error:
        where = error.filename if error.filename and path.is_dir() else path
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            kind = RequestError
        raise kind(f"{where} cannot be written: {error.strerror or error}") from None


def nearest_there(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(filter(Path.exists, (folder, *folder.parents)))


def refuse_unwritable(folder: Path) -> None:
    """Raise RequestError, before there is work, where no file can be made in the folder, which may
    have yet to be made."""
    try:
        with TemporaryFile(dir=nearest_there(folder)):
            pass
    except OSError as error:
        raise RequestError(
            f"{folder} cannot be written: {error.strerror}; name another folder, or see to its "
            "rights"
        ) from None


def refuse_taken(folder: Path, said: str = "") -> None:
    """Raise RequestError for a folder that is not new and empty, or cannot be written. said: what
    the user named it by."""
    if not os.path.isfile(folder):
        refuse_unwritable(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is a file"
        named = f"{said} {folder}".lstrip()
        raise RequestError(f"{named} {what}; name a new folder, nothing is overwritten")


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
