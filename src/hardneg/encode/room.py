"""Out of memory is no end: the batch is redone in halves, and batches grow back once that goes well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardneg.errors import ModelError
from hardneg.records import Int64

_UNLIMITED = 1 << 62
_FIRST_PATIENCE = 4
_LONGEST_PATIENCE = 1024


class Room:
    """Knows how many tokens fit at once. Each encoder has one; it is used by one thread at a time.

    After `patience` parts that fit, twice as many tokens are tried again. Each time that memory runs out
    patience doubles, so that a device which is simply too small is not asked again and again.
    """

    def __init__(self) -> None:
        self.limit = _UNLIMITED
        self._whole = 0
        self._patience, self._fitted = _FIRST_PATIENCE, 0

    def run(self, work: Callable[[Int64], Any], places: Int64, width: int) -> list[Any]:
        """work(part) for all places, in order: in one part, or in as many as memory asks for.

        width  tokens of a text, padding included

        Raises ModelError where a single text does not fit.
        """
        import torch

        done, start = [], 0
        while start < len(places):
            part = places[start : start + max(1, self.limit // max(1, width))]
            try:
                found = work(part)
            except torch.OutOfMemoryError:
                found = None
            # Only here, past the error and what it holds, can the failed batch's memory be given back.
            if found is None:
                self._shrink(len(part), width)
                continue
            done.append(found)
            start += len(part)
            self._grow()
        return done

    def _shrink(self, texts: int, width: int) -> None:
        import torch

        if texts == 1:
            raise ModelError(
                f"a single text of {width} tokens does not fit into the device's memory; set --max-length, "
                "--precision bf16 or another --device"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._whole = max(self._whole, texts * width)
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE)
        self.limit, self._fitted = texts * width // 2, 0

    def _grow(self) -> None:
        self._fitted += 1
        if self.limit == _UNLIMITED or self._fitted < self._patience:
            return
        self.limit, self._fitted = 2 * self.limit, 0
        if self.limit >= self._whole:
            self.limit = _UNLIMITED
