"""Which queries make a batch, and which of its positives each learns in it: the same for every arm."""

from __future__ import annotations

import numpy as np

from hardneg.records import NO_DOC, Int32, Lesson


def batches(lesson: Lesson, steps: int, batch_size: int, seed: int) -> tuple[Int32, Int32]:
    n = len(lesson.query)
    size = min(batch_size, n)
    draws = np.random.Generator(np.random.Philox(key=seed))
    order = np.concatenate(
        [draws.permutation(n)[: n // size * size] for _ in range(-(-steps * size // (n // size * size)))]
    )
    place = order[: steps * size].reshape(steps, size).astype(np.int32)
    count = (lesson.positives != NO_DOC).sum(axis=1)
    pick = (draws.random(place.shape) * count[place]).astype(np.int64)
    return place, lesson.positives[place, pick]
