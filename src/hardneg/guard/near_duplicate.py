"""Never nearly the text of a positive: sketches are compared first, then the texts of what is left."""

from __future__ import annotations

import numpy as np

from hardneg.guard.known_positives import KnownPositives
from hardneg.guard.portions import CHARACTERS, NormalisedTexts, slices
from hardneg.guard.similar_texts import reaching
from hardneg.guard.sketches import Sketches, equal_at_first, least_at_first, marks_equal
from hardneg.guard.text_classes import TextClasses
from hardneg.records import NO_DOC, Block, Bool, Int32

_PLACES = 1 << 18  # candidates looked at together


class NearDuplicate:
    """The document is nearly the text of a positive of the query, or of a query with the same text.

    Each candidate is compared with the positives of its own query and with nothing else, so that the work
    grows with the candidates, however many documents are like each other. What the sketches cannot rule out
    is verified exactly; the chance to miss a copy is told in `minhash`.
    """

    code = "near_duplicate"

    def __init__(
        self,
        known: KnownPositives,
        classes: TextClasses,
        texts: NormalisedTexts,
        sketches: Sketches,
        threshold: float,
    ) -> None:
        self._known, self._texts, self._sketches, self._threshold = known, texts, sketches, threshold
        self._class, self._characters = classes.document, classes.characters

    def exclude(self, block: Block) -> Bool:
        excluded = np.zeros(block.doc.shape, np.bool_)
        step = max(_PLACES // max(block.doc.shape[1], 1), 1)
        for start in range(0, len(block.query), step):
            part = slice(start, start + step)
            self._mark(excluded[part], block.doc[part], self._known.shared(block.query[part]))
        return excluded

    def _mark(self, excluded: Bool, doc: Int32, positives: Int32) -> None:
        """Mark in `excluded` (queries, width) the documents that are nearly one of the positives."""
        # NO_DOC (-1) gives the last document's marks: it is left out below.
        marks = self._sketches.marks.take(doc, mode="wrap")
        least = least_at_first(self._threshold)
        for column in range(positives.shape[1]):
            rows = np.flatnonzero(positives[:, column] != NO_DOC)
            positive = positives[rows, column]
            some = marks if len(rows) == len(doc) else marks[rows]
            row, place = np.nonzero(marks_equal(some, self._sketches.marks[positive][:, None]) >= least)
            here, there = positive[row], doc[rows[row], place]
            alike = equal_at_first(self._sketches.glance(here), self._sketches.glance(there)) >= least
            row, place, here, there = row[alike], place[alike], here[alike], there[alike]
            left = (there != NO_DOC) & (self._class[here] != self._class[there])  # its twins have a rule
            left &= ~excluded[rows[row], place]
            row, place, here, there = row[left], place[left], here[left], there[left]
            near = self._near(here, there)
            excluded[rows[row[near]], place[near]] = True

    def _near(self, left: Int32, right: Int32) -> Bool:
        """Which of these pairs of documents reach the threshold."""
        near = self._sketches.plausible(left, right, self._threshold)
        pairs = np.flatnonzero(near)
        for part in slices(self._characters[left[pairs]] + self._characters[right[pairs]], CHARACTERS):
            some = pairs[part]
            near[some] = reaching(self._texts, left[some], right[some], self._threshold)
        return near
