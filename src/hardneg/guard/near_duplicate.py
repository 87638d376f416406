"""Never nearly the text of a positive: a table look-up first, the pair's own test where that says yes."""

from __future__ import annotations

import numpy as np

from hardneg.guard.known_positives import KnownPositives
from hardneg.guard.members import flags_by_document, is_in
from hardneg.guard.near_duplicates import SimilarPairs
from hardneg.guard.portions import slices
from hardneg.guard.text_classes import TextClasses
from hardneg.records import NO_DOC, Block, Bool, Int32, Int64

_COMPARED = 1 << 21  # candidates times positives looked up at a time


class NearDuplicate:
    """The document is nearly the text of a positive of the query, or of a query with the same text."""

    code = "near_duplicate"

    def __init__(self, known: KnownPositives, classes: TextClasses, pairs: SimilarPairs) -> None:
        self._known = known
        self._class = classes.document
        self._pairs = np.unique(_keys(self._class[pairs.left], self._class[pairs.right]))
        of_any = np.zeros(len(classes.keys), np.bool_)
        of_any[self._class[pairs.right]] = True
        self._flagged = flags_by_document(of_any[self._class])

    def exclude(self, block: Block) -> Bool:
        excluded = np.zeros(block.doc.shape, np.bool_)
        if not len(self._pairs):
            return excluded
        row, column = np.nonzero(self._flagged[block.doc])
        rows, row_of = np.unique(row, return_inverse=True)
        positives = self._known.shared(block.query[rows])
        cost = np.full(len(row), max(positives.shape[1], 1))
        for part in slices(cost, _COMPARED):
            doc = block.doc[row[part], column[part]]
            hit = self._near(positives[row_of[part]], doc)
            excluded[row[part][hit], column[part][hit]] = True
        return excluded

    def _near(self, positives: Int32, doc: Int32) -> Bool:
        """Which of these documents (places,) are nearly one of their positives (places, positives)."""
        keys = _keys(self._class[positives], self._class[doc][:, None])
        near: Bool = (is_in(keys, self._pairs) & (positives != NO_DOC)).any(axis=1)
        return near


def _keys(left: Int32, right: Int32) -> Int64:
    return left.astype(np.int64) << 32 | right.astype(np.int64)
