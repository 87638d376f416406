"""What a trainer goes through, row by row: a query, the positive drawn for it, and so many negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Budget, Float32, Int32, Lesson
from hardneg.trialing.batches import batches, generator
from hardneg.trialing.distillation import group_scores

# Streams of a seed: below it are epochs (`batches`), from it on a query's own, by its row.
_FILLING = 1 << 32


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a training in its order; every `batch` of them are learned together.

    query   int32 (rows,): rows of the trial's queries
    doc     int32 (rows, 1 + negatives): corpus rows, the target first
    weight  float32 like doc: how much each counts; 1 for targets and for documents that fill up
    score   float32 like doc: a teacher's, NaN where it gave none; None where none teaches
    """

    query: Int32
    doc: Int32
    weight: Float32
    batch: int
    score: Float32 | None = None


def training_rows(lesson: Lesson, budget: Budget) -> TrainingRows:
    """`budget.steps` batches of a lesson, short queries filled up.

    Raises UsageError as `batches` and `filled` do.
    """
    places, positives = batches(lesson, budget.steps, budget.batch_size, budget.seed)
    place = places.ravel()
    negatives = filled(lesson, budget.seed)[place]
    weights = np.where(lesson.negatives == NO_DOC, np.float32(1), lesson.weights)[place]
    return TrainingRows(
        query=lesson.query[place],
        doc=np.concatenate([positives.reshape(-1, 1), negatives], axis=1),
        weight=np.concatenate([np.ones((len(place), 1), np.float32), weights], axis=1),
        batch=places.shape[1],
        score=group_scores(lesson, place, positives.ravel()),
    )


def filled(lesson: Lesson, seed: int) -> Int32:
    """The negatives, int32 (queries, negatives), with random documents of the lesson where there is none.

    None of those is known to answer the query; where there are enough others, none is there twice or among
    the query's own negatives. The same ones fill a query in every epoch; which, depends on the seed, the
    query's row and the lesson's documents alone.

    Raises UsageError where every document of the lesson answers a query that is short of negatives.
    """
    negatives = lesson.negatives.copy()
    documents = lesson.documents
    short = np.flatnonzero((negatives == NO_DOC).any(axis=1))
    known = lesson.known.padded(lesson.query[short])
    for place, answers in zip(short, known, strict=True):
        empty = negatives[place] == NO_DOC
        wrong = documents[~np.isin(documents, np.concatenate([answers, lesson.positives[place]]))]
        if len(wrong) == 0:
            raise UsageError(
                f"trial: query row {lesson.query[place]} has {(~empty).sum()} of {len(empty)} negatives, and "
                "every document of the lesson answers it; ask for fewer negatives"
            )
        others = wrong[~np.isin(wrong, negatives[place])]
        uniform = generator(seed, _FILLING + int(lesson.query[place])).random(len(wrong))
        if len(others) >= empty.sum():
            chosen = np.argsort(uniform[: len(others)], kind="stable")[: empty.sum()]
            negatives[place, empty] = others[chosen]
        else:
            negatives[place, empty] = np.resize(wrong[np.argsort(uniform, kind="stable")], empty.sum())
    return negatives
