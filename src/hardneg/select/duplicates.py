"""Twins, documents of one text, are never both chosen: the one placed first stays."""

from __future__ import annotations

import numpy as np

from hardneg.records import NO_DOC, Bool, Int32, Int64


class Twins:
    """Which documents have the same text.

    classes  int32 (documents,): documents of one class are twins; -1 where a document is known to have none
    """

    def __init__(self, classes: Int32) -> None:
        self.num_docs = len(classes)
        self._classes = classes
        known = classes[classes >= 0]
        several = np.bincount(known, minlength=1) > 1
        twin = np.zeros(len(classes) + 1, np.bool_)  # NO_DOC looks up the last place
        twin[:-1] = (classes >= 0) & several[np.maximum(classes, 0)]
        self._has_twin = twin
        self._any = bool(twin.any())
        self._unused_class = int(classes.max(initial=-1)) + 1

    def has_twin(self, doc: Int32) -> Bool:
        """bool like doc."""
        return self._has_twin[doc]

    def text(self, doc: Int32) -> Int64:
        """A number that two documents share where they have the same text; NO_DOC gives NO_DOC."""
        found = self._classes[np.maximum(doc, 0)].astype(np.int64) if self.num_docs else doc.astype(np.int64)
        found = np.where(found < 0, doc.astype(np.int64) + self._unused_class, found)
        return np.where(doc == NO_DOC, np.int64(NO_DOC), found)

    def repeated(self, doc: Int32, eligible: Bool) -> Bool:
        """Where an eligible candidate has the text of an eligible one before it in its row: bool like doc."""
        found = np.zeros(doc.shape, np.bool_)
        if not self._any:
            return found
        mine = self._has_twin[doc]
        mine &= eligible
        rows = np.flatnonzero(np.count_nonzero(mine, axis=1) > 1)
        if len(rows):
            row, place = np.nonzero(mine[rows])
            keys = row.astype(np.int64) << 32 | self._classes[doc[rows[row], place]].astype(np.int64)
            later = np.ones(len(keys), np.bool_)
            later[np.unique(keys, return_index=True)[1]] = False  # the first of each, in the order of places
            found[rows[row[later]], place[later]] = True
        return found

    def among(self, doc: Int32, others: Int32) -> Bool:
        """Where a document has the text of one of `others` in its row (or is it): bool like doc.

        others  int32 (rows, others), NO_DOC where there is nothing
        """
        found = np.zeros(doc.shape, np.bool_)
        rows = np.flatnonzero((others != NO_DOC).any(axis=1))
        if len(rows):
            text, wanted = self.text(doc[rows]), self.text(others[rows])
            hit = np.zeros(text.shape, np.bool_)
            for column in range(wanted.shape[1]):
                one = wanted[:, column]
                hit |= (text == one[:, None]) & (one != NO_DOC)[:, None]
            found[rows] = hit
        return found
