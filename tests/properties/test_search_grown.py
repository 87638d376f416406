"""A corpus that changed is searched as a new one would be, whatever came, went and scores alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.progress import Silent
from hardneg.records import NO_DOC, Int32, Ranking
from hardneg.search import grown as grown_module
from hardneg.search.exact import DenseRetriever
from hardneg.search.grown import Found, GrownRetriever, SomeRows

Change = tuple[np.ndarray, np.ndarray]


class Stored:
    """Vectors in memory; counts the rows that are read in blocks, which is what a search reads."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.searched = array, array.shape, 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        self.searched += len(rows)
        return self.array[rows]

    def block(self, start: int, stop: int) -> np.ndarray:
        self.searched += stop - start
        return self.array[start:stop]


def whole(queries: np.ndarray, documents: np.ndarray) -> DenseRetriever:
    return DenseRetriever("dense", Stored(queries), Stored(documents))


def asked(retriever: DenseRetriever | GrownRetriever, queries: int, depth: int) -> Ranking:
    rows = np.arange(queries, dtype=np.int32)
    positives = np.stack([rows % 3, np.full(queries, NO_DOC)], axis=1).astype(np.int32)
    return retriever.search(rows, depth, positives, Silent())


def as_found(before: Ranking, now: Int32, documents: int) -> Found:
    """`before`, as rows of another corpus: now[row then], NO_DOC where it is gone."""
    there = before.doc != NO_DOC
    complete = there.sum(axis=1) >= documents
    floor = np.where(complete, -np.inf, np.nanmin(before.score, axis=1)).astype(np.float32)
    return Found(np.where(there, now[before.doc], NO_DOC), before.score, floor)


def after(
    queries: np.ndarray, pool: np.ndarray, kept: np.ndarray, before: Change, spare: int
) -> GrownRetriever:
    """The retriever over the documents `kept` (rows of the pool), after a search of those in `before`."""
    then, found = before
    place = np.full(len(pool), NO_DOC, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    new = np.flatnonzero(~np.isin(kept, then)).astype(np.int32)
    now = as_found(found, place[then], len(then))
    everything = whole(queries, pool[kept])

    def earlier(query: Int32) -> Found:
        return Found(now.doc[query], now.score[query], now.floor[query])

    return GrownRetriever(
        everything, everything.over(SomeRows(everything.documents, new), new), new, earlier, spare
    )


@settings(max_examples=300)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(0, 8),
    st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 1)), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([1, 2, grown_module.NEW_AT_FIRST]),
)
def test_equals_a_search_of_everything(
    seed: int, depth: int, spare: int, steps: list[tuple[float, float]], twins: bool, at_first: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grown_module, "NEW_AT_FIRST", at_first)
        _compared(seed, depth, spare, steps, twins)


def _compared(seed: int, depth: int, spare: int, steps: list[tuple[float, float]], twins: bool) -> None:
    draws = np.random.default_rng(seed)
    base = draws.standard_normal((6 if twins else 80, 5)).astype(np.float32)
    pool = base[draws.integers(0, len(base), 80)]
    queries = draws.standard_normal((4, 5)).astype(np.float32)
    kept = np.flatnonzero(draws.random(80) < 0.5)
    kept = np.union1d(kept, [0, 1, 2])
    found = asked(whole(queries, pool[kept]), 4, depth + spare)
    for gone, come in steps:  # each step goes on from what the one before left, reserve and all
        others = np.setdiff1d(np.arange(80), kept)
        then, kept = (
            kept,
            np.union1d(kept[draws.random(len(kept)) >= gone], others[draws.random(len(others)) < come]),
        )
        kept = kept if len(kept) > 2 else then
        found = asked(after(queries, pool, kept, (then, found), spare), 4, depth + spare)
        wanted = asked(whole(queries, pool[kept]), 4, depth + spare)
        np.testing.assert_array_equal(found.doc[:, :depth], wanted.doc[:, :depth])
        np.testing.assert_array_equal(found.score[:, :depth], wanted.score[:, :depth])
        np.testing.assert_array_equal(found.positive_score, wanted.positive_score)
        beyond = found.doc[:, depth:]
        assert ((beyond == wanted.doc[:, depth:]) | (beyond == NO_DOC)).all()


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(3)
    return draws.standard_normal((20, 8)).astype(np.float32), draws.standard_normal((5000, 8)).astype(
        np.float32
    )


def test_only_new_documents_are_read_and_only_queries_that_ran_out_are_searched_again(
    vectors: tuple[np.ndarray, np.ndarray],
) -> None:
    queries, pool = vectors
    then = np.arange(4950)
    found = asked(whole(queries, pool[then]), 20, 30)
    grown = after(queries, pool, np.arange(5000), (then, found), spare=5)
    asked(grown, 20, 30)
    assert grown.again == 0
    documents = grown._whole.documents
    assert isinstance(documents, Stored)
    # The 50 new ones, what is scored again canonically, and the positives: not the 4,950 others.
    assert documents.searched < 5000

    gone = np.sort(found.doc[7, :12])  # one query loses more than its reserve
    shrunk = after(queries, pool, np.setdiff1d(then, gone), (then, found), spare=5)
    wanted = asked(whole(queries, np.delete(pool[then], gone, axis=0)), 20, 30)
    np.testing.assert_array_equal(asked(shrunk, 20, 30).doc[:, :25], wanted.doc[:, :25])
    assert 1 <= shrunk.again < 20


def test_a_corpus_that_was_found_whole_needs_no_search_again(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    queries, pool = vectors
    found = asked(whole(queries, pool[:30]), 20, 40)
    grown = after(queries, pool, np.arange(500), (np.arange(30), found), spare=5)
    wanted = asked(whole(queries, pool[:500]), 20, 40)
    np.testing.assert_array_equal(asked(grown, 20, 40).doc, wanted.doc)
    assert grown.again == 0
