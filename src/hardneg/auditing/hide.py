"""Hiding known positives, and a block as it would be had nobody ever labelled them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hardneg.records import NO_DOC, Block, Bool, Float64, Int32, Int64, Pairs


def hide(positives: Pairs, draw: Float64, rounding: Float64, share: float) -> Bool:
    """bool (pairs,): which positives are hidden.

    draw      float64 (pairs,): of each query those with the lowest go
    rounding  float64 (queries,) in (0, 1): where the share is no whole number, the next higher one is taken
              in that share of the draws, so that on average exactly `share` is hidden

    At least one positive of each query stays; of a query with one, none is hidden.
    """
    count = positives.counts
    number = np.minimum(np.floor(count * share + rounding), count - 1)
    query = np.repeat(np.arange(len(count)), count)
    order = np.lexsort((positives.doc, draw, query))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(positives.start[:-1], count)
    hidden: Bool = place < number[query]
    return hidden


def looked_at(draw: Float64, rows: Int32, most: int, repeat: int) -> Int32:
    """Up to `most` of these queries, ascending: in the order of their draws, each repeat those that follow
    the last one's, from the start again where all have been."""
    order = rows[np.lexsort((rows, draw))]
    take = min(most, len(order))
    return np.sort(order[(repeat * take + np.arange(take)) % len(order)])


def pair_keys(pairs: Pairs, class_of: Int32) -> Int64:
    """One number for each pair of a query and the text of a document, ascending.

    class_of  int32 (documents,): documents of one class have the same text
    """
    return np.unique(_keys(pairs.query, class_of[pairs.doc]))


def held(query: Int32, doc: Int32, pairs: Int64, class_of: Int32) -> Bool:
    """Which of these (they broadcast) are among `pair_keys`, as they are or by their text; bool like doc."""
    found: Bool = np.isin(_keys(query, class_of[doc]), pairs) & (doc != NO_DOC)
    return found


def _keys(query: Int32, doc: Int32) -> Int64:
    key: Int64 = query.astype(np.int64) << 32 | doc.astype(np.int64)
    return key


def with_known(block: Block, known: Pairs) -> Block:
    """The block with those of its positives alone that are known."""
    kept = np.isin(_keys(block.query[:, None], block.positive), _keys(known.query, known.doc))
    scores = {
        name: np.where(kept, score, np.float32(np.nan)) for name, score in block.positive_scores.items()
    }
    positive = np.where(kept, block.positive, np.int32(NO_DOC))
    return replace(block, positive=positive, positive_scores=scores).trimmed()
