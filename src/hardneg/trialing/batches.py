"""Which queries a student sees together, and with which of their positives: the same for every arm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Float64, Int32, Int64, Lesson

_WORD = (1 << 64) - 1


def batches(lesson: Lesson, steps: int, batch_size: int, seed: int) -> tuple[Int32, Int32]:
    """The queries of each batch, and the positive drawn for each.

    Gives int32 (steps, batch): places in `lesson.query`, no query twice in a batch; and int32 (steps, batch):
    corpus rows. The batch is `batch_size`, or as large as the number of queries where there are fewer.

    Each epoch is a random order of the queries cut into whole batches: the queries left over at its end are
    not seen in that epoch. Both draws of a query in an epoch, its key in the order and its positive, depend
    on the seed, the epoch and its row alone: not on the negatives, nor on which other queries there are.

    Raises UsageError where there is no query to learn from, or one without a positive.
    """
    count = (lesson.positives != NO_DOC).sum(axis=1)
    if len(count) == 0 or count.min() == 0:
        raise UsageError("trial: every query of a lesson needs a positive, and a lesson needs a query")
    size = min(batch_size, len(lesson.query))
    places = np.empty((steps, size), np.int32)
    positives = np.empty((steps, size), np.int32)
    for start, (order, pick) in zip(
        range(0, steps, len(count) // size), _epochs(lesson.query, count, seed), strict=False
    ):
        whole = min(len(count) // size, steps - start)
        chosen = order[: whole * size]
        drawn = lesson.positives[chosen, pick[chosen]]
        places[start : start + whole] = chosen.reshape(whole, size)
        positives[start : start + whole] = drawn.reshape(whole, size)
    return places, positives


def generator(seed: int, stream: int) -> np.random.Generator:
    """Random numbers of one stream of a seed; streams below 2³² are epochs."""
    key = np.array([seed & _WORD, stream & _WORD], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _epochs(query: Int32, count: Int64, seed: int) -> Iterator[tuple[Int64, Int64]]:
    """For each epoch the places of the queries in a random order, and which positive each draws."""
    for epoch in range(1 << 32):
        uniform = _by_row(seed, epoch, query)
        yield np.argsort(uniform[:, 0], kind="stable"), (uniform[:, 1] * count).astype(np.int64)


def _by_row(seed: int, epoch: int, query: Int32) -> Float64:
    """float64 (queries, 2) in [0, 1): numbers 2·row and 2·row + 1 of the epoch's stream for each query."""
    drawn: Float64 = generator(seed, epoch).random((int(query.max()) + 1, 2))[query]
    return drawn
