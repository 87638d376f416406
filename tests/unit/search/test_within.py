"""Search among some of the documents: ranks and rows, positives inside and outside."""

from __future__ import annotations

import numpy as np

from hardneg.progress import Silent
from hardneg.records import NO_DOC, Float32, Int32
from hardneg.search.exact import DenseRetriever
from hardneg.search.within import Within


class Held:
    """Vectors in memory."""

    def __init__(self, vectors: list[list[float]]) -> None:
        self._vectors = np.array(vectors, np.float32)
        self.shape: tuple[int, int] = self._vectors.shape

    def take(self, rows: Int32) -> Float32:
        return self._vectors[rows]

    def block(self, start: int, stop: int) -> Float32:
        return self._vectors[start:stop]


def test_ranks_are_counted_among_the_part_and_rows_are_the_corpus_own() -> None:
    # Of a corpus of 10 documents rows 2, 5 and 9 are searched; they score 1, 3 and 2.
    dense = DenseRetriever("dense", Held([[1.0, 0.0]]), Held([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]))
    within = Within(dense, np.array([2, 5, 9], np.int32))
    wanted = np.array([[9, 4, NO_DOC, 0]], np.int32)
    found = within.search(np.zeros(1, np.int32), 5, wanted, Silent())
    assert (within.name, found.doc.tolist()) == ("dense", [[5, 9, 2]])
    np.testing.assert_array_equal(found.score, [[3, 2, 1]])
    np.testing.assert_array_equal(found.positive_score, [[2, np.nan, np.nan, np.nan]])


def test_no_document_stays_none() -> None:
    class Short(DenseRetriever):
        def search(self, query, depth, positives, progress):  # type: ignore[no-untyped-def]  # as the parent
            found = super().search(query, depth, positives, progress)
            found.doc[:, 1:] = NO_DOC
            return found

    dense = Short("dense", Held([[1.0]]), Held([[1.0], [2.0]]))
    found = Within(dense, np.array([3, 7], np.int32)).search(
        np.zeros(1, np.int32), 2, np.zeros((1, 0), np.int32), Silent()
    )
    assert found.doc.tolist() == [[7, NO_DOC]]
