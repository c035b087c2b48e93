"""Reads ahead: files are decoded by other threads while this one works on those before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(
    read: Callable[[Item], Content], items: Iterable[Item], threads: int = 1
) -> Iterator[Content]:
    """`read(item)` of every item, in order; as many as there are threads are read ahead.

    What `read` raises is raised at its item's turn.
    """
    waiting: deque[Future[Content]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
