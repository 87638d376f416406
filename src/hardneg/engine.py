"""Who runs the parts of a stage (`protocols.Engine`) where the caller brings nobody else: this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Part = TypeVar("Part")


class ThisProcess:
    """One part after the other, here."""

    def each(self, work: Callable[[Part], None], parts: Sequence[Part]) -> None:
        for part in parts:
            work(part)
