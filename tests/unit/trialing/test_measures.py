"""The measures, by hand and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hardneg.records import NO_DOC, Float32, Int32
from hardneg.trialing import MEASURES, Answers, measured
from hardneg.trialing.measures import MRR, NDCG, RECALL


def answers(*wanted: dict[int, float]) -> Answers:
    width = max(map(len, wanted))
    document = np.full((len(wanted), width), NO_DOC, np.int32)
    relevance = np.zeros((len(wanted), width), np.float32)
    for row, some in enumerate(wanted):
        document[row, : len(some)], relevance[row, : len(some)] = list(some), list(some.values())
    return Answers(np.arange(len(wanted), dtype=np.int32), document, relevance)


def of_one(ranked: list[int], wanted: dict[int, float]) -> dict[str, float]:
    found = measured(np.array([ranked], np.int32), answers(wanted))
    assert list(found) == list(MEASURES)
    return {name: float(value[0]) for name, value in found.items()}


def test_graded_answers_are_discounted_by_rank() -> None:
    # Document 7 (relevance 2) first, 3 (relevance 1) third, 5 (relevance 3) nowhere.
    found = of_one([7, 1, 3, 2], {3: 1, 5: 3, 7: 2})
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert found[NDCG] == pytest.approx((2 / math.log2(2) + 1 / math.log2(4)) / ideal, rel=1e-12)
    assert found[MRR] == 1
    assert found[RECALL] == pytest.approx(2 / 3)


def test_the_best_ranking_is_one_and_the_gain_is_linear() -> None:
    assert of_one([9, 4, 2], {2: 1, 4: 2, 9: 4}) == {NDCG: pytest.approx(1), MRR: 1, RECALL: 1}
    turned = (1 / math.log2(2) + 4 / math.log2(3)) / (4 / math.log2(2) + 1 / math.log2(3))
    assert of_one([2, 9], {2: 1, 9: 4})[NDCG] == pytest.approx(turned, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 10, 11, 100, 101])
def test_each_measure_ends_at_its_depth(rank: int) -> None:
    ranked = [doc for doc in range(1, 121) if doc != 50]
    ranked.insert(rank - 1, 50)
    found = of_one(ranked, {50: 1})
    assert found[NDCG] == pytest.approx(1 / math.log2(rank + 1) if rank <= 10 else 0)
    assert found[MRR] == pytest.approx(1 / rank if rank <= 10 else 0)
    assert found[RECALL] == (rank <= 100)


def test_the_ideal_ranking_holds_ten_and_recall_counts_all() -> None:
    found = of_one(list(range(10)), dict.fromkeys(range(12), 1.0))
    assert found == {NDCG: pytest.approx(1), MRR: 1, RECALL: pytest.approx(10 / 12)}


def test_nothing_found_is_zero_and_empty_places_are_no_document() -> None:
    assert of_one([1, 2], {0: 1}) == {NDCG: 0, MRR: 0, RECALL: 0}
    # Document 0 is an answer; NO_DOC is no document 0.
    assert of_one([NO_DOC, 1, NO_DOC], {0: 1}) == {NDCG: 0, MRR: 0, RECALL: 0}
    assert of_one([5, NO_DOC], {5: 1, 6: 1})[RECALL] == 1 / 2


def test_a_querys_answers_are_its_own() -> None:
    found = measured(np.array([[4, 3], [3, 4], [3, 4]], np.int32), answers({3: 1}, {4: 1, 9: 1}, {3: 1}))
    assert found[MRR].tolist() == [1 / 2, 1 / 2, 1]
    assert found[RECALL].tolist() == [1, 1 / 2, 1]


def plain(ranked: list[int], wanted: dict[int, float]) -> tuple[float, float, float]:
    gain = sum(wanted.get(doc, 0.0) / math.log2(place + 2) for place, doc in enumerate(ranked[:10]))
    best = sorted(wanted.values(), reverse=True)[:10]
    ideal = sum(value / math.log2(place + 2) for place, value in enumerate(best))
    first = [1 / (place + 1) for place, doc in enumerate(ranked[:10]) if doc in wanted]
    return gain / ideal, max(first, default=0.0), len(set(ranked[:100]) & set(wanted)) / len(wanted)


def test_many_queries_are_measured_as_one_by_one() -> None:
    draws = np.random.default_rng(3)
    ranked: Int32 = np.stack([draws.permutation(400)[:150] for _ in range(60)]).astype(np.int32)
    wanted = [
        {int(doc): float(draws.integers(1, 4)) for doc in draws.permutation(400)[: draws.integers(1, 25)]}
        for _ in range(60)
    ]
    found = measured(ranked, answers(*wanted))
    expected = [plain(row.tolist(), some) for row, some in zip(ranked, wanted, strict=True)]
    for name, values in zip((NDCG, MRR, RECALL), zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
        assert found[name].dtype == np.float64


def test_some_rows_of_the_answers() -> None:
    relevance: Float32 = np.array([[1, 2], [3, 0], [1, 0]], np.float32)
    every = Answers(np.array([5, 6, 9], np.int32), np.array([[0, 1], [2, -1], [3, -1]], np.int32), relevance)
    some = every.rows(np.array([True, False, True]))
    assert some.query.tolist() == [5, 9]
    assert some.document.tolist() == [[0, 1], [3, -1]] and some.relevance.tolist() == [[1, 2], [1, 0]]
