"""Threads in a line, each working on what the one before it made, over bounded channels."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Self, TypeVar

import numpy as np

Item = TypeVar("Item")

# Measurements kept of a stage: enough for percentiles, and a stream may go on for days.
_KEPT = 4096
# How long a thread that will not end, as in a camera that hangs, is waited for.
_PATIENCE_S = 2.0


class Channel(Generic[Item]):
    """Holds up to `size` items between two threads; iterate over it to take them.

    A full one makes the giver wait, or with `drops` forgets its oldest item and counts it.
    """

    def __init__(self, size: int, drops: bool = False) -> None:
        self.dropped = 0
        self._items: deque[Item] = deque()
        self._size, self._drops = size, drops
        self._ended = self._cancelled = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Whether there is still somebody to take items."""
        with self._changed:
            if self._drops and len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._size)
            if not self._cancelled:
                self._items.append(item)
                self._changed.notify_all()
            return not self._cancelled

    def end(self) -> None:
        """No more items will come; those held are still taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nobody takes items any more."""
        with self._changed:
            self._ended = self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class Pipeline:
    """A line of threads; leaving its context stops them, whatever they still hold.

    `failure` is the first error of a thread. The threads behind it finish what they have.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._channels: list[Channel[Any]] = []
        self._threads: list[threading.Thread] = []

    def feed(self, items: Iterator[Any], target: Channel[Any]) -> None:
        """Put `items` into `target`, from a thread of its own, which also closes a generator."""
        self._channels.append(target)
        self._threads.append(threading.Thread(target=self._run, args=(items, target), daemon=True))

    def work(self, source: Channel[Item], do: Callable[[Item], Any], target: Channel[Any]) -> None:
        """Put `do(item)` into `target` for every item of `source`, from a thread of its own."""
        self.feed(map(do, source), target)

    def _run(self, items: Iterator[Any], target: Channel[Any]) -> None:
        try:
            for item in items:
                if not target.put(item):
                    break
            if isinstance(items, Generator):
                items.close()
        except BaseException as error:
            self.failure = self.failure or error
        finally:
            target.end()
            self._ended(target)

    def _ended(self, target: Channel[Any]) -> None:
        """Let the threads before this one end too: nobody takes what they make."""
        for channel in self._channels[: self._channels.index(target)]:
            channel.cancel()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.cancel()
        end = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))


class Stopwatch:
    """How long each stage took, of the latest few thousand times, in ms."""

    def __init__(self) -> None:
        self._took: dict[str, deque[float]] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        self._took.setdefault(stage, deque(maxlen=_KEPT)).append(seconds * 1e3)

    def percentiles(self, stage: str) -> tuple[float, float] | None:
        """Median and 95th percentile in ms, None where nothing was timed."""
        took = self._took.get(stage)
        if not took:
            return None
        median, high = np.percentile(list(took), (50, 95))
        return float(median), float(high)
