"""What counts in a batch: no document that is known to answer a query, and its negatives by their weights."""

from __future__ import annotations

import numpy as np

from hardneg.records import NO_DOC, Bool, Float32, Int32, Pairs


def shifts(query: Int32, doc: Int32, weight: Float32, known: Pairs) -> Float32:
    """What is added to the logits of a batch: float32 (queries, queries, columns).

    query   int32 (queries,): rows of the trial's queries
    doc     int32 (queries, columns): each query's target, then its negatives, NO_DOC where it has fewer
    weight  float32 like doc
    known   by rows of the trial's queries

    [i, j, c] is of query i and document c of query j. One that is known to answer query i is taken out (-inf)
    unless it is its target; a negative of query i's own gets the logarithm of its weight, which is as if it
    came so many times; all else stays as it is.
    """
    own = np.arange(len(doc))
    shift = np.zeros((len(doc), *doc.shape), np.float32)
    with np.errstate(divide="ignore"):
        shift[own, own] = np.log(weight)
    shift[_are_known(query, doc, known)] = -np.inf
    shift[:, doc == NO_DOC] = -np.inf
    shift[own, own, 0] = 0
    return shift


def _are_known(query: Int32, doc: Int32, known: Pairs) -> Bool:
    """bool (queries, queries, columns): whether document c of query j is known to answer query i."""
    documents, place = np.unique(doc, return_inverse=True)
    answers = known.padded(query)
    column = np.minimum(np.searchsorted(documents, answers), len(documents) - 1)
    there = (answers != NO_DOC) & (documents[column] == answers)
    are_known = np.zeros((len(query), len(documents)), np.bool_)
    are_known[np.nonzero(there)[0], column[there]] = True
    return are_known[:, place.reshape(doc.shape)]
