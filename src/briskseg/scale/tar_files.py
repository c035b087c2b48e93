"""Tar shards as WebDataset has them: images by their key, read by several threads, in bounds.

Nothing is unpacked by its own name, so no name leads anywhere; links and devices are not followed.
"""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_SHARD_MEMBERS, MAX_TAR_HEADER_BYTES
from briskseg.core.files.safe_names import printable
from briskseg.core.images import IMAGE_SUFFIXES


class Member(NamedTuple):
    """An image in a tar: its name there, where its bytes lie, and what forbids reading it."""

    name: str
    offset: int
    size: int
    fault: str = ""


class TarFile:
    """An open tar. fault: why the list of its images ends early, or is empty; else ""."""

    def __init__(self, path: Path, images: list[Member], fault: str, file: BinaryIO) -> None:
        self.path, self.images, self.fault = path, images, fault
        self._file, self._lock = file, threading.Lock()

    def read(self, member: Member, most_bytes: int) -> bytes:
        """An image's bytes; several threads may read. Raises DataError for what is no plain file,
        has more than `most_bytes`, or is cut off."""
        shown = f"{self.path}: {printable(member.name)}"
        if member.fault:
            raise DataError(f"{shown} {member.fault}")
        if member.size > most_bytes:
            raise DataError(f"{shown} has {member.size} bytes, more than the {most_bytes} read")
        with self._lock:
            self._file.seek(member.offset)
            data = self._file.read(member.size)
        if len(data) != member.size:
            raise DataError(
                f"{shown} is cut off after {len(data)} of {member.size} bytes; copy the tar again"
            )
        return data


@contextmanager
def opened_tar(path: Path) -> Iterator[TarFile]:
    """The tar and its images in their order: members `KEY.jpg` (or another image's ending), KEY
    without a dot in its last part, as WebDataset has it; `KEY.seg.png` is no image.

    What is damaged is said in `fault`, behind the images before it. Raises DataError for a file
    that cannot be opened.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: no file")
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        images: list[Member] = []
        fault = ""
        try:
            for number, info in enumerate(tarfile.open(fileobj=_Headers(file), mode="r:")):  # noqa: SIM115
                if number == MAX_SHARD_MEMBERS:
                    raise DataError(f"more than {MAX_SHARD_MEMBERS} members; divide it")
                if _is_image(info.name):
                    images.append(Member(info.name, info.offset_data, info.size, _fault(info)))
        except DataError as error:
            fault = f"{path}: {error}"
        except Exception as error:  # of a damaged tar, any of a dozen types
            fault = (
                f"{path}: cannot be read as a tar behind its first {len(images)} images ({error}); "
                "copy it again, or unpack and repack it, not compressed"
            )
        if not images and not fault:
            fault = (
                f"{path}: holds no image, expected members KEY.jpg, KEY.png ... without a second "
                "dot in their name"
            )
        yield TarFile(path, images, fault, file)


def _is_image(name: str) -> bool:
    """By its name: KEY.jpg, where nothing of KEY's last part begins with a dot."""
    key, _, ending = PurePosixPath(name).name.partition(".")
    return bool(key) and f".{ending.lower()}" in IMAGE_SUFFIXES


def _fault(info: tarfile.TarInfo) -> str:
    """Why a member is not read, or ""."""
    if info.issym() or info.islnk():
        return "is a link, which is not followed; store the image itself"
    if not info.isreg() or info.issparse():
        return "is no plain file; store the image itself"
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        return "has a name that leaves the tar's folder; name it KEY.jpg"
    if len(info.name.encode(errors="backslashreplace")) > 1024:
        return "has a name of more than 1024 bytes; shorten it"
    return ""


class _Headers:
    """A file as `tarfile` reads its headers: one that claims to be large is refused, as all of it
    would be taken into memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_TAR_HEADER_BYTES:
            raise DataError(f"a member's header of {size} bytes, more than any has; it is damaged")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
