"""Which queries make a batch, and which of its positives each learns in it, whatever the negatives."""

from __future__ import annotations

import numpy as np

from hardneg.records import NO_DOC, Float64, Int32, Lesson


def batches(lesson: Lesson, steps: int, batch_size: int, seed: int) -> tuple[Int32, Int32]:
    """Places in `lesson.query` and the corpus row of the positive, int32 (steps, batch) each.

    Queries go round and round, each round in another order; those that fill no batch are left out of a round.
    No query is twice in a batch, so a lesson of fewer queries than `batch_size` has smaller batches. What is
    drawn for a query depends on the seed, the round and its row alone.
    """
    queries = len(lesson.query)
    size = min(batch_size, queries)
    a_round = queries // size
    count = (lesson.positives != NO_DOC).sum(axis=1)
    places, positives = [], []
    for number in range(-(-steps // a_round)):
        draw = _draws(seed, number, lesson.query)
        place = np.argsort(draw[:, 0], kind="stable")[: a_round * size]
        pick = (draw[place, 1] * count[place]).astype(np.int64)
        places.append(place.astype(np.int32).reshape(a_round, size))
        positives.append(lesson.positives[place, pick].reshape(a_round, size))
    return np.concatenate(places)[:steps], np.concatenate(positives)[:steps]


def _draws(seed: int, number: int, query: Int32) -> Float64:
    """float64 (queries, 2): two numbers in [0, 1) for each row."""
    draws = np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))
    return draws.random((int(query.max()) + 1, 2))[query]
