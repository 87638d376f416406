"""Search among some of the documents: ranks are counted among those alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hardneg.protocols import Progress, Retriever
from hardneg.records import NO_DOC, Int32, Ranking


@dataclass(frozen=True)
class Within:
    """Retriever over the corpus by one over a part of it.

    inner  its document rows are places in `rows`
    rows   int32, ascending: the corpus rows of the part

    A positive that lies outside has no score.
    """

    inner: Retriever
    rows: Int32

    @property
    def name(self) -> str:
        return self.inner.name

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`."""
        place = np.searchsorted(self.rows, positives).clip(max=len(self.rows) - 1)
        inside = (positives != NO_DOC) & (self.rows[place] == positives)
        known = np.where(inside, place, NO_DOC).astype(np.int32)
        found = self.inner.search(query, depth, known, progress)
        doc = np.where(found.doc == NO_DOC, np.int32(NO_DOC), self.rows[found.doc])
        return replace(
            found, doc=doc, positive_score=np.where(inside, found.positive_score, np.float32(np.nan))
        )
