"""Shards by several processes of one machine, or by this one."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from briskseg.core.errors import BriskError, Interrupted
from briskseg.scale.shard_work import Done, Work, label_shard
from briskseg.scale.sources import Shard

_LOOK_EVERY_S = 0.2  # at how far the workers are


def run_workers(
    work: Work, shards: Sequence[Shard], workers: int, report: Callable[[int, int, int], None]
) -> Iterator[Done]:
    """The shards as they become done, by so many processes, each of which takes the next one.

    report: called now and then with shards begun, images in these, and images done.
    The processes are begun anew (spawn), as libraries with threads cannot be forked. They end at
    the next image where the caller stops, and at once where this process dies.
    Raises BriskError where a process dies.
    """
    context = multiprocessing.get_context("spawn")
    counts, stop = context.Array("q", 3), context.Event()
    pool = ProcessPoolExecutor(workers, context, _begin, (counts, stop))
    try:
        with _held_interrupts():  # each of the first works begins a process
            waiting = {pool.submit(_label, work, shard) for shard in shards}
        while waiting:
            ready, waiting = wait(waiting, _LOOK_EVERY_S, FIRST_COMPLETED)
            report(*counts[:])
            for future in ready:
                yield future.result()
    except BrokenProcessPool:
        raise BriskError(
            "a worker process died, as when memory is short; what is written stays: give the same "
            "command again to go on, perhaps with fewer --workers"
        ) from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the end, and in processes begun here until they ignore it themselves."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_counts: Any = None  # of a worker process: shards begun, images in these, images done
_stop: Any = None


def _begin(counts: Any, stop: Any) -> None:
    """Prepare a new worker process."""
    global _counts, _stop
    _counts, _stop = counts, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)  # the processes are the threads


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _label(work: Work, shard: Shard) -> Done:
    def note(images: int, done: int) -> None:
        if _stop.is_set():
            raise Interrupted("interrupted")
        with _counts.get_lock():
            _counts[0] += done == 0
            _counts[1] += images
            _counts[2] += done

    try:
        return label_shard(work, shard, note)
    except BriskError as error:  # others of ours do not come whole through a pipe
        raise BriskError(str(error)) from None
