"""Files in an uncompressed tar archive, read where they lie: nothing is extracted."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.in_memory import SystemPath
from briskseg.core.files.limits import MAX_TAR_HEADER_BYTES, MAX_TAR_MEMBERS
from briskseg.core.files.safe_names import check_file_name, printable

_TAIL = 1 << 20  # bytes that must be zero behind the last member
_LONGEST_NAME = 1024  # bytes


class Member(NamedTuple):
    """A file in an archive: its name there, where its bytes lie, and why it is not to be read, as
    the end of a sentence, or ""."""

    name: str
    offset: int
    size: int
    fault: str = ""


class TarMember(SystemPath):
    """A file in an archive as a path that can be read: ARCHIVE/NAME, as of a folder of that name.

    It opens, and has a size, as a file has; its time of change is its archive's. Paths that are
    made from it (`parent`, `with_suffix`) are plain ones, of files that are not there.
    """

    _archive: Path | None = None
    _offset = _size = 0

    @classmethod
    def of(cls, archive: Path, member: Member) -> TarMember:
        """The member of this archive."""
        path = cls(archive, member.name)
        path._archive, path._offset, path._size = archive, member.offset, member.size
        return path

    def __reduce__(self) -> Any:
        if self._archive is None:
            return Path, (str(self),)
        name = self.relative_to(self._archive).as_posix()
        return TarMember.of, (self._archive, Member(name, self._offset, self._size))

    def open(self, mode: str = "r", *how: Any, **more: Any) -> IO[Any]:  # type: ignore[override]
        if self._archive is None:
            return super().open(mode, *how, **more)
        if mode != "rb":
            raise OSError(30, "a file in an archive can only be read, as bytes", str(self))
        return io.BufferedReader(_Window(self._archive, self._offset, self._size))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if self._archive is None:
            return super().stat(follow_symlinks=follow_symlinks)
        found = self._archive.stat()
        parts = list(found)
        parts[6] = self._size
        times = {name: getattr(found, name) for name in ("st_mtime_ns", "st_mtime")}
        return os.stat_result(parts, times)

    def exists(self, **how: Any) -> bool:
        return super().exists(**how) if self._archive is None else self._archive.exists()

    def is_file(self, **how: Any) -> bool:
        return super().is_file(**how) if self._archive is None else self._archive.is_file()


class _Window(io.RawIOBase):
    """A part of a file as a file; it has no number of its own that a library could read past."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._offset, self._size, self._at = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._offset + self._at)
        done = self._file.readinto(view[:wanted]) or 0
        self._at += done
        return done

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def read_members(archive: Path, most: int | None = None) -> Iterator[Member]:
    """The files in an archive, in its order, and what is none, with its `fault`; headers alone are
    read.

    Raises DataError, behind the members that it still found, for what is no uncompressed archive or
    is cut off, or has more than `most` members (by default MAX_TAR_MEMBERS).
    """
    most = MAX_TAR_MEMBERS if most is None else most
    try:
        with archive.open("rb") as file, _opened(file) as tar:
            length = os.fstat(file.fileno()).st_size
            for number, info in enumerate(tar):
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                if number >= most:
                    raise DataError(f"{archive}: more than {most} files; write several archives")
                if info.isdir():
                    continue
                if not 0 <= info.offset_data <= info.offset_data + info.size <= length:
                    raise tarfile.ReadError(f"{printable(info.name[:100])} is cut off")
                name = info.name.removeprefix("./")
                yield Member(name, info.offset_data, info.size, _fault(info))
            # tarfile takes a damaged header for the end
            file.seek(tar.offset)
            tail = file.read(_TAIL)
            if not tail or tail.strip(b"\0"):
                raise tarfile.ReadError(f"no end where one is expected, at byte {tar.offset}")
    except OSError as error:
        raise DataError(f"{archive}: cannot be read ({error.strerror or error})") from None
    except (tarfile.TarError, ValueError, EOFError, IndexError, OverflowError) as error:
        refuse_other(archive, "an uncompressed .tar archive", DataError)
        raise DataError(
            f"{archive}: is damaged or no uncompressed .tar archive ({error}); copy it again"
        ) from None


def _opened(file: IO[bytes]) -> tarfile.TarFile:
    headers: Any = _Headers(file)
    return tarfile.open(fileobj=headers, mode="r:", errorlevel=2)


class _Headers:
    """A file of which only headers are read: a longer piece would fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_TAR_HEADER_BYTES:
            raise ValueError(f"a header of {size} bytes")
        return self._file.read(size)


def _fault(info: tarfile.TarInfo) -> str:
    """Why a member is not to be read, or ""."""
    if info.issym() or info.islnk():
        return "is a link, which is not followed; store the file itself"
    if not info.isreg() or info.issparse():
        return "is no plain file; store the file itself"
    name = PurePosixPath(info.name)
    if name.is_absolute() or ".." in name.parts or "\\" in info.name or not name.name:
        return "has a name that leads out of the archive; write it anew"
    if len(info.name.encode(errors="backslashreplace")) > _LONGEST_NAME:
        return f"has a name of more than {_LONGEST_NAME} bytes; shorten it"
    try:
        check_file_name(Path(info.name))
    except DataError:
        return "has a name with characters that no terminal shows; rename it"
    return ""
