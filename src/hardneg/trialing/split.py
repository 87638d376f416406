"""Who learns and who is asked: queries that share an answer, or nearly a text, stand on one side together.

A student that has learned from a document as somebody's positive finds it again for everybody. Where queries
of both sides share positives, training looks better than it is, and the hardest negatives best of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Bool, Float64, Int32, Int64, Pairs

FOLDS = 5
"""A fifth of the queries is asked at a time."""
ALWAYS_LEARNS = -1


@dataclass(frozen=True)
class Groups:
    """Queries that hang together.

    component  int32 (queries,): by shared positives and near-identical texts
    alike      int32 (queries,): by near-identical texts alone
    """

    component: Int32
    alike: Int32

    @classmethod
    def of(cls, positives: Pairs, document: Int32, left: Int32, right: Int32) -> Groups:
        """document  int32 (documents,): documents of one number have the same text
        left, right  int32 (pairs,): queries whose texts are nearly the same
        """
        queries = len(positives.counts)
        query, answer = positives.query, queries + document[positives.doc].astype(np.int64)
        nodes = queries + int(document.max(initial=-1)) + 1
        alike = _connected(left, right, nodes)[:queries]
        both = _connected(np.concatenate([query, left]), np.concatenate([answer, right]), nodes)[:queries]
        return cls(_renumbered(both), _renumbered(alike))

    def largest(self, asked: Bool) -> int:
        """How many of these queries the largest component holds."""
        return int(np.bincount(self.component[asked]).max(initial=0))


def _connected(left: Int32 | Int64, right: Int32 | Int64, nodes: int) -> Int32:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(nodes, nodes))
    found: Int32 = connected_components(edges, directed=False)[1]
    return found


def _renumbered(group: Int32) -> Int32:
    return np.unique(group, return_inverse=True)[1].astype(np.int32)


@dataclass(frozen=True)
class Folds:
    """Which part of the queries each is asked in.

    number    int32 (queries,): 0 to FOLDS - 1; ALWAYS_LEARNS where it is never asked
    separate  whether no query shares a positive with one of another fold. If not, training pairs must go.
    """

    number: Int32
    separate: bool

    def asked(self, fold: int) -> Bool:
        found: Bool = self.number == fold
        return found

    @property
    def count(self) -> int:
        return len(np.unique(self.number[self.number >= 0]))


def folds(groups: Groups, usable: Bool, draw: Float64, least: int) -> Folds:
    """Whole components dealt out, the largest first, of equal ones at random, each to the emptiest fold.

    usable  bool (queries,): those with a positive; the others are ALWAYS_LEARNS
    draw    float64 (queries,): a random number each, for the order
    least   how many queries must be left to ask

    Components larger than a fold, and than a query, always learn. Where too few queries are left without
    them, queries are dealt out by likeness of text alone, and the folds are not `separate`.
    """
    component = groups.component
    size = np.bincount(component[usable], minlength=int(component.max(initial=0)) + 1)
    too_large = size[component] > max(usable.sum() / FOLDS, 1)
    askable = usable & ~too_large
    if askable.sum() >= max(least, 1):
        return Folds(_dealt(component, askable, draw), separate=True)
    return Folds(_dealt(groups.alike, usable, draw), separate=False)


def _dealt(group: Int32, asked: Bool, draw: Float64) -> Int32:
    """int32 (queries,): each group to the fold that has the fewest queries so far, in the order of draws."""
    number = np.full(len(group), ALWAYS_LEARNS, np.int32)
    rows = np.flatnonzero(asked)
    rows = rows[np.lexsort((rows, draw[rows]))]
    groups, first, size = np.unique(group[rows], return_index=True, return_counts=True)
    held, fold_of = np.zeros(FOLDS, np.int64), np.zeros(len(groups), np.int32)
    for place in np.lexsort((first, -size)):
        fold_of[place] = np.argmin(held)
        held[fold_of[place]] += size[place]
    number[rows] = fold_of[np.searchsorted(groups, group[rows])]
    return number


def learned_from(positives: Pairs, document: Int32, learning: Bool, asked: Pairs | None) -> Pairs:
    """The pairs that may be learned: those of the learning queries, without the answers of those asked.

    asked  positives of the queries asked, to be left out; None: they stay
    """
    own = of_queries(positives, learning)
    if asked is None:
        return own
    kept = ~np.isin(document[own.doc], document[asked.doc])
    return Pairs.from_rows(own.query[kept], own.doc[kept], len(own.counts))


def shared(positives: Pairs, document: Int32, asked: Pairs) -> Bool:
    """bool (queries of `asked`,): which have an answer that is a positive among `positives` too."""
    also = np.isin(document[asked.doc], document[positives.doc])
    return np.bincount(asked.query[also], minlength=len(asked.counts)) > 0


def of_queries(pairs: Pairs, queries: Bool) -> Pairs:
    """The pairs of these queries alone, numbered as before."""
    kept = queries[pairs.query]
    return Pairs.from_rows(pairs.query[kept], pairs.doc[kept], len(pairs.counts))
