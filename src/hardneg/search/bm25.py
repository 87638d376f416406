"""Lexical search with BM25 (bm25s): Lucene's formula with k1 = 1.5 and b = 0.75."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.protocols import Progress
from hardneg.records import NO_DOC, Float32, Int32, Ranking
from hardneg.search.ordering import best_above_zero
from hardneg.words import words

Texts = Sequence[str] | Any
"""A sequence of str, or an Arrow array of strings."""

K1 = 1.5
B = 0.75
_TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class _Index:
    """What bm25s built, and the number of each word of the corpus. `scorer` is None where it has no word."""

    scorer: Any
    vocabulary: dict[str, int]

    def scores(self, text: str, documents: int) -> Float32:
        """float32 (documents,): the score of every document; 0 where it shares no word with the text."""
        known = [self.vocabulary[word] for word in words(text) if word in self.vocabulary]
        if not known:
            return np.zeros(documents, np.float32)
        scores: Float32 = self.scorer.get_scores_from_ids(known)
        return scores


class Bm25Retriever:
    """Retriever over texts; the index is built at the first search and lies in memory.

    A document that shares no word with the query has score 0 and is no candidate; as a positive its score
    is that 0. Ties go by document row. A word counts as often as the query has it, as in Lucene.
    """

    def __init__(
        self, name: str, query_texts: Texts, document_texts: Texts, *, k1: float = K1, b: float = B
    ) -> None:
        self.name = name
        self._queries = query_texts
        self._documents = document_texts
        self._k1, self._b = k1, b
        self._built: _Index | None = None

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`."""
        index = self._index(progress)
        count = len(self._documents)
        depth = min(depth, count)  # more would be room for nothing
        doc = np.full((len(query), depth), NO_DOC, np.int32)
        score = np.full((len(query), depth), np.nan, np.float32)
        positive_score = np.full(positives.shape, np.nan, np.float32)
        with progress.track(f"search {self.name}", len(query), "queries") as advance:
            for place, text in enumerate(_taken(self._queries, query)):
                scores = index.scores(text, count)
                top_doc, top_score = best_above_zero(scores, depth)
                doc[place, : len(top_doc)], score[place, : len(top_doc)] = top_doc, top_score
                known = positives[place] != NO_DOC
                positive_score[place, known] = scores[positives[place, known]]
                advance(1)
        return Ranking(self.name, doc, score, positive_score)

    def _index(self, progress: Progress) -> _Index:
        if self._built is None:
            self._built = _build(self.name, self._documents, self._k1, self._b, progress)
        return self._built


def _build(name: str, documents: Texts, k1: float, b: float, progress: Progress) -> _Index:
    import bm25s

    vocabulary: dict[str, int] = {}
    numbers: list[array[int]] = []
    with progress.track(f"index {name}", len(documents), "documents") as advance:
        for part in _parts(documents):
            for text in part:
                # Four bytes a word: lists of Python integers would take eight, besides the integers.
                numbers.append(array("i", [vocabulary.setdefault(w, len(vocabulary)) for w in words(text)]))
            advance(len(part))
    if not vocabulary:
        return _Index(None, {})
    scorer = bm25s.BM25(method="lucene", k1=k1, b=b, dtype="float32", csc_backend="scipy")
    scorer.index((numbers, dict(vocabulary)), create_empty_token=False, show_progress=False)
    return _Index(scorer, vocabulary)


def _parts(texts: Texts) -> Iterator[Sequence[str]]:
    """All texts, some thousands at once."""
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[start : start + _TEXTS_AT_ONCE]
        yield part if isinstance(part, Sequence) else part.to_pylist()


def _taken(texts: Texts, rows: Int32) -> list[str]:
    if isinstance(texts, Sequence):
        return [texts[row] for row in rows]
    taken: list[str] = texts.take(pa.array(rows)).to_pylist()
    return taken
