"""Exact search over stored vectors: the documents with the highest canonical scores, proved to be those.

FAISS finds some more documents than wanted by float32 dot products, block by block. These are scored again
canonically. A float32 dot product of whatever order of summation, fused or not, errs by at most
gamma_d |q| |d|, where gamma_d = d u / (1 - d u) and u = 2^-24 (Higham, Accuracy and Stability of Numerical
Algorithms, section 3.1). So if the last wanted canonical score lies above the lowest fetched float32 score by
more than that, no document that was not fetched can belong to the result. For the queries where it does not
(twins, or scores that lie too close), a second pass looks at every document within reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hardneg.errors import ModelError, UsageError
from hardneg.protocols import Progress, Vectors
from hardneg.records import NO_DOC, Float32, Int32, Ranking
from hardneg.search.canonical import Float64, canonical_pair_scores, score_documents
from hardneg.search.faiss_library import faiss
from hardneg.search.ordering import NOTHING, Keys, ragged_smallest, smallest, sort_keys, unpack

BLOCK_BYTES = 64 << 20
QUERY_BLOCK = 4096
OVERFETCH = 32
"""Documents fetched beyond the depth, so that nearly every boundary is proved in the first pass."""
_TILE_ELEMENTS = 1 << 22
"""Scores of the second pass held at once."""
_STATE_ELEMENTS = 1 << 21
"""Candidates of a block of queries held at once."""
_LARGEST = float(np.finfo(np.float32).max) / 4
_UNDERFLOW = 2.0**-124
"""A dimension's share of what is lost where a library takes numbers below float32's normal range as zero."""


@dataclass(frozen=True)
class _Queries:
    """Vectors of a block of queries, float32 (queries, dimension), and what a float32 score may err by.

    error  float32 (queries,): the error for a document of norm 1
    """

    vectors: Float32
    error: Float32

    def part(self, rows: slice | np.ndarray) -> _Queries:
        return _Queries(self.vectors[rows], self.error[rows])


class DenseRetriever:
    """Retriever over vectors: the score is the canonical dot product; ties go by document row.

    block_bytes  float32 bytes of documents held at once
    query_block  queries compared with a block of documents at once

    Neither changes the result. Raises ModelError for a vector that is not finite, UsageError where the
    dimensions of queries and documents differ.
    """

    def __init__(
        self,
        name: str,
        queries: Vectors,
        documents: Vectors,
        *,
        block_bytes: int = BLOCK_BYTES,
        query_block: int = QUERY_BLOCK,
    ) -> None:
        if queries.shape[1] != documents.shape[1]:
            raise UsageError(
                f"retriever {name}: queries have {queries.shape[1]} dimensions and documents "
                f"{documents.shape[1]}; encode both with the same model"
            )
        self.name = name
        self._queries = queries
        self._documents = documents
        self._rows_a_block = max(1, block_bytes // (4 * max(1, documents.shape[1])))
        self._query_block = query_block

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`. Memory is bounded by the blocks and the result."""
        count = self._documents.shape[0]
        width = min(depth, count)
        doc = np.full((len(query), depth), NO_DOC, np.int32)
        score = np.full((len(query), depth), np.nan, np.float32)
        positive_score = np.full(positives.shape, np.nan, np.float32)
        step = max(1, min(self._query_block, _STATE_ELEMENTS // (width + OVERFETCH)))
        blocks = -(-len(query) // step)
        with progress.track(f"search {self.name}", blocks * count, "documents") as advance:
            for start in range(0, len(query), step):
                part = slice(start, start + step)
                queries = self._query_vectors(query[part])
                if width:
                    keys = self._top(queries, width, advance)
                    doc[part, :width], score[part, :width] = unpack(keys)
                if positives.shape[1]:
                    positive_score[part] = score_documents(queries.vectors, self._documents, positives[part])
        return Ranking(self.name, doc, score, positive_score)

    def _query_vectors(self, query: Int32) -> _Queries:
        vectors = np.ascontiguousarray(self._queries.take(query))
        norms = _norms(vectors)
        self._refuse(~(norms < _LARGEST), "query", query)
        return _Queries(vectors, (_relative_error(vectors.shape[1]) * norms).astype(np.float32))

    def _top(self, queries: _Queries, width: int, advance: Callable[[int], None]) -> Keys:
        """Keys of the `width` best documents of each query, in order, uint64 (queries, width)."""
        fetch = min(width + OVERFETCH, self._documents.shape[0])
        found, largest_norm = self._fetch(queries, fetch, advance)
        doc, approximate = unpack(found)
        canonical = sort_keys(score_documents(queries.vectors, self._documents, doc), doc)
        top = np.sort(canonical, axis=1)[:, :width]
        if fetch == self._documents.shape[0]:
            return top
        _, last = unpack(top[:, -1])
        reach = approximate.min(axis=1).astype(np.float64) + queries.error.astype(np.float64) * largest_norm
        open_ = np.flatnonzero(last <= reach + queries.vectors.shape[1] * _UNDERFLOW)
        if len(open_):
            top[open_] = self._resolve(queries.part(open_), last[open_], width)
        return top

    def _fetch(self, queries: _Queries, fetch: int, advance: Callable[[int], None]) -> tuple[Keys, float]:
        """The best documents by float32 scores, uint64 (queries, fetch), and the largest document norm."""
        library = faiss()
        best = np.full((len(queries.vectors), 0), NOTHING, np.uint64)
        largest = 0.0
        for start, vectors, norms in self._blocks(queries):
            largest = max(largest, float(norms.max()))
            score, row = library.knn(
                queries.vectors, vectors, min(fetch, len(vectors)), library.METRIC_INNER_PRODUCT
            )
            best = smallest(np.concatenate([best, sort_keys(score, row + start)], axis=1), fetch)
            advance(len(vectors))
        return best, largest

    def _resolve(self, queries: _Queries, floor: Float32, width: int) -> Keys:
        """The same as `_top` from every document whose canonical score may reach `floor`, however many.

        `floor` float32 (queries,) is a canonical score that `width` documents are known to reach.
        """
        best = np.full((len(floor), width), NOTHING, np.uint64)
        for start, vectors, norms in self._blocks(queries):
            step = max(1, _TILE_ELEMENTS // len(vectors))
            for first in range(0, len(floor), step):
                part = slice(first, first + step)
                tile = queries.part(part)
                keys = _keys_within_reach(tile, floor[part], vectors, norms, start, width)
                best[part] = np.sort(np.concatenate([best[part], keys], axis=1), axis=1)[:, :width]
                _, last = unpack(best[part, -1])
                floor[part] = np.fmax(floor[part], last)
        return best

    def _blocks(self, queries: _Queries) -> Iterator[tuple[int, Float32, Float32]]:
        """First row, vectors and norms of each block of documents."""
        count = self._documents.shape[0]
        largest_query = float(queries.error.max(initial=0.0)) / _relative_error(self._documents.shape[1])
        for start in range(0, count, self._rows_a_block):
            vectors = self._documents.block(start, min(start + self._rows_a_block, count))
            norms = _norms(vectors)
            too_large = ~(norms * max(largest_query, 1.0) < _LARGEST)
            self._refuse(too_large, "document", np.arange(start, start + len(norms)))
            yield start, vectors, norms.astype(np.float32)

    def _refuse(self, bad: np.ndarray, kind: str, rows: np.ndarray) -> None:
        if bad.any():
            row = int(rows[int(np.argmax(bad))])
            raise ModelError(
                f"retriever {self.name}: the vector of {kind} row {row} holds NaN, infinity or numbers too "
                "large to multiply; encode again (in float32, if it was float16) or correct the vectors"
            )


def _keys_within_reach(
    queries: _Queries, floor: Float32, vectors: Float32, norms: Float32, start: int, width: int
) -> Keys:
    """Canonical keys of the best documents of a block that may reach `floor`, (queries, at most width)."""
    reach = np.multiply.outer(queries.error, norms)
    reach += queries.vectors @ vectors.T
    reach += np.float32(vectors.shape[1] * _UNDERFLOW)
    query, doc = np.nonzero(reach >= floor[:, None])
    score = canonical_pair_scores(queries.vectors, query, vectors, doc)
    return ragged_smallest(query, sort_keys(score, doc + start), len(floor), width)


def _relative_error(dimension: int) -> float:
    """gamma of the module's docstring for some more operations than the dot product has.

    They pay for the canonical score's own rounding to float32 and for computing the bound in float32.
    """
    operations = (dimension + 16) * 2.0**-24
    return operations / (1 - operations)


def _norms(vectors: Float32) -> Float64:
    """float64 (n,): the Euclidean norms, not smaller than the true ones; infinity or NaN where one is not
    finite."""
    dimension = vectors.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors).astype(np.float64)
    norms: Float64 = np.sqrt(squares + dimension * _UNDERFLOW) * (1 + 2 * _relative_error(dimension))
    return norms
