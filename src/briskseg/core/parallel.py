"""Work on many items by threads, in order; OpenCV, zlib and numpy let other threads run."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from briskseg.core.types import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


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
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in the order of the items.

    threads: how many compute at once; None: as many as `available_threads`.
    ahead: how many results are computed, or waiting, beside the one that the caller has, which
        bounds the memory; None: twice the threads.
    progress: called with (done, total) after the caller is done with each result.

    An exception of `function` is raised at its item's turn. After that, and when the caller stops
    early (an exception, Ctrl-C, the generator's `close`), no further item is begun, and those
    that run are waited for, so nothing still works on the caller's data afterwards.
    """
    remaining = deque(items)
    total = len(remaining)
    threads = threads or available_threads()
    ahead = 2 * threads if ahead is None else ahead
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(min(threads, max(1, total)), thread_name_prefix="thread_map")
    try:
        for done in range(1, total + 1):
            while remaining and len(waiting) <= ahead:
                waiting.append(pool.submit(function, remaining.popleft()))
            yield waiting.popleft().result()
            if progress is not None:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
