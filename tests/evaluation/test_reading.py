"""Reading ahead keeps the order, holds few items, and fails at the item that failed."""

from __future__ import annotations

import threading

import pytest

from briskseg.evaluation.reading import read_ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_items_come_in_order_and_few_are_held(threads: int) -> None:
    taken = []

    def items():
        for index in range(20):
            taken.append(index)
            yield index

    for place, square in enumerate(read_ahead(lambda x: x * x, items(), threads)):
        assert square == place**2
        assert len(taken) <= place + threads + 1
    assert len(taken) == 20


def test_an_error_is_raised_at_its_turn_and_the_threads_end() -> None:
    def read(item: int) -> int:
        if item == 3:
            raise KeyError(item)
        return item

    before = threading.active_count()
    items = read_ahead(read, range(9), threads=2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="3"):
        next(items)
    assert threading.active_count() == before
