"""Who runs the parts of a stage (`protocols.Engine`) where the caller brings nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")


class ThisProcess:
    """One part after the other, here."""

    def each(self, work: Callable[[Part], None], parts: Sequence[Part]) -> None:
        for part in parts:
            work(part)


class Threads:
    """So many parts at a time, for work that waits for something else. After an error no more are begun."""

    def __init__(self, count: int) -> None:
        self.count = count

    def each(self, work: Callable[[Part], None], parts: Sequence[Part]) -> None:
        pool = ThreadPoolExecutor(self.count)
        try:
            for future in [pool.submit(work, part) for part in parts]:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
