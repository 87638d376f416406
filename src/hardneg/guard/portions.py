"""Normalised texts of a table's rows, so many at a time that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.records import Int64
from hardneg.texts import document_texts, normalise, take

_ROWS = 4096
CHARACTERS = 1 << 18


class NormalisedTexts:
    """The encoded texts of a corpus, or the texts of a query table, normalised as they are read."""

    def __init__(self, table: pa.Table, join_title: bool = True) -> None:
        names = ["title", "text"] if join_title and "title" in table.column_names else ["text"]
        self._columns = {name: table[name] for name in names}

    def take(self, rows: NDArray[np.integer]) -> list[str]:
        part = pa.table({name: take(column, rows) for name, column in self._columns.items()})
        return [normalise(text) for text in document_texts(part).to_pylist()]

    def portions(self, rows: Int64) -> Iterator[tuple[Int64, list[str]]]:
        """These rows and their texts in their order, about CHARACTERS characters at a time."""
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            texts = self.take(some)
            for part in slices(lengths(texts), CHARACTERS):
                yield some[part], texts[part]


def lengths(texts: list[str]) -> Int64:
    """Characters of each text."""
    return np.fromiter(map(len, texts), np.int64, len(texts))


def slices(cost: Int64, limit: int) -> Iterator[slice]:
    """Consecutive slices, each of at most `limit` in total or of one place that costs more."""
    total = np.concatenate([[0], np.cumsum(cost)])
    start = 0
    while start < len(cost):
        stop = int(np.searchsorted(total, total[start] + limit, "right")) - 1
        stop = max(stop, start + 1)
        yield slice(start, stop)
        start = stop
