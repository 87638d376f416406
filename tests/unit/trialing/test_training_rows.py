"""Rows are rectangular, and what fills them up answers nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Budget, Lesson
from hardneg.trialing.batches import batches
from hardneg.trialing.training_rows import filled, training_rows

LessonMaker = Callable[..., Lesson]
BUDGET = Budget(steps=6, batch_size=2, learning_rate=0.1, temperature=0.1, seed=3)


@pytest.fixture
def ragged(lesson_of: LessonMaker) -> Lesson:
    """Four queries; query 0 is short of two negatives, 1 of one, 3 of all three."""
    return lesson_of(
        range(4),
        [[10], [11, 12], [13], [14]],
        [[20], [21, 22], [23, 24, 25], []],
        known=[(0, 10), (0, 11), (1, 11), (1, 12), (1, 25), (2, 13), (3, 14), (3, 20), (3, 21)],
    )


def test_a_row_is_the_query_the_positive_drawn_and_its_negatives(ragged: Lesson) -> None:
    rows = training_rows(ragged, BUDGET)
    places, positives = batches(ragged, 6, 2, 3)
    assert rows.batch == 2
    assert rows.query.tolist() == ragged.query[places.ravel()].tolist()
    assert rows.doc[:, 0].tolist() == positives.ravel().tolist()
    assert rows.doc[rows.query == 2][0].tolist()[1:] == [23, 24, 25]


def test_without_negatives_a_row_is_a_pair(lesson_of: LessonMaker) -> None:
    rows = training_rows(lesson_of([0, 1], [[5], [6]]), BUDGET)
    assert rows.doc.shape == rows.weight.shape == (12, 1)
    assert rows.doc[:, 0].tolist() == [5 + query for query in rows.query.tolist()]


def test_what_fills_up_is_in_the_lesson_and_answers_nobody_nor_is_it_there_already(ragged: Lesson) -> None:
    allowed = {
        0: {*range(12, 15), *range(21, 26)},  # not its positive 10, the known 11, nor its own 20
        1: {10, 13, 14, 20, 23, 24},  # not 25, which is known
        3: {*range(10, 14), *range(22, 26)},  # not 20 and 21
    }
    seen: dict[int, set[int]] = {0: set(), 1: set(), 3: set()}
    for seed in range(200):
        negatives = filled(ragged, seed)
        assert negatives[ragged.negatives != NO_DOC].tolist() == [20, 21, 22, 23, 24, 25]
        for query, found in seen.items():
            new = negatives[query][ragged.negatives[query] == NO_DOC].tolist()
            assert len(set(new)) == len(new)
            found.update(new)
    assert seen == allowed


def test_the_lesson_keeps_its_gaps(ragged: Lesson) -> None:
    filled(ragged, 0)
    assert ragged.negatives[3].tolist() == [NO_DOC] * 3


def test_what_fills_a_query_hangs_on_its_row_and_the_documents_not_on_other_queries(
    lesson_of: LessonMaker,
) -> None:
    one = lesson_of([4, 6], [[10], [11]], [[20], [21, 22, 23, 24]])
    other = lesson_of([3, 4, 5], [[24], [10], [11]], [[22], [20], [21, 22, 23, 24]])
    assert filled(one, 7)[0].tolist() == filled(other, 7)[1].tolist()


def test_seeds_and_queries_are_filled_apart(lesson_of: LessonMaker) -> None:
    many = lesson_of([0, 1, 2], [[0], [1], [2]], [[], [], list(range(10, 40))])
    first, second = filled(many, 0), filled(many, 1)
    assert first[0].tolist() != second[0].tolist()
    assert first[0].tolist() != first[1].tolist()
    assert filled(many, 0).tolist() == first.tolist()


def test_where_there_are_too_few_others_a_querys_own_come_again(lesson_of: LessonMaker) -> None:
    small = lesson_of([0, 1], [[5], [5]], [[6], [7, 8, 9]], known=[(0, 7), (0, 8)])
    assert set(filled(small, 0)[0].tolist()) == {6, 9}


def test_a_lesson_of_nothing_but_answers_is_refused(lesson_of: LessonMaker) -> None:
    hopeless = lesson_of([0, 1], [[5], [6]], [[], [5]], known=[(0, 6)])
    with pytest.raises(UsageError, match="query row 0 has 0 of 1 negatives"):
        filled(hopeless, 0)


def test_weights_are_the_negatives_own_and_one_elsewhere(ragged: Lesson) -> None:
    weights = np.full(ragged.negatives.shape, np.nan, np.float32)
    weights[ragged.negatives != NO_DOC] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    rows = training_rows(replace(ragged, weights=weights), BUDGET)
    by_query = {int(query): weight for query, weight in zip(rows.query, rows.weight, strict=True)}
    assert by_query[0] == pytest.approx([1, 0.1, 1, 1])
    assert by_query[1] == pytest.approx([1, 0.2, 0.3, 1])
    assert by_query[2] == pytest.approx([1, 0.4, 0.5, 0.6])
    assert rows.weight.dtype == np.float32
