"""Exact search over stored vectors: the documents with the highest canonical scores, proved to be those.

A finder fetches some more documents than wanted, block by block, by approximate scores whose largest error is
known. FAISS's are float32 dot products: of whatever order of summation, fused or not, such a one errs by at
most gamma_d |q| |d|, where gamma_d = d u / (1 - d u) and u = 2^-24 (Higham, Accuracy and Stability of
Numerical Algorithms, section 3.1). What is fetched is scored again canonically. If the last wanted canonical
score lies above the lowest fetched approximate score by more than the error, no document that was not fetched
can belong to the result. The queries where it does not (twins, or scores that lie too close) go to the next
finder, a more exact one; after the last, every document within reach is looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from hardneg.errors import ModelError, UsageError
from hardneg.protocols import Kind, Progress, Vectors
from hardneg.records import NO_DOC, Float32, Int32, Ranking
from hardneg.search.canonical import Float64, canonical_pair_scores, score_documents
from hardneg.search.faiss_finder import FaissFinder
from hardneg.search.finders import Finder, float32_error
from hardneg.search.ordering import NOTHING, Keys, ragged_smallest, sort_keys, unpack

_ROWS_OF = 256
"""Blocks have a multiple of so many documents: GPUs multiply odd numbers of them at half the rate."""
_TILE_ELEMENTS = 1 << 22
"""Scores of the second pass held at once."""
_LARGEST = float(np.finfo(np.float32).max) / 4
_UNDERFLOW = 2.0**-124
"""A dimension's share of what is lost where a library takes numbers below float32's normal range as zero."""


@dataclass(frozen=True)
class _Queries:
    """Vectors of a block of queries, float32 (queries, dimension), and their norms, not smaller than the true
    ones: float64 (queries,)."""

    vectors: Float32
    norms: Float64

    def part(self, rows: slice | np.ndarray) -> _Queries:
        return _Queries(self.vectors[rows], self.norms[rows])


def _by_row(kind: Kind, row: int) -> str:
    return f"{kind} row {row}"


class DenseRetriever:
    """Retriever over vectors: the score is the canonical dot product; ties go by document row.

    block_bytes  float32 bytes of documents compared at once; the next ones are read meanwhile; default: the
                 finder's
    query_block  queries compared with a block of documents at once; default: the finder's
    finders      who finds candidates, each what the one before left open
    name_of      "query" or "document" and a row → how an error calls it

    None of them changes the result. Raises ModelError for a vector that is not finite, UsageError where the
    dimensions of queries and documents differ.
    """

    def __init__(
        self,
        name: str,
        queries: Vectors,
        documents: Vectors,
        *,
        block_bytes: int | None = None,
        query_block: int | None = None,
        finders: Sequence[Finder] = (FaissFinder(),),
        name_of: Callable[[Kind, int], str] = _by_row,
    ) -> None:
        if queries.shape[1] != documents.shape[1]:
            raise UsageError(
                f"retriever {name}: queries have {queries.shape[1]} dimensions and documents "
                f"{documents.shape[1]}; encode both with the same model"
            )
        self.name = name
        self._queries = queries
        self.documents = documents
        self._block_bytes = block_bytes or finders[0].block_bytes
        rows = max(1, self._block_bytes // (4 * max(1, documents.shape[1])))
        self._rows_a_block = rows if rows < _ROWS_OF else rows // _ROWS_OF * _ROWS_OF
        self._query_block = query_block or finders[0].queries_at_once
        self._finders = finders
        self._name_of = name_of

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`. Memory is bounded by the blocks and the result."""
        count = self.documents.shape[0]
        width = min(depth, count)
        doc = np.full((len(query), width), NO_DOC, np.int32)
        score = np.full((len(query), width), np.nan, np.float32)
        positive_score = np.full(positives.shape, np.nan, np.float32)
        finder = self._finders[0]
        step = max(1, min(self._query_block, finder.candidates_at_once // (width + finder.overfetch)))
        blocks = -(-len(query) // step)
        with progress.track(f"search {self.name}", blocks * count, "documents") as advance:
            for start in range(0, len(query), step):
                part = slice(start, start + step)
                queries = self._query_vectors(query[part])
                if width:
                    keys = self._top(queries, width, self._finders, advance)
                    doc[part], score[part] = unpack(keys)
                if positives.shape[1]:
                    positive_score[part] = score_documents(queries.vectors, self.documents, positives[part])
        return Ranking(self.name, doc, score, positive_score)

    def scores(self, query: Int32, doc: Int32) -> Float32:
        """Canonical scores, float32 like doc (queries, any), NaN where NO_DOC."""
        if not doc.size:
            return np.zeros(doc.shape, np.float32)
        return score_documents(self._query_vectors(query).vectors, self.documents, doc)

    def over(self, documents: Vectors, rows: Int32) -> DenseRetriever:
        """The same over some of the documents, which have these rows among all."""

        def name_of(kind: Kind, row: int) -> str:
            return self._name_of(kind, int(rows[row]) if kind == "document" else row)

        return DenseRetriever(
            self.name,
            self._queries,
            documents,
            block_bytes=self._block_bytes,
            query_block=self._query_block,
            finders=self._finders,
            name_of=name_of,
        )

    def _query_vectors(self, query: Int32) -> _Queries:
        vectors = np.ascontiguousarray(self._queries.take(query))
        norms = _norms(vectors)
        self._refuse(~(norms < _LARGEST), "query", query)
        return _Queries(vectors, norms)

    def _top(
        self, queries: _Queries, width: int, finders: Sequence[Finder], advance: Callable[[int], None]
    ) -> Keys:
        """Keys of the `width` best documents of each query, in order, uint64 (queries, width)."""
        finder, *others = finders
        fetch = min(width + finder.overfetch, self.documents.shape[0])
        doc, approximate, largest_norm = self._fetch(finder, queries, fetch, advance)
        canonical = sort_keys(score_documents(queries.vectors, self.documents, doc), doc)
        top = np.sort(canonical, axis=1)[:, :width]
        if fetch == self.documents.shape[0]:
            return top
        _, last = unpack(top[:, -1])
        dimension = queries.vectors.shape[1]
        error = finder.relative_error(dimension) * queries.norms * largest_norm
        error += dimension * _UNDERFLOW * np.maximum(queries.norms, 1)
        open_ = np.flatnonzero(last <= approximate.min(axis=1) + error)
        if len(open_) and others:
            top[open_] = self._top(queries.part(open_), width, others, _nobody)
        elif len(open_):
            top[open_] = self._resolve(queries.part(open_), last[open_], width)
        return top

    def _fetch(
        self, finder: Finder, queries: _Queries, fetch: int, advance: Callable[[int], None]
    ) -> tuple[Int32, Float32, float]:
        """The best documents and their approximate scores, (queries, fetch) both, and the largest document
        norm."""
        running, largest = finder.begin(queries.vectors, fetch), 0.0
        for start, vectors, norms in self._blocks(queries, finder.blocks_ahead):
            largest = max(largest, float(norms.max()))
            running.add(start, vectors)
            advance(len(vectors))
        return *running.best(), largest

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

    def _blocks(self, queries: _Queries, blocks_ahead: int = 1) -> Iterator[tuple[int, Float32, Float32]]:
        """First row, vectors and norms of each block of documents; the next ones are read meanwhile."""
        largest_query = float(queries.norms.max(initial=0.0))
        starts = range(0, self.documents.shape[0], self._rows_a_block)
        with ThreadPoolExecutor(blocks_ahead) as ahead:
            begun = (ahead.submit(self._block, start) for start in starts)
            reading = deque(islice(begun, blocks_ahead))
            while reading:
                start, vectors, norms = reading.popleft().result()
                reading.extend(islice(begun, 1))
                too_large = ~(norms * max(largest_query, 1.0) < _LARGEST)
                self._refuse(too_large, "document", np.arange(start, start + len(norms)))
                yield start, vectors, norms.astype(np.float32)

    def _block(self, start: int) -> tuple[int, Float32, Float64]:
        vectors = self.documents.block(start, min(start + self._rows_a_block, self.documents.shape[0]))
        return start, vectors, _norms(vectors)

    def _refuse(self, bad: np.ndarray, kind: Kind, rows: np.ndarray) -> None:
        if bad.any():
            row = int(rows[int(np.argmax(bad))])
            raise ModelError(
                f"retriever {self.name}: the vector of {self._name_of(kind, row)} holds NaN, infinity or "
                "numbers too large to multiply; encode again (in float32, if it was float16) or correct the "
                "vectors"
            )


def _keys_within_reach(
    queries: _Queries, floor: Float32, vectors: Float32, norms: Float32, start: int, width: int
) -> Keys:
    """Canonical keys of the best documents of a block that may reach `floor`, (queries, at most width)."""
    error = float32_error(vectors.shape[1]) * queries.norms
    reach = np.multiply.outer(error.astype(np.float32), norms)
    reach += queries.vectors @ vectors.T
    reach += np.float32(vectors.shape[1] * _UNDERFLOW)
    query, doc = np.nonzero(reach >= floor[:, None])
    score = canonical_pair_scores(queries.vectors, query, vectors, doc)
    return ragged_smallest(query, sort_keys(score, doc + start), len(floor), width)


def _nobody(documents: int) -> None:
    """Hears of progress that was counted before."""


def _norms(vectors: Float32) -> Float64:
    """float64 (n,): the Euclidean norms, not smaller than the true ones; infinity or NaN where one is not
    finite."""
    dimension = vectors.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors).astype(np.float64)
    norms: Float64 = np.sqrt(squares + dimension * _UNDERFLOW) * (1 + 2 * float32_error(dimension))
    return norms
