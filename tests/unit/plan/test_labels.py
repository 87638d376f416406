"""The rate that judged rows of drawings measure, worked out by hand, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hardneg.errors import InputError
from hardneg.guard.fitted import Stratum, measured_rate
from hardneg.plan.labels import Judgments, measured
from hardneg.plan.labels import _weights as weights
from hardneg.records import NO_DOC, RELEVANCE_LABELS, Block, Pairs


def rows(stratum: str | None, size: int, drawn: int, answers: str, **other: Any) -> list[dict[str, Any]]:
    """A row for each answer, y or n, of a stratum of which so many were drawn."""
    facts = {"selection": "s", "selection_size": 100, "stratum": stratum, "stratum_size": size, **other}
    chance = drawn / size
    return [
        {"query_id": "q", "doc_id": f"{stratum}{n}", "relevant": answer == "y", **facts}
        | {"inclusion_probability": chance}
        for n, answer in enumerate(answers)
    ]


def table(*parts: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for part in parts for row in part], schema=RELEVANCE_LABELS)


def test_the_rate_by_hand() -> None:
    (found,) = measured(table(rows("riskiest", 4, 4, "yyyn"), rows("random", 96, 12, "ynnnnnnnnn")))
    assert found["share"] == pytest.approx((3 + 96 * 1 / 10) / 100)
    assert (found["negatives"], found["judged"]) == (100, 14)
    assert found["not_judged"] == 4 + 12 - 14
    wanted = measured_rate([Stratum(4, 4, 3), Stratum(96, 10, 1)])
    assert wanted is not None and (found["low"], found["high"]) == (wanted.low, wanted.high)


def test_no_rate_where_a_part_of_the_selection_was_not_judged() -> None:
    (found,) = measured(table(rows("riskiest", 4, 4, "yyyn")))
    assert found["share"] is None and found["message"].startswith("96 of its 100 negatives")


def test_each_selection_has_its_own() -> None:
    found = measured(
        table(
            rows("random", 100, 10, "y" + 9 * "n"),
            rows("random", 50, 5, "yynnn", selection="a", selection_size=50),
            rows(None, 1, 1, "yyy", selection=None),
        )
    )
    assert [(one["selection"], one["share"]) for one in found] == [
        ("a", pytest.approx(2 / 5)), ("s", pytest.approx(1 / 10)),
    ]  # fmt: skip


def test_what_cannot_be_one_drawing_is_refused() -> None:
    for wrong, text in (
        (table(rows("random", 100, 4, "y"), rows("random", 99, 4, "n")), "stratum_size is 99 and 100"),
        (table(rows("random", 100, 4, "y"), rows("random", 100, 5, "n")), "inclusion_probability is 0.04"),
        (table(rows("random", 120, 4, "y")), "fewer than"),
        (table(rows("random", 98, 1, "y"), rows("riskiest", 2, 2, "yyn")), "fewer than"),
    ):
        with pytest.raises(InputError, match=text):
            measured(wrong)


def test_a_pair_stands_for_as_many_as_any_drawing_says() -> None:
    chance = pa.chunked_array([pa.array([None, 0.5, 0.1, 1.0, None])])
    query, doc = np.array([0, 1, 1, 2, 2], np.int32), np.array([5, 3, 3, 1, 2], np.int32)
    read: Any = SimpleNamespace(table={"inclusion_probability": chance}, query=query, doc=doc)
    assert weights(read).tolist() == pytest.approx([1, 10, 1, 1])  # of the pairs in their order


def test_judged_positives_have_the_scores_that_they_have_as_candidates() -> None:
    """Documents 4 and 7 of query 0 and 9 of query 2 are judged positives; 7 is no candidate."""
    nothing: Any = None
    people = Judgments(
        read=nothing,
        known=Pairs.from_rows(np.array([0, 1, 2], np.int32), np.array([1, 1, 1], np.int32), 3),
        query=np.array([0, 0, 1, 2], np.int32),
        doc=np.array([4, 7, 5, 9], np.int32),
        relevant=np.array([True, True, False, True]),
        weight=np.ones(4),
        measured=[],
        found=list,
    )
    block = Block(
        query=np.array([2, 0, 1], np.int32),
        doc=np.array([[3, 9], [4, NO_DOC], [5, 8]], np.int32),
        ranks={},
        scores={"judge": np.array([[0.3, 0.9], [0.4, np.nan], [0.5, 0.8]], np.float32)},
        positive=np.array([[1], [1], [1]], np.int32),
        positive_scores={"judge": np.array([[0.7], [np.nan], [0.1]], np.float32)},
        p_false_negative=np.full((3, 2), np.nan, np.float32),
    )
    found = people.block(block)
    assert found.positive.tolist() == [[1, 9, NO_DOC], [1, 4, 7], [1, NO_DOC, NO_DOC]]
    wanted = [[0.7, 0.9, np.nan], [np.nan, 0.4, np.nan], [0.1, np.nan, np.nan]]
    np.testing.assert_array_equal(found.positive_scores["judge"], np.array(wanted, np.float32))
    pair, row, place = people.places(block)
    assert sorted(zip(pair.tolist(), row.tolist(), place.tolist(), strict=True)) == [
        (0, 1, 0), (2, 2, 0), (3, 0, 1),
    ]  # fmt: skip
