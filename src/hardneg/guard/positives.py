"""Never a known positive: not by id, not by text, not through another query; never the query's own text."""

from __future__ import annotations

import numpy as np

from hardneg.guard.known_positives import KnownPositives
from hardneg.guard.members import by_document, matches
from hardneg.guard.text_classes import TextClasses
from hardneg.records import Block, Bool, Int32


class Positive:
    """The document is a positive of the query, by id."""

    code = "positive"

    def __init__(self, known: KnownPositives) -> None:
        self._known = known

    def exclude(self, block: Block) -> Bool:
        return matches(block.doc, self._known.own(block.query))


class PositiveText:
    """The document has the normalised text of a positive of the query."""

    code = "positive_text"

    def __init__(self, known: KnownPositives, classes: TextClasses) -> None:
        self._known = known
        self._class = by_document(classes.document)
        # Where every positive is the only document of its text there is nothing to find but itself.
        documents_of = np.bincount(classes.document, minlength=len(classes.keys))
        self._any_twin = bool((documents_of[classes.document[known.documents]] > 1).any())

    def exclude(self, block: Block) -> Bool:
        wanted = self._known.own(block.query)
        if not self._any_twin:
            return matches(block.doc, wanted)
        return matches(self._class[block.doc], self._class[wanted])


class QueryText:
    """The document's normalised text, with or without its title, is the query's."""

    code = "query_text"

    def __init__(self, classes: TextClasses) -> None:
        self._query = classes.query
        self._columns: list[Int32] = []
        for column in (classes.document, classes.document_text_only):
            known = any(np.array_equal(column, other[:-1]) for other in self._columns)
            if not known and np.isin(classes.query, column).any():
                self._columns.append(by_document(column))

    def exclude(self, block: Block) -> Bool:
        wanted = self._query[block.query][:, None]
        found = np.zeros(block.doc.shape, np.bool_)
        for column in self._columns:
            found |= matches(column[block.doc], wanted)
        return found


class SameQueryPositive:
    """The document is, or has the normalised text of, a positive of another query with the same text."""

    code = "same_query_positive"

    def __init__(self, known: KnownPositives, classes: TextClasses) -> None:
        self._known = known
        self._class = by_document(classes.document)

    def exclude(self, block: Block) -> Bool:
        if not self._known.any_repeated:
            return np.zeros(block.doc.shape, np.bool_)
        # The query's own positives are among them; rules before this one have excluded those.
        return matches(self._class[block.doc], self._class[self._known.shared(block.query)])


class PartlyRelevant:
    """The document, or one of its text, is judged relevant to the query, but not enough for a positive."""

    code = "partly_relevant"

    def __init__(self, partly: KnownPositives, classes: TextClasses) -> None:
        self._partly = partly
        self._class = by_document(classes.document)

    def exclude(self, block: Block) -> Bool:
        return matches(self._class[block.doc], self._class[self._partly.shared(block.query)])
