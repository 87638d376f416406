"""Work that overlaps: the next call is tokenised while the model runs, and batches run side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that start nothing more once the block is left, for an error or an interruption too."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """make(item) of each in order, the next one being made by another thread while one is in use."""
    with threads(1) as pool:
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def started_ahead(
    start: Callable[[Item], list[Future[Any]]], items: Iterable[Item]
) -> Iterator[tuple[Item, list[Any]]]:
    """Each item with the results of what `start` set going for it; the next is started before one is awaited.

    So no lane stands still at the end of an item.
    """
    waiting: deque[tuple[Item, list[Future[Any]]]] = deque()
    for item in items:
        waiting.append((item, start(item)))
        if len(waiting) > 1:
            first, futures = waiting.popleft()
            yield first, [future.result() for future in futures]
    while waiting:
        first, futures = waiting.popleft()
        yield first, [future.result() for future in futures]
