"""The static student: a text is the mean of its words' vectors, and those are what is learned.

The vectors start as the word embeddings of a model. It is what sentence-transformers' StaticEmbedding is, but
the gradient is of the words of a batch alone: that of the whole vocabulary is many times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hardneg.cores import usable_cores
from hardneg.errors import ModelError
from hardneg.protocols import Ranker, Studied
from hardneg.records import Budget, Float32, Int32, Lesson
from hardneg.trialing.contrastive import Adam, Directed, schedule, slopes
from hardneg.trialing.distillation import Distilled
from hardneg.trialing.ranking import ranked
from hardneg.trialing.steps import Steps

Bags = Any
"""scipy.sparse.csr_array (texts, words), float32: each word's share of a text's words."""


@dataclass(frozen=True)
class Words:
    """The words of a model: `ids` gives each text's word numbers, `vectors` is float32 (words, dimension)."""

    ids: Callable[[Sequence[str]], list[list[int]]]
    vectors: Float32


@dataclass(frozen=True)
class Static:
    """`protocols.Student` on word vectors, compared by cosine. One student looks at one trial's texts.

    words  loads them, when the first text is looked at
    mark   decides them
    """

    words: Callable[[], Words]
    mark: Mapping[str, Any]
    name: str = "static"
    at_once: int = field(default_factory=usable_cores)
    _cut: dict[tuple[str, int], Int32] = field(default_factory=dict, repr=False)

    def fingerprint(self) -> Mapping[str, Any]:
        return {"student": self.name, "model": dict(self.mark), "version": 1}

    def untrained(self, data: Studied) -> Ranker:
        return self._ranker(data, self.words().vectors)

    def train(self, data: Studied, lesson: Lesson, budget: Budget) -> Ranker:
        """Raises ModelError where the vectors become NaN or infinity."""
        vectors = self._trained(data, lesson, budget)
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"the static student's vectors became NaN or infinity at learning rate "
                f"{budget.learning_rate:g}; take a lower one"
            )
        return self._ranker(data, vectors)

    def _ranker(self, data: Studied, vectors: Float32) -> Ranker:
        def documents(rows: Int32) -> Float32:
            return Directed.of(self._documents(data, rows) @ vectors, True).out

        def rank(query: Int32, pool: Int32, depth: int) -> Int32:
            queries = Directed.of(self._queries(data, query) @ vectors, True).out
            return ranked(queries, documents, pool, depth)

        return rank

    def _trained(self, data: Studied, lesson: Lesson, budget: Budget) -> Float32:
        """The words' vectors, float32 (words, dimension)."""
        steps = Steps(lesson, budget)
        query, document = self._queries(data, lesson.query), self._documents(data, steps.documents)
        vectors = self.words().vectors.copy()
        adam = Adam(vectors)
        for number in range(len(steps)):
            step = steps[number]
            rows, gradient = _gradient(
                query[step.query],
                document[step.document],
                step.bias,
                vectors,
                budget.temperature,
                step.distilled,
            )
            adam.step(gradient, budget.learning_rate * schedule(number, len(steps)), number + 1, rows)
        return vectors

    def _queries(self, data: Studied, rows: Int32) -> Bags:
        return self._bags("query", data.query_texts, rows)

    def _documents(self, data: Studied, rows: Int32) -> Bags:
        return self._bags("document", data.document_texts, rows)

    def _bags(self, kind: str, texts: Callable[[Int32], list[str]], rows: Int32) -> Bags:
        """Every text is cut once, however many trainings look at it."""
        new = np.array([row for row in rows.tolist() if (kind, row) not in self._cut], np.int32)
        words = self.words()
        for row, ids in zip(new.tolist(), words.ids(texts(new)), strict=True):
            self._cut[kind, row] = np.array(ids, np.int32)
        return bags([self._cut[kind, row] for row in rows.tolist()], len(words.vectors))


def bags(texts: Sequence[Int32], words: int) -> Bags:
    """texts  the word numbers of each; one without a word is a row of zeros."""
    from scipy.sparse import csr_array

    count = np.array([len(ids) for ids in texts], np.int64)
    column = np.concatenate([np.zeros(0, np.int32), *texts])
    share = np.repeat(1 / np.maximum(count, 1), count).astype(np.float32)
    start = np.concatenate([[0], np.cumsum(count)])
    made = csr_array((share, column, start), shape=(len(texts), words))
    made.sum_duplicates()
    return made


def _gradient(
    query: Bags,
    document: Bags,
    bias: Float32,
    vectors: Float32,
    temperature: float,
    distilled: Distilled | None = None,
) -> tuple[Int32, Float32]:
    """Of the mean loss of a batch by the words in it: their numbers and float32 (words, dimension)."""
    rows = np.unique(np.concatenate([query.indices, document.indices]))
    query, document = _within(query, rows), _within(document, rows)
    own = vectors[rows]
    one, other = Directed.of(query @ own, True), Directed.of(document @ own, True)
    by_query, by_document = slopes(one.out, other.out, bias, temperature, distilled)
    return rows, query.T @ one.back(by_query) + document.T @ other.back(by_document)


def _within(of: Bags, rows: Int32) -> Bags:
    """The same with the columns of these words alone."""
    from scipy.sparse import csr_array

    return csr_array((of.data, np.searchsorted(rows, of.indices), of.indptr), shape=(of.shape[0], len(rows)))
