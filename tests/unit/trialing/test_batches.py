"""Batches hold whole queries once, draw evenly, and depend on the seed and the query alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Int32, Lesson, Pairs
from hardneg.trialing.batches import batches, generator


def lesson_of(
    query: Sequence[int], positives: Sequence[Sequence[int]], negatives: Sequence[Sequence[int]] | None = None
) -> Lesson:
    rows = np.array(query, np.int32)
    chosen = _filled(negatives or [[]] * len(rows))
    known = Pairs(np.zeros(max([0, *query]) + 2, np.int64), np.zeros(0, np.int32))
    return Lesson(rows, _filled(positives), chosen, np.ones(chosen.shape, np.float32), known)


def _filled(rows: Sequence[Sequence[int]]) -> Int32:
    out = np.full((len(rows), max([0, *map(len, rows)])), NO_DOC, np.int32)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return out


def drawn_for(lesson: Lesson, steps: int, size: int, seed: int) -> list[list[tuple[int, int]]]:
    """By batch, in order: (query row, positive)."""
    places, positives = batches(lesson, steps, size, seed)
    return [
        [(int(row), int(positive)) for row, positive in zip(lesson.query[place], positive, strict=True)]
        for place, positive in zip(places, positives, strict=True)
    ]


TEN = lesson_of(range(10), [[query, 10 + query, 20 + query] for query in range(10)])


def test_a_batch_holds_no_query_twice_and_an_epoch_sees_each_at_most_once() -> None:
    places, _ = batches(TEN, 9, 3, seed=5)
    assert places.shape == (9, 3)
    assert places.dtype == np.int32
    for epoch in places.reshape(3, 9):  # three whole batches of three in ten queries
        assert len(set(epoch.tolist())) == 9
    assert len({tuple(epoch) for epoch in places.reshape(3, 9).tolist()}) == 3


def test_the_positive_is_one_of_the_querys_own_and_each_comes_as_often() -> None:
    uneven = lesson_of([4, 7], [[1, 2, 3], [9]])
    places, positives = batches(uneven, 3000, 2, seed=0)
    of_first = positives[places == 0]
    assert set(positives[places == 1].tolist()) == {9}
    assert np.bincount(of_first, minlength=4)[1:] == pytest.approx([1000, 1000, 1000], abs=100)


def test_every_order_of_three_queries_comes_as_often() -> None:
    places, _ = batches(lesson_of([0, 1, 2], [[0], [1], [2]]), 6000, 3, seed=0)
    _, times = np.unique(places, axis=0, return_counts=True)
    assert times == pytest.approx([1000] * 6, abs=120)


def test_fewer_queries_than_a_batch_make_a_batch_of_all() -> None:
    places, positives = batches(TEN, 4, 64, seed=0)
    assert places.shape == positives.shape == (4, 10)
    assert all(sorted(batch) == list(range(10)) for batch in places.tolist())


def test_negatives_change_no_batch() -> None:
    more = lesson_of(range(10), TEN.positives.tolist(), [[90, 91]] * 10)
    assert drawn_for(TEN, 9, 3, 5) == drawn_for(more, 9, 3, 5)


def test_fewer_steps_are_the_first_of_more() -> None:
    assert drawn_for(TEN, 4, 3, 5) == drawn_for(TEN, 9, 3, 5)[:4]


def test_without_a_query_the_others_keep_their_order_and_their_positives() -> None:
    kept = [query for query in range(10) if query != 6]
    without = lesson_of(kept, [TEN.positives[query].tolist() for query in kept])
    for epoch in range(3):
        of_all = drawn_for(TEN, epoch + 1, 10, 5)[epoch]
        assert drawn_for(without, epoch + 1, 9, 5)[epoch] == [pair for pair in of_all if pair[0] != 6]


def test_seeds_and_epochs_draw_apart() -> None:
    assert drawn_for(TEN, 3, 10, 5) != drawn_for(TEN, 3, 10, 6)
    first, second = (generator(0, stream).random(4).tolist() for stream in (0, 1))
    assert not set(first) & set(second)


def test_the_draws_are_the_streams_of_philox_read_by_row() -> None:
    """Worked out again: key (seed, epoch), numbers 2·row for the order and 2·row + 1 for the positive."""
    uniform = np.random.Generator(np.random.Philox(key=np.array([5, 0], np.uint64))).random(20)
    order = sorted(range(10), key=lambda row: uniform[2 * row])
    wanted = [(row, row + 10 * int(uniform[2 * row + 1] * 3)) for row in order]
    assert drawn_for(TEN, 1, 10, 5) == [wanted]


@pytest.mark.parametrize(
    "empty",
    [lesson_of([], []), lesson_of([0, 1], [[3], []])],
    ids=["no query", "a query without a positive"],
)
def test_nothing_to_learn_from_is_refused(empty: Lesson) -> None:
    with pytest.raises(UsageError, match="needs a positive"):
        batches(empty, 1, 2, 0)
