"""Rows of a chunked column come in the order asked for, and only they are copied."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.texts import take


def column() -> pa.ChunkedArray:
    chunks = [["a", "b"], [], ["c"], [None, "e"]]
    return pa.chunked_array([pa.array(chunk, pa.large_string()) for chunk in chunks])


def test_rows_come_in_the_order_asked_for() -> None:
    rows = np.array([4, 0, 2, 0, 3], np.int32)
    assert take(column(), rows).to_pylist() == ["e", "a", "c", "a", None]


def test_no_rows_give_an_empty_array_of_the_same_type() -> None:
    taken = take(column(), np.zeros(0, np.int32))
    assert (len(taken), taken.type) == (0, pa.large_string())


def test_the_column_is_not_copied() -> None:
    chunk = pa.array(["x" * 1000] * 1000, pa.large_string())
    texts = pa.chunked_array([chunk] * 50)
    before = pa.total_allocated_bytes()
    taken = take(texts, np.arange(0, 50_000, 5_000))
    assert len(taken) == 10
    # Ten texts of 1 kB against a column of 50 MB.
    assert pa.total_allocated_bytes() - before < 100_000
