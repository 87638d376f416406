"""The batches of a lesson, and what is masked in them: for students that learn by in-batch negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Budget, Float32, Int32, Int64, Lesson
from hardneg.trialing.batches import batches
from hardneg.trialing.distillation import Distilled, group_scores, targets
from hardneg.trialing.masks import shifts


@dataclass(frozen=True)
class Step:
    """One batch: places in the lesson's queries and documents.

    query     int64 (batch,)
    document  int64 (batch + batch × negatives,): each query's positive, then all negatives, query by query
    bias      float32 (batch, documents): added to the logits, -inf where a document is masked
    distilled what a teacher says of each query's own documents; None where none teaches
    """

    query: Int64
    document: Int64
    bias: Float32
    distilled: Distilled | None


class Steps:
    """The batches of a lesson. A query's own positive is never masked, the other known ones always are."""

    def __init__(self, lesson: Lesson, budget: Budget) -> None:
        self._lesson = lesson
        self.documents = lesson.documents
        self._place, self._positive = batches(lesson, budget.steps, budget.batch_size, budget.seed)

    def __len__(self) -> int:
        return len(self._place)

    def __getitem__(self, step: int) -> Step:
        place, positive = self._place[step], self._positive[step]
        negative = self._lesson.negatives[place]
        weight = np.concatenate([np.ones((len(place), 1), np.float32), self._lesson.weights[place]], axis=1)
        group = np.concatenate([positive[:, None], negative], axis=1)
        shift = shifts(self._lesson.query[place], group, weight, self._lesson.known)
        bias = np.concatenate([shift[:, :, 0], shift[:, :, 1:].reshape(len(place), -1)], axis=1)
        document = np.concatenate([positive, np.maximum(negative, 0).ravel()])
        column = np.minimum(np.searchsorted(self.documents, document), len(self.documents) - 1)
        return Step(place.astype(np.int64), column, bias, self._distilled(place, positive, shift))

    def _distilled(self, place: Int32, positive: Int32, shift: Float32) -> Distilled | None:
        score = group_scores(self._lesson, place, positive)
        if score is None:
            return None
        row, width = np.arange(len(place))[:, None], score.shape[1] - 1
        column = np.concatenate([row, len(place) + row * width + np.arange(width)], axis=1)
        return Distilled(column, targets(score, shift[row[:, 0], row[:, 0]] > -np.inf))
