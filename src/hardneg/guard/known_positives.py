"""The positives of each query, and those of all queries with the same normalised text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardneg.distinct import distinct
from hardneg.guard.text_classes import TextClasses
from hardneg.records import Int32, Pairs


class KnownPositives:
    """own     the positives of each query
    shared  the positives of each query and of every other query with its text
    """

    def __init__(self, own: Pairs, classes: TextClasses) -> None:
        self._own = own
        text, self._text_of = np.unique(classes.query, return_inverse=True)
        query = np.repeat(np.arange(len(own.start) - 1), own.counts)
        self._of_text = Pairs.from_rows(self._text_of[query].astype(np.int32), own.doc, len(text))
        self._repeated: NDArray[np.bool_] = np.bincount(self._text_of, minlength=len(text)) > 1

    @property
    def documents(self) -> Int32:
        """All documents that are a positive of any query, ascending."""
        return distinct(self._own.doc)

    @property
    def any_repeated(self) -> bool:
        """Whether two queries have the same text."""
        return bool(self._repeated.any())

    def own(self, query: Int32) -> Int32:
        """int32 (queries, positives), NO_DOC where there is none."""
        return self._own.padded(query)

    def shared(self, query: Int32) -> Int32:
        """int32 (queries, positives), NO_DOC where there is none; the query's own among them."""
        return self._of_text.padded(self._text_of[query].astype(np.int32))
