"""The best documents of a pool for each query, by dot product; a block of queries and documents at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hardneg.records import Float32, Int32

DOCUMENTS = 1 << 14
"""Documents looked at together."""


def ranked(queries: Float32, documents: Callable[[Int32], Float32], pool: Int32, depth: int) -> Int32:
    """queries    float32 (queries, dimension)
    documents  gives the vectors of corpus rows, float32 (rows, dimension)
    pool       int32, ascending corpus rows

    Gives int32 (queries, min(depth, pool)): the best first, ties by row.
    """
    best = np.zeros((len(queries), 0), np.float32)
    row = np.zeros((len(queries), 0), np.int32)
    for start in range(0, len(pool), DOCUMENTS):
        some = pool[start : start + DOCUMENTS]
        score = queries @ documents(some).T
        best = np.concatenate([best, score], axis=1)
        row = np.concatenate([row, np.broadcast_to(some, score.shape)], axis=1)
        # Rows ascend from left to right, so a stable sort breaks ties by row.
        order = _top(best, depth)
        best, row = np.take_along_axis(best, order, axis=1), np.take_along_axis(row, order, axis=1)
    return row


def _top(score: Float32, depth: int) -> Int32:
    """Places of the `depth` best, the best first; of equal ones those further left."""
    width = score.shape[1]
    if depth >= width:
        return np.argsort(-score, axis=1, kind="stable").astype(np.int32)
    least = -np.partition(-score, depth - 1, axis=1)[:, depth - 1 : depth]
    # Those above the least of the best, and as many of those equal to it as there is room for.
    above, equal = score > least, score == least
    room = depth - above.sum(axis=1, keepdims=True)
    kept = above | (equal & (np.cumsum(equal, axis=1) <= room))
    place = np.nonzero(kept)[1].reshape(len(score), depth)
    order = np.argsort(-np.take_along_axis(score, place, axis=1), axis=1, kind="stable")
    return np.take_along_axis(place, order, axis=1).astype(np.int32)
