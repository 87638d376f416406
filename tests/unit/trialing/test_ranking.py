"""The best documents of a pool, against sorting all of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.records import Float32, Int32
from hardneg.trialing import ranking
from hardneg.trialing.ranking import ranked


def plain(queries: Float32, documents: Float32, pool: Int32, depth: int) -> list[list[int]]:
    """By the score in float64, then by row."""
    found = []
    for query in queries.astype(np.float64):
        score = {int(row): float(query @ documents[row].astype(np.float64)) for row in pool}
        found.append(sorted(score, key=lambda row: (-score[row], row))[:depth])
    return found


@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.integers(1, 30),
    st.integers(1, 12),
    st.sampled_from([1, 3, 7]),
)
@settings(max_examples=120)
def test_it_is_a_full_sort_with_ties_by_row(
    seed: int, queries: int, size: int, depth: int, block: int
) -> None:
    draws = np.random.default_rng(seed)
    # Few whole numbers: scores are exact, and many are equal within a block and across blocks.
    query = draws.integers(-1, 2, (queries, 2)).astype(np.float32)
    documents = draws.integers(-1, 2, (50, 2)).astype(np.float32)
    pool = np.sort(draws.permutation(50)[:size]).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "DOCUMENTS", block)
        found = ranked(query, lambda rows: documents[rows], pool, depth)
    assert found.dtype == np.int32
    assert found.tolist() == plain(query, documents, pool, depth)


def test_one_block_or_many_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(8)
    query, documents = (draws.normal(size=(count, 8)).astype(np.float32) for count in (5, 300))
    pool = np.arange(0, 300, 2, dtype=np.int32)
    whole = ranked(query, lambda rows: documents[rows], pool, 20)
    asked: list[list[int]] = []

    def some(rows: Int32) -> Float32:
        asked.append(rows.tolist())
        return documents[rows]

    monkeypatch.setattr(ranking, "DOCUMENTS", 11)
    assert ranked(query, some, pool, 20).tolist() == whole.tolist() == plain(query, documents, pool, 20)
    assert [row for rows in asked for row in rows] == pool.tolist() and max(map(len, asked)) == 11


def test_no_deeper_than_the_pool() -> None:
    documents = np.array([[3.0], [1.0], [2.0]], np.float32)
    query = np.ones((2, 1), np.float32)
    pool = np.arange(3, dtype=np.int32)
    assert ranked(query, lambda rows: documents[rows], pool, 100).tolist() == [[0, 2, 1]] * 2
    assert ranked(query, lambda rows: documents[rows], pool[:0], 5).shape == (2, 0)
    assert ranked(query[:0], lambda rows: documents[rows], pool, 2).shape == (0, 2)
