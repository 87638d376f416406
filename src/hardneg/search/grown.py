"""Exact search of a corpus that has changed a little: what an earlier search found, and the new documents.

An earlier search left each query's best documents with their canonical scores. The lowest of these is its
floor: every other document that was searched then scores at most as much. So of what it found (less what is
gone from the corpus, or changed) and the best of the new documents, put in order together, all that lies
above the floor stands where a search of everything would put it. Where too little lies there, the query is
searched again. A score at the floor itself does not count: of equals, some may have been cut off then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hardneg.protocols import Progress, Vectors
from hardneg.records import NO_DOC, Float32, Int32, Int64, Ranking
from hardneg.search.exact import DenseRetriever
from hardneg.search.ordering import NOTHING, Keys, smallest, sort_keys, unpack

NEW_AT_FIRST = 16
"""New documents looked for at first: of a corpus grown by a few per cent, few belong to any query's best."""
MORE = 4


@dataclass(frozen=True)
class Found:
    """What an earlier search says of some queries.

    doc    int32 (queries, any): rows of the corpus as it is now, in any order; NO_DOC where there is nothing,
           or what was there is gone or changed
    score  float32 (queries, any): canonical
    floor  float32 (queries,): no other document of then scores more; -inf: there is none; inf: the query was
           not searched then
    """

    doc: Int32
    score: Float32
    floor: Float32

    def keys(self) -> Keys:
        """Of what lies above the floor, uint64 like doc, NOTHING elsewhere."""
        there = (self.doc != NO_DOC) & (self.score > self.floor[:, None])
        return np.where(there, sort_keys(np.where(there, self.score, 0), self.doc), NOTHING)


class SomeRows:
    """`protocols.Vectors` of some rows of others."""

    def __init__(self, vectors: Vectors, rows: Int32) -> None:
        self._vectors, self._rows = vectors, rows
        self.shape = (len(rows), vectors.shape[1])

    def take(self, rows: Int32) -> Float32:
        return self._vectors.take(self._rows[rows])

    def block(self, start: int, stop: int) -> Float32:
        return self._vectors.take(self._rows[start:stop])


class GrownRetriever:
    """Retriever that gives what `whole` gives, to the byte, but for the last `spare` places.

    whole    searches all documents
    new      searches those that the earlier search has not seen
    rows     int32 (new documents,), ascending: their rows in the corpus
    earlier  what the earlier search says of these queries (rows of the query table)
    spare    how many of the places asked for may stay empty where searching again would fill them

    `again` counts the queries that were searched again.
    """

    def __init__(
        self,
        whole: DenseRetriever,
        new: DenseRetriever,
        rows: Int32,
        earlier: Callable[[Int32], Found],
        spare: int,
    ) -> None:
        self.name = whole.name
        self.again = 0
        self._whole, self._new, self._rows = whole, new, rows
        self._earlier, self._spare = earlier, spare

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`."""
        found = self._earlier(query)
        width = min(depth, self._whole.documents.shape[0])
        keys = np.full((len(query), width), NOTHING, np.uint64)
        seen = np.flatnonzero(found.floor < np.inf)
        kept = found.keys()[seen]
        keys[seen, : kept.shape[1]] = np.sort(kept, axis=1)[:, :width]
        keys[seen] = self._with_new(query[seen], keys[seen], found.floor[seen], progress)
        needed = min(depth - self._spare, self._whole.documents.shape[0])
        again = np.flatnonzero(np.count_nonzero(keys != NOTHING, axis=1) < needed)
        doc, score = unpack(keys)
        positive_score = self._whole.scores(query, positives)
        if len(again):
            anew = self._whole.search(query[again], depth, _no_positives(len(again)), progress)
            doc[again], score[again] = anew.doc, anew.score
            self.again += len(again)
        return Ranking(self.name, doc, score, positive_score)

    def _with_new(self, query: Int32, keys: Keys, floor: Float32, progress: Progress) -> Keys:
        """The keys, sorted and uint64 (queries, depth), with those of the new documents above the floor."""
        depth, most = keys.shape[1], min(keys.shape[1], len(self._rows))
        keys, fetch = keys.copy(), min(NEW_AT_FIRST, most)
        open_: Int64 = np.arange(len(query))
        while fetch and len(open_):
            best = self._new.search(query[open_], fetch, _no_positives(len(open_)), progress)
            above = best.score > floor[open_, None]
            new = np.where(above, sort_keys(best.score, self._rows[best.doc]), NOTHING)
            joined = np.sort(smallest(np.concatenate([keys[open_], new], axis=1), depth), axis=1)
            if fetch == most:
                keys[open_] = joined
                break
            _, last = unpack(joined[:, -1])
            more = above[:, -1] & ~(best.score[:, -1] < last)  # NaN: the list is not full yet
            keys[open_[~more]] = joined[~more]
            open_, fetch = open_[more], min(MORE * fetch, most)
        return keys


def _no_positives(queries: int) -> Int32:
    """Asked for where their scores are known: none."""
    return np.zeros((queries, 0), np.int32)
