"""Work on many items by threads, in order; OpenCV, zlib and numpy let other threads run."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TypeVar

from briskseg.core.types import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Read = TypeVar("Read")
Computed = TypeVar("Computed")

# Threads that read, and as many that write: with more, what waits would fill the memory.
_MOST_THREADS = 4


def available_threads() -> int:
    """The processors that this process may use: a scheduler or a container may have set fewer
    aside for it than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def thread_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int | None = None,
    ahead: int | None = None,
    progress: Progress | None = None,
) -> Generator[Result, None, None]:
    """Yield `function(item)` for every item, in the order of the items.

    items: a generator is taken from in the caller's thread, no further than `ahead` asks, and
        closed at the end.
    threads: how many compute at once; None: as many as `available_threads`.
    ahead: how many results are computed, or waiting, beside the one that the caller has, which
        bounds the memory; None: twice the threads.
    progress: called with (done, total) after the caller is done with each result.

    An exception of `function` is raised at its item's turn. After that, and when the caller stops
    early (an exception, Ctrl-C, the generator's `close`), no further item is begun, and those
    that run are waited for, so nothing still works on the caller's data afterwards.
    """
    if progress is not None and not isinstance(items, Sized):
        items = list(items)
    total = len(items) if isinstance(items, Sized) else 0
    threads = threads or available_threads()
    ahead = 2 * threads if ahead is None else ahead
    remaining = iter(items)
    waiting: deque[Future[Result]] = deque()
    done = 0
    pool = ThreadPoolExecutor(min(threads, total or threads), thread_name_prefix="thread_map")
    try:
        while True:
            for item in islice(remaining, ahead + 1 - len(waiting)):
                waiting.append(pool.submit(function, item))
            if not waiting:
                return
            yield waiting.popleft().result()
            done += 1
            if progress is not None:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
        if isinstance(remaining, Generator):
            remaining.close()


def pipelined(
    items: Sequence[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Read], Computed],
    write: Callable[[Computed], Result],
    *,
    progress: Progress | None = None,
) -> Generator[Result, None, None]:
    """Yield `write(compute(read(item)))` for every item, in order, the three at work at once.

    The caller's thread computes; others read ahead and write behind, so throughput is that of the
    slowest of the three where there are processors for all. At most a few items of each are held.
    Exceptions, stopping early and `progress` are as in `thread_map`.
    """
    threads = min(_MOST_THREADS, max(2, available_threads()))

    def computed() -> Generator[Computed, None, None]:
        with closing(thread_map(read, items, threads=threads, ahead=threads)) as found:
            for each in found:
                yield compute(each)

    with closing(thread_map(write, computed(), threads=threads, ahead=threads)) as written:
        for done, result in enumerate(written, start=1):
            yield result
            if progress is not None:
                progress(done, len(items))
