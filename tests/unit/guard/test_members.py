"""The matching kernel against plain loops, at every width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hardneg.guard.members import block_of, by_document, flags_by_document, is_in, matches
from hardneg.guard.portions import slices
from hardneg.records import NO_DOC, Int32, Pairs


def brute(values: Int32, wanted: Int32) -> list[list[bool]]:
    return [
        [value != -1 and value in row for value in line]
        for line, row in zip(values.tolist(), wanted.tolist(), strict=True)
    ]


@given(st.data())
def test_matches_is_membership_row_by_row(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 5))
    numbers = st.integers(-1, data.draw(st.sampled_from([4, 40, 2**31 - 1])))
    values = data.draw(st_numpy.arrays(np.int32, (rows, data.draw(st.integers(0, 6))), elements=numbers))
    wanted = data.draw(st_numpy.arrays(np.int32, (rows, data.draw(st.integers(0, 40))), elements=numbers))
    assert matches(values, wanted).tolist() == brute(values, wanted)


@pytest.mark.parametrize("width", [1, 16, 17, 400])
@pytest.mark.parametrize("limit", [50, 3_000, 2**31 - 1])
def test_matches_at_the_widths_where_its_ways_change(width: int, limit: int) -> None:
    rng = np.random.default_rng(width)
    wanted = rng.integers(0, limit, (30, width)).astype(np.int32)
    wanted[rng.random(wanted.shape) < 0.3] = NO_DOC
    wanted[3:20, 1:] = NO_DOC  # most rows want little
    values = rng.integers(0, limit, (30, 60)).astype(np.int32)
    values[:, ::5] = rng.choice(wanted.ravel(), (30, 12))
    values[:, ::7] = wanted[:, rng.integers(0, width, 9)]
    found = matches(values, wanted)
    assert found.tolist() == brute(values, wanted)
    assert found.any()


def test_many_wanted_are_searched_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values, wanted = rng.integers(0, 90, (40, 30), np.int32), rng.integers(0, 90, (40, 50), np.int32)
    whole = matches(values, wanted)
    monkeypatch.setattr("hardneg.guard.members._SEARCHED", 70)
    assert matches(values, wanted).tolist() == whole.tolist() == brute(values, wanted)


def test_places_without_a_document_have_nothing() -> None:
    doc = np.array([0, NO_DOC, 1])
    assert by_document(np.array([7, 8], np.int32))[doc].tolist() == [7, -1, 8]
    assert flags_by_document(np.array([True, True]))[doc].tolist() == [True, False, True]


def test_is_in() -> None:
    ordered = np.array([2, 4, 4, 9])
    assert is_in(np.array([[1, 2], [9, 10]]), ordered).tolist() == [[False, True], [True, False]]
    assert is_in(np.array([1]), ordered[:0]).tolist() == [False]


@given(st.lists(st.integers(0, 20)), st.integers(1, 30))
def test_slices_cover_everything_once_within_the_limit(cost: list[int], limit: int) -> None:
    parts = list(slices(np.array(cost, np.int64), limit))
    assert [place for part in parts for place in range(part.start, part.stop)] == list(range(len(cost)))
    assert all(sum(cost[part]) <= limit or part.stop - part.start == 1 for part in parts)


def test_a_block_of_any_pairs() -> None:
    positives = Pairs.from_rows(np.array([0, 1, 1], np.int32), np.array([5, 6, 7], np.int32), 2)
    block = block_of(np.array([1, 0, 1]), np.array([9, 8, 7]), positives)
    assert block.doc.tolist() == [[9], [8], [7]]
    assert block.positive.tolist() == [[6, 7], [5, NO_DOC], [6, 7]]
    assert block_of(np.array([0]), np.array([[1, 2]]), positives).doc.tolist() == [[1, 2]]
