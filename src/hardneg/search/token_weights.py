"""Learned sparse search: each token of a text has a weight; the score is the sum of their products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.errors import ModelError
from hardneg.protocols import Progress
from hardneg.records import NO_DOC, Float32, Int32, Ranking
from hardneg.search.ordering import best_above_zero

Weigh = Callable[[Sequence[str]], Sequence[Mapping[str, float]]]
"""Texts → a mapping each: token → weight above 0."""
_TEXTS_AT_ONCE = 1024
_QUERIES_AT_ONCE = 64


@dataclass(frozen=True)
class _Index:
    """tokens  token → column
    matrix    scipy.sparse.csc_array, float64 (documents, tokens)
    """

    tokens: dict[str, int]
    matrix: Any


class TokenWeightRetriever:
    """Retriever over texts by weighted tokens; the documents are weighed at the first search.

    A document that shares no token with the query has score 0 and is no candidate; as a positive its score
    is that 0. Ties go by document row. Sums are float64 in the order of the tokens' names, rounded once.

    fingerprint  what decides the weights besides the texts; without one a finished search is not used again
    """

    def __init__(
        self,
        name: str,
        query_texts: Sequence[str],
        document_texts: Sequence[str],
        *,
        weigh_queries: Weigh,
        weigh_documents: Weigh,
        fingerprint: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._queries, self._documents = query_texts, document_texts
        self._weigh_queries, self._weigh_documents = weigh_queries, weigh_documents
        self._built: _Index | None = None

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`."""
        index = self._index(progress)
        depth = min(depth, len(self._documents))
        doc = np.full((len(query), depth), NO_DOC, np.int32)
        score = np.full((len(query), depth), np.nan, np.float32)
        positive_score = np.full(positives.shape, np.nan, np.float32)
        with progress.track(f"search {self.name}", len(query), "queries") as advance:
            for start in range(0, len(query), _QUERIES_AT_ONCE):
                part = slice(start, start + _QUERIES_AT_ONCE)
                weights = self._weighed(self._weigh_queries, [self._queries[row] for row in query[part]])
                for place, weight in enumerate(weights, start):
                    scores = _scores(index, weight)
                    best_doc, best_score = best_above_zero(scores, depth)
                    doc[place, : len(best_doc)], score[place, : len(best_doc)] = best_doc, best_score
                    known = positives[place] != NO_DOC
                    positive_score[place, known] = scores[positives[place, known]]
                advance(len(weights))
        return Ranking(self.name, doc, score, positive_score)

    def _index(self, progress: Progress) -> _Index:
        if self._built is None:
            self._built = self._build(progress)
        return self._built

    def _build(self, progress: Progress) -> _Index:
        from scipy.sparse import csr_array

        tokens: dict[str, int] = {}
        columns: list[Int32] = []
        values: list[Float32] = []
        with progress.track(f"weigh {self.name}", len(self._documents), "documents") as advance:
            for part in _parts(self._documents):
                for weight in self._weighed(self._weigh_documents, part):
                    numbers = [tokens.setdefault(token, len(tokens)) for token in weight]
                    columns.append(np.array(numbers, np.int32))
                    values.append(np.array(list(weight.values()), np.float32))
                advance(len(part))
        starts = np.cumsum([0, *map(len, columns)])
        data = np.concatenate([np.zeros(0, np.float32), *values]).astype(np.float64)
        where = np.concatenate([np.zeros(0, np.int32), *columns])
        matrix = csr_array((data, where, starts), shape=(len(self._documents), len(tokens)))
        return _Index(tokens, matrix.tocsc())

    def _weighed(self, weigh: Weigh, texts: Sequence[str]) -> Sequence[Mapping[str, float]]:
        weights = weigh(texts)
        if len(weights) != len(texts):
            raise ModelError(f"retriever {self.name}: {len(weights)} sets of weights for {len(texts)} texts")
        for weight in weights:
            if not np.isfinite(np.fromiter(weight.values(), np.float64, len(weight))).all():
                raise ModelError(f"retriever {self.name}: a weight is NaN or infinite")
        return weights


def _scores(index: _Index, weight: Mapping[str, float]) -> Float32:
    """float32 (documents,)."""
    scores = np.zeros(index.matrix.shape[0], np.float64)
    for token in sorted(index.tokens.keys() & weight.keys()):
        column = index.tokens[token]
        part = slice(index.matrix.indptr[column], index.matrix.indptr[column + 1])
        scores[index.matrix.indices[part]] += index.matrix.data[part] * float(weight[token])
    return scores.astype(np.float32)


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        yield texts[start : start + _TEXTS_AT_ONCE]
