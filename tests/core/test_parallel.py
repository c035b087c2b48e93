"""Mapping by threads keeps the order, computes few ahead, and stops where a caller or item does."""

from __future__ import annotations

import threading

import pytest

from briskseg.core.parallel import thread_map


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
