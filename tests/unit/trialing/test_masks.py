"""What is added to the logits of a batch, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardneg.records import NO_DOC, Float32, Pairs
from hardneg.trialing.masks import shifts

QUERY = np.array([7, 2, 5], np.int32)
DOC = np.array([[10, 20, 21], [11, 10, 22], [10, 23, 20]], np.int32)  # targets 10, 11, 10
ONES = np.ones(DOC.shape, np.float32)
GONE = -np.inf


def pairs(*known: tuple[int, int]) -> Pairs:
    array = np.array(known, np.int32).reshape(-1, 2)
    return Pairs.from_rows(array[:, 0], array[:, 1], 9)


def test_shifts_by_hand() -> None:
    weight = np.array([[1, 0.5, 1], [1, 1, 1], [1, 1, 0.25]], np.float32)
    known = pairs((7, 10), (2, 20), (2, 3), (5, 10), (5, 11), (6, 21), (7, 99))
    wanted = [
        [[0, np.log(0.5), 0], [0, GONE, 0], [GONE, 0, 0]],
        [[0, GONE, 0], [0, 0, 0], [0, 0, GONE]],
        [[GONE, 0, 0], [GONE, GONE, 0], [0, 0, np.log(0.25)]],
    ]
    found = shifts(QUERY, DOC, weight, known)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted)


def test_nothing_known_shifts_nothing() -> None:
    assert not shifts(QUERY, DOC, ONES, pairs()).any()


def test_where_there_is_no_document_nobody_sees_one() -> None:
    doc = np.where(DOC == 22, NO_DOC, DOC).astype(np.int32)
    found = shifts(QUERY, doc, ONES, pairs())
    assert (found[:, 1, 2] == GONE).all() and np.isfinite(np.delete(found.reshape(3, 9), 5, axis=1)).all()


def test_a_weight_of_nothing_is_as_if_the_negative_were_not_there() -> None:
    weight = np.array([[1, 0, 1]] * 3, np.float32)
    assert shifts(QUERY, DOC, weight, pairs())[0, 0, 1] == GONE


def test_each_query_has_the_same_shifts_in_whatever_batch_it_comes() -> None:
    weight = np.array([[1, 0.5, 1], [1, 0.75, 1], [1, 1, 0.25]], np.float32)
    known = pairs((7, 10), (7, 23), (2, 20), (5, 11))
    whole = shifts(QUERY, DOC, weight, known)
    order: Any = np.array([2, 0])
    part: Float32 = shifts(QUERY[order], DOC[order], weight[order], known)
    np.testing.assert_array_equal(part, whole[np.ix_(order, order)])
