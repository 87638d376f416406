"""The order of candidates: score descending, ties by document row, as one integer that sorts that way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardneg.records import NO_DOC, Float32, Int32

Keys = NDArray[np.uint64]

NOTHING = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The key of an empty place: behind every document."""

_SIGN = np.uint32(0x80000000)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def sort_keys(score: Float32, doc: NDArray[np.integer]) -> Keys:
    """uint64 keys, any shape: the smallest key is the highest score, then the lowest row.

    A float32 read as an integer sorts like the number once negative ones are turned round, so that an
    integer sort, which numpy does fast, orders by score and row at once. No score may be NaN.
    """
    bits = (score + np.float32(0.0)).view(np.uint32)  # adding 0 makes -0.0 equal to 0.0
    descending = np.where(bits & _SIGN, bits, ~(bits | _SIGN))
    return descending.astype(np.uint64) << _SHIFT | doc.astype(np.uint64)


def unpack(keys: Keys) -> tuple[Int32, Float32]:
    """The documents (NO_DOC) and scores (NaN where there is nothing) of keys."""
    descending = (keys >> _SHIFT).astype(np.uint32)
    score = np.where(descending & _SIGN, descending, ~descending & ~_SIGN).view(np.float32)
    empty = keys == NOTHING
    doc = (keys & _LOW).astype(np.uint32).view(np.int32)
    return np.where(empty, np.int32(NO_DOC), doc), np.where(empty, np.float32(np.nan), score)


def smallest(keys: Keys, count: int) -> Keys:
    """The `count` smallest keys of each row, in no order; all of them where there are no more."""
    if keys.shape[1] <= count:
        return keys
    return np.ascontiguousarray(np.partition(keys, count - 1, axis=1)[:, :count])


def best_above_zero(score: Float32, depth: int) -> tuple[Int32, Float32]:
    """Of one query's scores of all documents, float32 (documents,): the best `depth` above 0, in order."""
    found = np.flatnonzero(score > 0)
    keys = sort_keys(score[found], found)
    if len(keys) > depth:
        keys = np.partition(keys, depth - 1)[:depth]
    return unpack(np.sort(keys))


def ragged_smallest(row: NDArray[np.int64], keys: Keys, rows: int, count: int) -> Keys:
    """Of keys that each belong to a row, the `count` smallest of each row, uint64 (rows, at most count).

    Rows are filled up with NOTHING.
    """
    order = np.lexsort((keys, row))
    row, keys = row[order], keys[order]
    first = np.searchsorted(row, np.arange(rows))
    place = np.arange(len(row)) - first[row]
    keep = place < count
    width = int(place[keep].max(initial=-1)) + 1
    out = np.full((rows, width), NOTHING, np.uint64)
    out[row[keep], place[keep]] = keys[keep]
    return out
