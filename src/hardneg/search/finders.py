"""Who finds candidates among blocks of documents, by approximate scores of a known largest error.

A finder is told blocks of documents one after the other and remembers the best for each query. What it says
is never taken as it is: `exact` scores it again, and proves by the error that nothing was missed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Float32
from hardneg.search.faiss_library import faiss
from hardneg.search.ordering import NOTHING, Keys, smallest, sort_keys, unpack


class Running(Protocol):
    """The best so far of some queries."""

    def add(self, start: int, vectors: Float32) -> None:
        """Look at a block of documents, float32 (rows, dimension), the first of which is row `start`."""
        ...

    def best(self) -> tuple[NDArray[np.int32], Float32]:
        """Rows and approximate scores, (queries, fetch) both, in no order; NO_DOC and NaN where there are
        fewer documents."""
        ...


class Finder(Protocol):
    """queries_at_once  how many queries go through the documents together
    overfetch        documents to find beyond the depth, so that nearly every boundary is proved
    """

    queries_at_once: int
    overfetch: int

    def relative_error(self, dimension: int) -> float:
        """How far a score may be from the dot product of the float32 vectors, for vectors of length 1."""
        ...

    def begin(self, queries: Float32, fetch: int) -> Running:
        """queries  float32 (queries, dimension)."""
        ...


def float32_error(dimension: int) -> float:
    """gamma_d of a float32 dot product, for some more operations than it has (module `exact`).

    They pay for the canonical score's own rounding to float32 and for computing the bound in float32.
    """
    operations = (dimension + 16) * 2.0**-24
    return operations / (1 - operations)


class FaissFinder:
    """FAISS on the CPU, in float32."""

    queries_at_once = 8192
    """All vectors are read, and widened to float32, once for so many."""
    overfetch = 32

    def relative_error(self, dimension: int) -> float:
        return float32_error(dimension)

    def begin(self, queries: Float32, fetch: int) -> Running:
        return _FaissRunning(queries, fetch)


class _FaissRunning:
    def __init__(self, queries: Float32, fetch: int) -> None:
        self._queries, self._fetch = queries, fetch
        self._best: Keys = np.full((len(queries), 0), NOTHING, np.uint64)

    def add(self, start: int, vectors: Float32) -> None:
        library = faiss()
        score, row = library.knn(
            self._queries, vectors, min(self._fetch, len(vectors)), library.METRIC_INNER_PRODUCT
        )
        keys = np.concatenate([self._best, sort_keys(score, row + start)], axis=1)
        self._best = smallest(keys, self._fetch)

    def best(self) -> tuple[NDArray[np.int32], Float32]:
        return unpack(self._best)
