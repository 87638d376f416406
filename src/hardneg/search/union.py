"""The candidates of several retrievers as one block, in the order of reciprocal-rank fusion.

A document's value is the sum of 1 / (60 + rank) over the retrievers that found it (Cormack, Clarke and
Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009);
ties go by document row. One retriever keeps its own order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Block, Float32, Int32, Ranking

RRF_K = 60
_UNITS = 1 << 48
"""Fusion values are summed in whole numbers of 1 / _UNITS: equal ranks tie in any order of retrievers."""
_COLUMN_BITS = 16
_ROWS_AT_ONCE = 256
"""Queries merged at once: their arrays stay in a core's own cache."""

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def union(query: Int32, rankings: Sequence[Ranking], positive: Int32) -> Block:
    """Rankings of the same queries and positives as a block; no wider than its longest row.

    Raises UsageError where two rankings have one name.
    """
    names = [ranking.retriever for ranking in rankings]
    if not names or len(set(names)) != len(names):
        raise UsageError(f"retrievers {names}: name at least one, and each differently")
    doc, ranks = fuse([ranking.doc for ranking in rankings])
    return Block(
        query=query,
        doc=doc,
        ranks=dict(zip(names, ranks, strict=True)),
        scores={
            ranking.retriever: at_rank(ranking.score, rank)
            for ranking, rank in zip(rankings, ranks, strict=True)
        },
        positive=positive,
        positive_scores={ranking.retriever: ranking.positive_score for ranking in rankings},
        p_false_negative=np.full(doc.shape, np.nan, np.float32),
    )


def fuse(docs: Sequence[Int32]) -> tuple[Int32, list[Int32]]:
    """Documents by rank of several retrievers, each int32 (queries, depth) → the union and their ranks.

    The union is int32 (queries, width) in the order of fusion; the ranks, one array of the same shape a
    retriever, are 1-based, 0 where it did not find the document.
    """
    docs = [_trimmed(doc) for doc in docs]
    if len(docs) == 1:
        places = np.arange(1, docs[0].shape[1] + 1, dtype=np.int32)
        return docs[0], [np.where(docs[0] == NO_DOC, np.int32(0), places)]
    rows, columns = docs[0].shape[0], sum(doc.shape[1] for doc in docs)
    if columns >= 1 << _COLUMN_BITS:
        raise UsageError(
            f"{len(docs)} retrievers of {columns:,} documents a query together; search less deep"
        )
    merged = np.full((rows, columns), NO_DOC, np.int32)
    ranks = [np.zeros((rows, columns), np.int32) for _ in docs]
    for start in range(0, rows, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        _merge([doc[part] for doc in docs], merged[part], [rank[part] for rank in ranks])
    merged = _trimmed(merged)
    return merged, [np.ascontiguousarray(rank[:, : merged.shape[1]]) for rank in ranks]


def at_rank(value: Float32, rank: Int32) -> Float32:
    """Values by rank, float32 (queries, depth), put where the ranks are; NaN where rank is 0."""
    rows, depth = value.shape
    by_rank = np.full((rows, depth + 1), np.nan, np.float32)
    by_rank[:, 1:] = value
    taken: Float32 = by_rank.ravel()[rank + np.arange(rows)[:, None] * (depth + 1)]
    return taken


def _merge(docs: Sequence[Int32], merged: Int32, ranks: Sequence[Int32]) -> None:
    """Fill `merged` and `ranks`, (queries, columns), with the fusion of some queries."""
    every = np.concatenate(docs, axis=1)
    rows, columns = every.shape
    column = np.arange(columns, dtype=np.uint64)
    # NO_DOC is -1, the largest row as an unsigned number: empty places sort last.
    keys = np.sort(every.view(np.uint32).astype(np.uint64) << _SHIFT | column, axis=1)
    doc = (keys >> _SHIFT).astype(np.uint32).view(np.int32)
    place = (keys & _LOW).astype(np.int64)
    first = doc != NO_DOC
    first[:, 1:] &= doc[:, 1:] != doc[:, :-1]
    value = _fusion_value(doc, place, [d.shape[1] for d in docs])
    order = np.where(first, (np.uint64(_UNITS) - value) << np.uint64(_COLUMN_BITS) | column, _LAST)
    order.sort(axis=1)  # by value, then by column, which is in the order of document rows
    base = np.arange(rows)[:, None] * columns
    found = order != _LAST
    source = (base + (order & np.uint64((1 << _COLUMN_BITS) - 1)).astype(np.int64))[found]
    target = np.zeros(rows * columns, np.int64)
    target[source] = np.flatnonzero(found)
    # Every entry goes where the first entry of its document goes.
    leader = np.maximum.accumulate(np.where(first, column.astype(np.int64), 0), axis=1) + base
    by_place = np.empty(rows * columns, np.int64)
    by_place[place + base] = target[leader]
    _scatter(docs, by_place.reshape(rows, columns), merged, ranks)


def _scatter(docs: Sequence[Int32], target: NDArray[np.int64], merged: Int32, ranks: Sequence[Int32]) -> None:
    """Put documents and ranks where `target`, places counted through the whole of `merged`, says."""
    start = 0
    for doc, rank in zip(docs, ranks, strict=True):
        row, column = np.nonzero(doc != NO_DOC)
        place = target[row, start + column]
        merged.reshape(-1)[place] = doc[row, column]
        rank.reshape(-1)[place] = column + 1
        start += doc.shape[1]


def _fusion_value(doc: Int32, place: NDArray[np.int64], depths: Sequence[int]) -> NDArray[np.uint64]:
    """uint64 like `doc`, whose rows are sorted: the sum of a document's entries, at the first of them."""
    by_place = np.concatenate([_UNITS // (RRF_K + np.arange(1, depth + 1)) for depth in depths])
    entry = by_place.astype(np.uint64)[place]
    value = entry.copy()
    for step in range(1, len(depths)):
        value[:, :-step] += np.where(doc[:, step:] == doc[:, :-step], entry[:, step:], np.uint64(0))
    return value


def _trimmed(doc: Int32) -> Int32:
    """Without the columns that hold no document in any row."""
    width = int(np.count_nonzero((doc != NO_DOC).any(axis=0)))  # nothing follows a NO_DOC
    return np.ascontiguousarray(doc[:, :width])
