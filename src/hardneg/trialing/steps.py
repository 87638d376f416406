"""The batches of a lesson, and what is masked in them: for students that learn by in-batch negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import NO_DOC, Bool, Budget, Float32, Int32, Int64, Lesson
from hardneg.trialing.batches import batches


@dataclass(frozen=True)
class Step:
    """One batch: places in the lesson's queries and documents.

    query     int64 (batch,)
    document  int64 (batch + batch × negatives,): each query's positive, then all negatives, query by query
    bias      float32 (batch, documents): added to the logits, -inf where a document is masked
    """

    query: Int64
    document: Int64
    bias: Float32


class Steps:
    """The batches of a lesson. A query's own positive is never masked, the other known ones always are."""

    def __init__(self, lesson: Lesson, budget: Budget) -> None:
        self._lesson = lesson
        self.documents = lesson.documents
        self._place, self._positive = batches(lesson, budget.steps, budget.batch_size, budget.seed)
        self._known = _known(lesson, self.documents)
        with np.errstate(divide="ignore"):
            self._log_weight = np.where(lesson.negatives != NO_DOC, np.log(lesson.weights), -np.inf)

    def __len__(self) -> int:
        return len(self._place)

    def __getitem__(self, step: int) -> Step:
        place, positive = self._place[step], self._positive[step]
        count, width = len(place), self._lesson.negatives.shape[1]
        negative = self._lesson.negatives[place]
        document = np.concatenate([positive, np.maximum(negative, 0).ravel()])
        column = np.minimum(np.searchsorted(self.documents, document), len(self.documents) - 1)
        masked = self._known[place[:, None], column[None, :]]
        masked[:, count:] |= (negative == NO_DOC).ravel()
        masked[np.arange(count), np.arange(count)] = False
        bias = np.where(masked, np.float32(-np.inf), np.float32(0))
        own = count + np.arange(count)[:, None] * width + np.arange(width)
        row = np.arange(count)[:, None]
        bias[row, own] = np.where(masked[row, own], -np.inf, self._log_weight[place])
        return Step(place.astype(np.int64), column, bias)


def _known(lesson: Lesson, documents: Int32) -> Bool:
    """bool (queries, documents of the lesson): a positive of the query."""
    known = lesson.known.padded(lesson.query)
    column = np.minimum(np.searchsorted(documents, known), len(documents) - 1)
    there = (known != NO_DOC) & (documents[column] == known)
    out = np.zeros((len(lesson.query), len(documents)), np.bool_)
    row = np.broadcast_to(np.arange(len(known))[:, None], known.shape)
    out[row[there], column[there]] = True
    return out
