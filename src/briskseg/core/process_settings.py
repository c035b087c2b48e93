"""Settings of the whole process that belong to its owner: changed while needed, then as before; but
for `keep_freed_memory`, which is for a process of our own."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ProcessSetting(Generic[T]):
    """One setting, which several threads may need changed at once: the last puts it back."""

    def __init__(self, read: Callable[[], T], write: Callable[[T], object]) -> None:
        self._read, self._write = read, write
        self._lock = threading.Lock()
        self._users = 0
        self._before: T

    @contextmanager
    def changed(self, value: T) -> Iterator[None]:
        """Within, the setting is `value`, or what a thread that came later needs."""
        with self._lock:
            if self._users == 0:
                self._before = self._read()
            self._users += 1
            self._write(value)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._write(self._before)


def opencv_silenced() -> AbstractContextManager[None]:
    """Within, OpenCV writes no warning to standard error, in any thread."""
    return _OPENCV_LOG.changed(_cv2().utils.logging.LOG_LEVEL_SILENT)


def opencv_in_one_thread() -> AbstractContextManager[None]:
    """Within, OpenCV computes in the thread that calls it: for work that has threads of its own."""
    return _OPENCV_THREADS.changed(1)


def quick_switches() -> AbstractContextManager[None]:
    """Within, a thread that comes back from OpenCV waits 0.1 ms for the others' Python, not 5."""
    return _SWITCH_INTERVAL.changed(1e-4)


@contextmanager
def standard_error_silenced() -> Iterator[None]:
    """Within, what libraries in C write to standard error is dropped, and all else too, in any
    thread: for moments in which a library tells of itself and has no switch for that."""
    with _STANDARD_ERROR:
        try:
            kept = os.dup(2)
        except OSError:  # closed: nothing is written
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


@contextmanager
def quiet() -> Iterator[None]:
    """Within, no library of the process logs a warning, warns, or prints to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def silenced() -> Iterator[None]:
    """As `quiet`, and what Python writes to standard error is dropped."""
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextmanager
def environment_variable(name: str, value: str, replaces: bool = False) -> Iterator[None]:
    """Within, the variable is `value` where it had none; replaces: even where it had one. For what
    a library reads on loading."""
    before = os.environ.get(name)
    is_ours = before is None or replaces
    if is_ours:
        os.environ[name] = value
    try:
        yield
    finally:
        if is_ours and before is None:
            os.environ.pop(name, None)
        elif is_ours and before is not None:
            os.environ[name] = before


def keep_freed_memory() -> None:
    """Let the main thread keep what large buffers held once they are freed, for the next ones. Else
    the system takes each back and must zero the next: half of a training step on a CPU.

    Of glibc alone; elsewhere nothing happens. It stays so: for a process that is a command's own.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (TypeError, OSError, AttributeError):  # Windows; another library than glibc
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)  # never


def _cv2() -> Any:
    """OpenCV, imported within, because commands that decode nothing import this file too."""
    import cv2

    return cv2


_OPENCV_LOG: ProcessSetting[int] = ProcessSetting(
    lambda: _cv2().utils.logging.getLogLevel(),
    lambda level: _cv2().utils.logging.setLogLevel(level),
)
_OPENCV_THREADS: ProcessSetting[int] = ProcessSetting(
    lambda: _cv2().getNumThreads(), lambda number: _cv2().setNumThreads(number)
)
_SWITCH_INTERVAL = ProcessSetting(sys.getswitchinterval, sys.setswitchinterval)
_STANDARD_ERROR = threading.RLock()

# glibc's malloc.h: buffers with a mapping of their own, and how much may be free at the heap's end
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1
