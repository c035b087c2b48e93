"""Mapping by threads keeps the order, computes few ahead, and stops where a caller or item does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from briskseg.core.parallel import pipelined, thread_map


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (3, 4), (4, 0)])
def test_results_come_in_order_and_few_are_computed_ahead(threads: int, ahead: int) -> None:
    begun = []

    def square(x: int) -> int:
        begun.append(x)
        return x * x

    for index, result in enumerate(thread_map(square, range(20), threads=threads, ahead=ahead)):
        assert result == index**2
        assert len(begun) <= index + ahead + 1
    assert len(begun) == 20


def test_progress_follows_the_caller() -> None:
    events: list[object] = []
    for x in thread_map(str, [7, 8], progress=lambda *both: events.append(both)):
        events.append(x)
    assert events == ["7", (1, 2), "8", (2, 2)]


def test_an_error_is_raised_at_its_turn_and_the_threads_end() -> None:
    begun = []

    def read(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise KeyError(item)
        return item

    before = threading.active_count()
    items = thread_map(read, range(99), threads=2, ahead=2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="3"):
        next(items)
    assert threading.active_count() == before
    assert len(begun) <= 6


def test_a_caller_that_stops_leaves_nothing_running() -> None:
    before = threading.active_count()
    items = thread_map(str, range(99), threads=2)
    next(items)
    items.close()
    assert threading.active_count() == before


def test_nothing_to_do() -> None:
    assert list(thread_map(str, [])) == []


def test_a_generator_is_taken_from_no_further_than_asked_and_closed() -> None:
    taken, closed = [], []

    def numbers() -> Iterator[int]:
        try:
            for number in range(99):
                taken.append(number)
                yield number
        finally:
            closed.append(threading.current_thread())

    items = thread_map(str, numbers(), threads=2, ahead=2)
    assert next(items) == "0"
    assert len(taken) <= 3
    items.close()
    assert closed == [threading.current_thread()]


def test_three_stages_overlap_and_keep_the_order() -> None:
    """Each waits for another to be at work on another item, which in turns none ever would."""
    begun = {name: threading.Event() for name in ("read 2", "compute 2", "write 0")}
    waits_for = {"compute 1": "read 2", "compute 2": "write 0", "write 0": "compute 2"}
    own, computed_by = threading.current_thread(), set()

    def stage(name: str, x: int) -> int:
        if (event := begun.get(f"{name} {x}")) is not None:
            event.set()
        if (other := waits_for.get(f"{name} {x}")) is not None:
            assert begun[other].wait(30), f"{name} {x} waited for {other}"
        if name == "compute":
            computed_by.add(threading.current_thread())
        return x

    read, compute, write = (partial(stage, name) for name in ("read", "compute", "write"))
    assert list(pipelined(range(10), read, compute, write)) == list(range(10))
    assert computed_by == {own}


def test_an_interrupted_pipeline_leaves_nothing_running() -> None:
    def compute(x: int) -> int:
        if x == 5:
            raise KeyboardInterrupt
        return x

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(pipelined(range(99), str, lambda text: compute(int(text)), str))
    assert threading.active_count() == before
