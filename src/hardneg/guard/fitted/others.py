"""What other queries' labels say of a candidate: their positives, by how near those queries are.

Two sources. *Near queries*: a document that is a positive of a query much like this one. *Company*: a
document that is a positive of the same queries as a known positive of this one (the cosine of their columns
in the matrix of labels, as in item-based collaborative filtering, Sarwar et al. 2001). This query's own
labels are left out of both, so a positive that is held out is looked at like any other document. Queries of
one text are one query here: a positive of the one is no candidate of the other, so what such a query says of
held-out positives it can never say of candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hardneg.records import NO_DOC, Block, Float32, Float64, Int32, Int64, Pairs

NEIGHBOURS = 50
"""Near queries that are looked at."""
MOST = 64
"""Positives of a near query, and queries of a document, that are looked at; the first ones by row."""
GRID = 1024


@dataclass(frozen=True)
class Others:
    """positives  of every query
    near       int32 (queries, neighbours): the nearest other queries, NO_DOC filled
    weight     float32 (queries, neighbours): how near, 0 (as the last one) to 1 (the same), in 1/1024
    num_docs   documents
    """

    positives: Pairs
    near: Int32
    weight: Float32
    num_docs: int

    def queries_of(self) -> Pairs:
        """For each document the queries that it is a positive of."""
        query = self.positives.query
        return Pairs.from_rows(self.positives.doc, query, self.num_docs)


def near_weights(similarity: Float32) -> Float32:
    """float32 (queries, neighbours) of falling cosines in 1/GRID² → weights in 1/1024 of one.

    The last neighbour weighs nothing, so it does not matter which of several equally near ones it is.
    """
    own = float(GRID * GRID)
    last = similarity[:, -1:].astype(np.float64)
    share = (similarity - last) / np.maximum(own - last, 1.0)
    return (np.rint(np.clip(share, 0.0, 1.0) * GRID) / GRID).astype(np.float32)


class Company:
    """Looks other queries' labels up, a block at a time."""

    def __init__(self, others: Others, first: Int32 | None = None) -> None:
        """first  int32 (queries,): the first query of each one's text, which alone may be near another; None:
        no two have the same"""
        pairs, count = others.positives, len(others.positives.start) - 1
        self._first = np.arange(count, dtype=np.int32) if first is None else first
        merged = Pairs.from_rows(np.repeat(self._first, pairs.counts), pairs.doc, count)
        self._others = replace(others, positives=merged)
        self._queries_of = self._others.queries_of()
        self._labels = merged.query.astype(np.int64) << 32 | merged.doc

    def near(self, block: Block) -> tuple[Float64, Float64]:
        """Sum and maximum of the weights of near queries that have the candidate as a positive, float64
        (queries, width) each."""
        own = self._first[block.query]
        near, weights = self._others.near[own], self._others.weight[own]
        row, place = np.nonzero((near != NO_DOC) & (weights > 0))
        weight = np.rint(weights[row, place] * GRID)
        owner, doc = _expanded(self._others.positives, near[row, place])
        found = _Found(block.doc)
        hit, at = found.places(row[owner].astype(np.int64), doc)
        total = np.zeros(block.doc.size)
        np.add.at(total, at, weight[owner][hit])
        most = np.zeros(block.doc.size)
        np.maximum.at(most, at, weight[owner][hit])
        shape = block.doc.shape
        return (total / GRID).reshape(shape), (most / GRID).reshape(shape)

    def popularity(self, block: Block) -> Float64:
        """How many other queries have the candidate as a positive, float64 (queries, width)."""
        count = self._queries_of.counts[np.maximum(block.doc, 0)]
        own = self._is_own(self._first[block.query], block.doc)
        return np.where(block.doc != NO_DOC, count - own, 0).astype(np.float64)

    def company(self, block: Block) -> tuple[Float64, Float64]:
        """Maximum and sum over the known positives of the cosine of their and the candidate's labels."""
        asked = self._first[block.query]
        known_row, known_place = np.nonzero(block.positive != NO_DOC)
        known = block.positive[known_row, known_place]
        row, column = np.nonzero(block.doc != NO_DOC)
        of_known, query = self._other_queries(asked[known_row], known)
        of_candidate, other = self._other_queries(asked[row], block.doc[row, column])
        # Where a candidate and a known positive of one row have a query in common.
        key = row[of_candidate].astype(np.int64) << 32 | other
        order = np.argsort(key, kind="stable")
        wanted = known_row[of_known].astype(np.int64) << 32 | query
        first = np.searchsorted(key[order], wanted)
        count = np.searchsorted(key[order], wanted, side="right") - first
        owner, offset = _runs(count)
        at = of_candidate[order[first[owner] + offset]]
        place = row[at] * block.doc.shape[1] + column[at]
        shared, place, pair = _counted(place, of_known[owner], len(known))
        row = known_row[pair]
        size = np.sqrt(self._others_of(asked[row], block.doc.ravel()[place]))
        size *= np.sqrt(self._others_of(asked[row], known[pair]))
        cosine = np.rint(shared / np.maximum(size, 1.0) * GRID)
        total, most = np.zeros(block.doc.size), np.zeros(block.doc.size)
        np.add.at(total, place, cosine)
        np.maximum.at(most, place, cosine)
        shape = block.doc.shape
        return (most / GRID).reshape(shape), (total / GRID).reshape(shape)

    def _other_queries(self, query: Int32, doc: Int32) -> tuple[Int64, Int32]:
        """Which of these (query, document), and a query that the document is a positive of, not its own."""
        owner, found = _expanded(self._queries_of, doc)
        other = found != query[owner]
        return owner[other], found[other]

    def _others_of(self, query: Int32, doc: Int32) -> Float64:
        """How many of a document's queries, of those that are looked at, are other ones."""
        count = np.minimum(self._queries_of.counts[doc], MOST)
        last = self._queries_of.doc[self._queries_of.start[doc] + count - 1]
        own = self._is_own(query, doc) & (query <= last)  # a document's queries ascend
        others: Float64 = (count - own).astype(np.float64)
        return others

    def _is_own(self, query: Int32, doc: Int32) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether the document is a positive of the query: bool like doc."""
        keys = self._labels
        wide = query.astype(np.int64).reshape(query.shape + (1,) * (doc.ndim - query.ndim))
        asked = wide << 32 | np.maximum(doc, 0).astype(np.int64)
        at = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
        return (keys[at] == asked) & (doc != NO_DOC) if len(keys) else np.zeros(doc.shape, np.bool_)


def _expanded(pairs: Pairs, rows: Int32) -> tuple[Int64, Int32]:
    """Which of the rows, and one of its members, for the first MOST members of each row."""
    owner, offset = _runs(np.minimum(pairs.counts[rows], MOST))
    return owner, pairs.doc[pairs.start[rows][owner] + offset]


def _runs(count: Int64) -> tuple[Int64, Int64]:
    """For each of `count` things of each: whose it is, and its number among those, from 0."""
    owner = np.repeat(np.arange(len(count), dtype=np.int64), count)
    return owner, np.arange(len(owner), dtype=np.int64) - (np.cumsum(count) - count)[owner]


def _counted(place: Int64, pair: Int64, num_pairs: int) -> tuple[Float64, Int64, Int64]:
    """How often each (place, pair) occurs."""
    keys, count = np.unique(place * max(num_pairs, 1) + pair, return_counts=True)
    return count.astype(np.float64), keys // max(num_pairs, 1), keys % max(num_pairs, 1)


class _Found:
    """Where documents stand in a block."""

    def __init__(self, doc: Int32) -> None:
        row, column = np.nonzero(doc != NO_DOC)
        key = row.astype(np.int64) << 32 | doc[row, column].astype(np.int64)
        order = np.argsort(key, kind="stable")
        self._key, self._place = key[order], (row * doc.shape[1] + column)[order]

    def places(self, row: Int64, doc: Int32) -> tuple[Int64, Int64]:
        """Which of these (row, document) stand in the block, and their places in it, flat."""
        if not len(self._key):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        asked = row << 32 | doc.astype(np.int64)
        at = np.minimum(np.searchsorted(self._key, asked), len(self._key) - 1)
        hit = np.flatnonzero(self._key[at] == asked)
        return hit, self._place[at[hit]]
