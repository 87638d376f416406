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

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


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
    doc, ranks = _merge(docs)
    order = np.argsort(-_fusion_value(ranks), axis=1, kind="stable")  # rows lie in order: ties go by row
    return (
        np.take_along_axis(doc, order, axis=1),
        [np.take_along_axis(rank, order, axis=1) for rank in ranks],
    )


def at_rank(value: Float32, rank: Int32) -> Float32:
    """Values by rank, float32 (queries, depth), put where the ranks are; NaN where rank is 0."""
    if value.shape[1] == 0:
        return np.full(rank.shape, np.nan, np.float32)
    taken = np.take_along_axis(value, np.maximum(rank - 1, 0), axis=1)
    return np.where(rank == 0, np.float32(np.nan), taken)


def _merge(docs: Sequence[Int32]) -> tuple[Int32, list[Int32]]:
    """Each query's distinct documents in the order of rows, and their ranks."""
    every = np.concatenate(docs, axis=1)
    column = np.arange(every.shape[1], dtype=np.uint64)
    # NO_DOC is -1, the largest row as an unsigned number: empty places sort last.
    keys = np.sort(every.view(np.uint32).astype(np.uint64) << _SHIFT | column, axis=1)
    doc = (keys >> _SHIFT).astype(np.uint32).view(np.int32)
    place = (keys & _LOW).astype(np.int64)
    new = doc != NO_DOC
    new[:, 1:] &= doc[:, 1:] != doc[:, :-1]
    slot = np.cumsum(new, axis=1) - 1
    width = int(slot[:, -1].max(initial=-1)) + 1 if doc.shape[1] else 0
    held = np.nonzero(doc != NO_DOC)
    target = held[0] * width + slot[held]
    merged = np.full(len(doc) * width, NO_DOC, np.int32)
    merged[target] = doc[held]
    shape = (len(doc), width)
    return merged.reshape(shape), _ranks(docs, target, place[held], shape)


def _ranks(
    docs: Sequence[Int32], target: NDArray[np.int64], place: NDArray[np.int64], shape: tuple[int, int]
) -> list[Int32]:
    """Each retriever's ranks at the merged places; `place` is the column in the retrievers side by side."""
    ranks = []
    first = 0
    for doc in docs:
        mine = (place >= first) & (place < first + doc.shape[1])
        rank = np.zeros(shape[0] * shape[1], np.int32)
        rank[target[mine]] = place[mine] - first + 1
        ranks.append(rank.reshape(shape))
        first += doc.shape[1]
    return ranks


def _fusion_value(ranks: Sequence[Int32]) -> NDArray[np.float64]:
    """The sums, added smallest part first, so that equal ranks in another order of retrievers tie."""
    parts = np.stack([np.where(rank > 0, 1.0 / (RRF_K + rank), 0.0) for rank in ranks])
    parts.sort(axis=0)
    value = np.zeros(parts.shape[1:])
    for part in parts:
        value += part
    return value


def _trimmed(doc: Int32) -> Int32:
    """Without the columns that hold no document in any row."""
    width = int(np.count_nonzero((doc != NO_DOC).any(axis=0)))
    return doc[:, :width]
