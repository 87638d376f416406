"""Which places of a block hold one of the values wanted in their row: the kernel of the exclusion rules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Block, Bool, Int32, Pairs

NOTHING = -1
"""Fills places that want nothing, and is the value of a document that has none."""
_COLUMNS = 16
"""So many wanted values of a row are compared one by one, further ones by binary search."""
_SEARCHED = 1 << 18  # wanted values searched among at a time
_NEVER = -2


def matches(values: Int32, wanted: Int32) -> Bool:
    """Where a value is among those wanted in its row.

    values  int32 (queries, width); NOTHING never matches
    wanted  int32 (queries, wanted), NOTHING where there is none, which may stand anywhere
    returns bool  (queries, width)
    """
    found = np.zeros(values.shape, np.bool_)
    if not values.size:
        return found
    for column in range(min(wanted.shape[1], _COLUMNS)):
        _match_one(values, wanted[:, column], found)
    if wanted.shape[1] > _COLUMNS:
        _match_many(values, wanted[:, _COLUMNS:], found)
    return found


def _match_one(values: Int32, wanted: Int32, found: Bool) -> None:
    """Mark in `found` where a value equals its row's one wanted value (queries,)."""
    rows = np.flatnonzero(wanted != NOTHING)
    if len(rows) * 2 < len(wanted):
        found[rows] |= values[rows] == wanted[rows, None]
    else:
        target = np.where(wanted == NOTHING, np.int32(_NEVER), wanted)
        found |= values == target[:, None]


def _match_many(values: Int32, wanted: Int32, found: Bool) -> None:
    """Mark in `found` by binary search among keys of row and value; only rows that want anything."""
    rows = np.flatnonzero((wanted != NOTHING).any(axis=1))
    size = max(_SEARCHED // wanted.shape[1], 1)
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        place, column = _search(values[some], wanted[some])
        found[some[place], column] = True


def _search(values: Int32, wanted: Int32) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places (row, column) of the values that are wanted in their row."""
    place, column = np.nonzero(_likely(values, wanted))
    row, _ = np.nonzero(wanted != NOTHING)
    # A plain sort: np.unique is many times slower, and repeats do no harm.
    keys = np.sort(_keys(row, wanted[wanted != NOTHING]))
    hit = is_in(_keys(place, values[place, column]), keys)
    return place[hit], column[hit]


def _likely(values: Int32, wanted: Int32) -> Bool:
    """Where a value is wanted by any row at all: a table look-up that spares most of the searching."""
    top = int(max(values.max(), wanted.max())) + 1
    if top > 8 * values.size:
        present: Bool = values != NOTHING
        return present
    wanted_by_any = np.zeros(top + 1, np.bool_)
    wanted_by_any[wanted] = True
    wanted_by_any[NOTHING] = False
    likely: Bool = wanted_by_any[values]
    return likely


def _keys(row: NDArray[np.int64], value: Int32) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = row.astype(np.int64) << 32 | value.astype(np.int64) & 0xFFFFFFFF
    return keys


def is_in(keys: NDArray[np.integer], ordered: NDArray[np.integer]) -> Bool:
    """Which of these keys are among the ordered ones."""
    if not len(ordered):
        return np.zeros(keys.shape, np.bool_)
    place = np.searchsorted(ordered, keys)
    place[place == len(ordered)] = 0
    found: Bool = ordered[place] == keys
    return found


def by_document(values: Int32) -> Int32:
    """A table (documents + 1,) to index with `block.doc`: NO_DOC (-1) is the last place, and has NOTHING."""
    table: Int32 = np.append(values, np.int32(NOTHING)).astype(np.int32)
    return table


def flags_by_document(flags: Bool) -> Bool:
    """The same for flags: NO_DOC has False."""
    return np.append(flags, False)


def block_of(query: Int32, doc: Int32, positives: Pairs) -> Block:
    """A block without ranks and scores, to ask the rules about any documents.

    query  int32 (queries,), a query may stand there repeatedly
    doc    int32 (queries, width), or (queries,) for one document each
    """
    doc = doc[:, None] if doc.ndim == 1 else doc
    return Block(
        query=query.astype(np.int32),
        doc=doc.astype(np.int32),
        ranks={},
        scores={},
        positive=positives.padded(query),
        positive_scores={},
        p_false_negative=np.full(doc.shape, np.nan, np.float32),
    )
