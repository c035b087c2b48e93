"""Where images come from and labels go to: local folders, and what fsspec reaches (s3://, gs://).

What is put somewhere is there whole or not at all: local files are renamed into place, and object
stores show an object once all of it has arrived.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from briskseg.core.errors import BriskError, DataError, RequestError, needs
from briskseg.core.files.atomic import sync

_DAY = 86400  # s
_WORK = ".work"  # where a local folder's files are made before they are renamed


def is_url(text: str) -> bool:
    """Whether it is an address for fsspec; `file://` is a local path."""
    return "://" in text and not text.startswith("file://")


def local_path(text: str) -> Path:
    return Path(text.removeprefix("file://"))


def open_url(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path there. Raises RequestError where there is no
    such kind, MissingExtraError without fsspec."""
    with needs(f"reaching {url}", "label"):
        import fsspec
    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # s3fs is not installed; an unknown kind
        raise RequestError(f"{url} cannot be reached: {error}") from None
    return file_system, str(path)


def fetch(url: str, target: Path, bound: int) -> None:
    """Copy what lies at an address to a local file. Raises DataError where it is not there or has
    more than `bound` bytes, BriskError where the way there fails."""
    with _reached(url, bound) as (file_system, path):
        file_system.get_file(path, str(target))


def fetched(url: str, bound: int) -> bytes:
    """What lies at an address. Raises as `fetch`."""
    with _reached(url, bound) as (file_system, path):
        return bytes(file_system.cat_file(path))


@contextmanager
def _reached(url: str, bound: int) -> Iterator[tuple[Any, str]]:
    """The file system and the path there of at most `bound` bytes."""
    file_system, path = open_url(url)
    try:
        size = file_system.size(path)
        if size is not None and size > bound:
            raise DataError(f"{url}: {size} bytes, more than the {bound} that are read of it")
        yield file_system, path
    except DataError:
        raise
    except Exception as error:  # each kind of storage has errors of its own
        cause = error.__cause__
        if isinstance(error, FileNotFoundError) and not isinstance(cause, OSError):
            raise DataError(f"{url}: no such file") from None
        # fsspec says of a server that does not answer that the file is not there
        raise BriskError(
            f"{url} cannot be fetched: {cause or error}; look at the network and your rights "
            "there, and give the same command again to go on"
        ) from error


class Storage(Protocol):
    """A folder to write to; names in it are relative, with `/`. All raise BriskError."""

    def names(self, folder: str) -> set[str]:
        """Of the files and folders in a folder below it, but hidden ones; none without it."""

    def has(self, name: str) -> bool:
        """Whether there is this file."""

    def read(self, name: str) -> bytes:
        """A file's bytes."""

    def create(self, name: str, data: bytes) -> bool:
        """Make a small file, unless it is there already: then False."""

    def scratch(self, shard: int) -> Any:
        """A context with a local folder to make this shard's files in."""

    def put(self, made: Path, name: str) -> None:
        """Let a file made in the scratch folder become `name`, whole."""

    def settle(self) -> None:
        """Have the disk hold under their names all that was put, whatever happens then."""

    def finish(self) -> None:
        """Take away what was needed while others wrote."""


def open_storage(text: str) -> Storage:
    """The folder at a path or an address; nothing is made."""
    return RemoteStorage(text) if is_url(text) else LocalStorage(local_path(text))


class LocalStorage:
    """A folder on a disk, local or shared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed: set[Path] = set()  # folders whose lists of names the disk may not hold

    def names(self, folder: str) -> set[str]:
        with _failing(self.folder / folder, "read"):
            try:
                found = os.listdir(self.folder / folder)
            except FileNotFoundError:
                return set()
        return {name for name in found if not name.startswith(".")}

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def read(self, name: str) -> bytes:
        with _failing(self.folder / name, "read"):
            return (self.folder / name).read_bytes()

    def create(self, name: str, data: bytes) -> bool:
        target = self.folder / name
        part = target.with_name(f".{name}.{_own_mark()}.part")
        try:
            with _failing(target, "written"):
                self.folder.mkdir(parents=True, exist_ok=True)
                part.write_bytes(data)
                sync(part)
                try:
                    os.link(part, target)  # whole, and only where there is none
                except FileExistsError:
                    return False
                except OSError:  # a file system without links: who was the first is not to be told
                    if not target.exists():
                        part.replace(target)
                    return False
                sync(self.folder)
            return True
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    @contextmanager
    def scratch(self, shard: int) -> Iterator[Path]:
        own = self.folder / _WORK / f"{shard}.{_own_mark()}"
        shutil.rmtree(own, ignore_errors=True)
        with _failing(own, "made"):
            try:
                own.mkdir(parents=True)
            except FileNotFoundError:  # another part ended just now, and took the folder above away
                own.mkdir(parents=True)
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def put(self, made: Path, name: str) -> None:
        target = self.folder / name
        with _failing(target, "written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            sync(made)
            made.replace(target)
        above = (folder for folder in target.parents if folder.is_relative_to(self.folder))
        self._changed.update(above)  # each may be new in the list of the one above it

    def settle(self) -> None:
        for folder in self._changed:
            sync(folder)
        self._changed.clear()

    def finish(self) -> None:
        with suppress(OSError):  # another part still writes
            for left in (self.folder / _WORK).iterdir():
                if _is_abandoned(left):
                    shutil.rmtree(left, ignore_errors=True)
            (self.folder / _WORK).rmdir()


class RemoteStorage:
    """A folder that fsspec reaches."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._file_system, self._path = open_url(self.url)
        self._made: set[str] = set()  # folders

    def names(self, folder: str) -> set[str]:
        with self._failing(folder, "read"):
            self._file_system.invalidate_cache()
            try:
                found = self._file_system.ls(f"{self._path}/{folder}".rstrip("/"), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return set()
        names = {str(path).rstrip("/").rpartition("/")[2] for path in found}
        return {name for name in names if not name.startswith(".")}

    def has(self, name: str) -> bool:
        with self._failing(name, "read"):
            self._file_system.invalidate_cache()
            return bool(self._file_system.exists(f"{self._path}/{name}"))

    def read(self, name: str) -> bytes:
        with self._failing(name, "read"):
            return bytes(self._file_system.cat_file(f"{self._path}/{name}"))

    def create(self, name: str, data: bytes) -> bool:
        with self._failing(name, "written"):
            self._file_system.makedirs(self._path, exist_ok=True)
            try:
                self._file_system.pipe_file(f"{self._path}/{name}", data, mode="create")
            except FileExistsError:
                return False
        return True

    @contextmanager
    def scratch(self, shard: int) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="briskseg-") as folder:
            yield Path(folder)

    def put(self, made: Path, name: str) -> None:
        target = f"{self._path}/{name}"
        with self._failing(name, "written"):
            folder = target.rpartition("/")[0]
            if folder not in self._made:
                self._file_system.makedirs(folder, exist_ok=True)
                self._made.add(folder)
            self._file_system.put_file(str(made), target)
        made.unlink()

    def settle(self) -> None:
        pass

    def finish(self) -> None:
        pass

    @contextmanager
    def _failing(self, name: str, what: str) -> Iterator[None]:
        try:
            yield
        except BriskError:
            raise
        except Exception as error:  # each kind of storage has errors of its own
            raise BriskError(
                f"{self.url}/{name} cannot be {what}: {error}; look at the network and your rights "
                "there, and give the same command again to go on"
            ) from error


def _own_mark() -> str:
    """Distinct for each process that writes, on whichever machine."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _is_abandoned(scratch: Path) -> bool:
    """Whether the process that made it has ended; of another machine's, whether it rests a day."""
    host, _, process = scratch.name.partition(".")[2].rpartition("-")
    if host == socket.gethostname() and os.name != "nt":
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except (PermissionError, ValueError):  # another user's, or no folder of ours
            pass
        return False
    return time.time() - scratch.stat().st_mtime > _DAY


@contextmanager
def _failing(path: Path, what: str) -> Iterator[None]:
    """Within, an OSError is a message on this path."""
    try:
        yield
    except (NotADirectoryError, FileExistsError) as error:
        raise RequestError(
            f"{path} is a file or lies below one, expected a folder; name another"
        ) from error
    except OSError as error:
        raise BriskError(
            f"{path} cannot be {what}: {error.strerror or error}; make room and look at the "
            "folder's permissions, and give the same command again to go on"
        ) from error
