"""One process at a time writes a run folder.

The lock is the operating system's and goes with its process, however that ends. On network file
systems it holds as far as their servers pass locks on (NFSv4 and Lustre mounted with `flock` do);
where a file system has no locks at all that is said.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import named
from briskseg.runs.run_folder import RunFolder

if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> None:
        os.lseek(file, 1024, os.SEEK_SET)  # beyond the text, which others may then read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    _TAKEN: tuple[type[OSError], ...] = (PermissionError,)
else:
    import fcntl

    def _take(file: int) -> None:
        # Not flock, which a loading process that outlives a killed run would go on holding.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    _TAKEN = (BlockingIOError, PermissionError)


@contextmanager
def locked(run: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a run folder that exists.

    Raises:
        RequestError: another process holds it; its name is in the file.
    """
    path = RunFolder(run).lock
    with named(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(file, run, say)
        with named(path):
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(file)


def _lock(file: int, run: Path, say: Callable[[str], None]) -> None:
    try:
        _take(file)
    except _TAKEN:
        holder = os.read(file, 200).decode("utf-8", "replace").strip() or "another process"
        raise RequestError(
            f"{run} is being trained by {holder}; wait until it has ended, or name another folder "
            "with --out"
        ) from None
    except OSError as error:
        say(
            f"{run} cannot be locked ({error.strerror}): its file system has no locks; see to it "
            "that no second process trains there"
        )
