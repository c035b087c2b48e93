"""A stream's stages: each works in a thread of its own, a little ahead of who takes its results."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")

# Measurements remembered of a stage: enough for percentiles, and a stream may go on for days.
_MEASUREMENTS = 4096
# How long a thread that will not end, as in a camera that hangs, is waited for.
_PATIENCE_S = 2.0


class Ahead(Generic[Item]):
    """The items of an iterable, made in a thread of their own; iterate over it, once, to take them.

    A generator is closed there too.

    Up to `size` wait to be taken; then the thread waits too, or with `drops` forgets the oldest one
    and counts it in `dropped`. What making an item raises is raised behind those before it.
    `cancel` all stages of a line before one of them is waited for (`join`).
    """

    def __init__(self, items: Iterable[Item], size: int = 1, drops: bool = False) -> None:
        self.dropped = 0
        self._items, self._size, self._drops = items, size, drops
        self._made: deque[Item] = deque()
        self._error: BaseException | None = None
        self._ended = self._cancelled = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __iter__(self) -> Iterator[Item]:
        self._thread.start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._made or self._ended)
                if not self._made:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._made.popleft()
                self._changed.notify_all()
            yield item

    def cancel(self) -> None:
        """Nobody takes items any more."""
        with self._changed:
            self._ended = self._cancelled = True
            self._made.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread's end, though not for ever."""
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_S)

    def is_working(self) -> bool:
        """Whether the thread has begun and not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
            if isinstance(self._items, Generator):
                self._items.close()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: Item) -> bool:
        """Whether there is still somebody to take items."""
        with self._changed:
            if self._drops and len(self._made) >= self._size:
                self._made.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._cancelled or len(self._made) < self._size)
            if not self._cancelled:
                self._made.append(item)
                self._changed.notify_all()
            return not self._cancelled


class StageTimes:
    """How long each stage took, of the latest few thousand times, in ms."""

    def __init__(self) -> None:
        self._took: dict[str, deque[float]] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        self._took.setdefault(stage, deque(maxlen=_MEASUREMENTS)).append(seconds * 1e3)

    def percentiles(self, stage: str) -> tuple[float, float] | None:
        """Median and 95th percentile in ms, None where nothing was timed."""
        took = self._took.get(stage)
        if not took:
            return None
        median, high = np.percentile(list(took), (50, 95))
        return float(median), float(high)
