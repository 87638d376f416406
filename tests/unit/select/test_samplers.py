"""Each sampler against its formula, worked out here anew."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from hardneg.records import NO_DOC
from hardneg.select.draws import stream_keys, uniforms
from hardneg.select.samplers.diverse import marginal_order, scaled
from hardneg.select.samplers.stratified import Stratified, score_bands

SCORES = {0: 0.9, 1: 0.85, 2: 0.8, 3: 0.5}
TRIALS = 4000


def first_draws(select: SimpleNamespace, positive: float, **config: object) -> list[float]:
    """How often each document is drawn first, over queries with the same candidates."""
    found = select.choose(
        [{"dense": SCORES}] * TRIALS,
        [{9: positive}] * TRIALS,
        num_negatives=1,
        corpus=select.corpus(query_ids=[f"query {n}" for n in range(TRIALS)]),
        **config,
    )
    return (np.bincount(found.negatives.doc, minlength=4)[:4] / TRIALS).tolist()


def expected_share(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        ({"sampler": "random"}, [1.0] * 4),
        ({"sampler": "softmax", "temperature": 0.1}, [math.exp(s / 0.1) for s in SCORES.values()]),
        (
            {"sampler": "simans", "simans_a": 50.0, "simans_b": -0.05},
            [math.exp(-50.0 * (s - 0.8 + 0.05) ** 2) for s in SCORES.values()],
        ),
    ],
)
def test_first_draws_come_as_often_as_the_formula_says(
    select: SimpleNamespace, config: dict[str, object], weights: list[float]
) -> None:
    for share, wanted in zip(first_draws(select, 0.8, **config), expected_share(weights), strict=True):
        deviation = math.sqrt(wanted * (1 - wanted) / TRIALS)
        assert abs(share - wanted) < 5 * deviation


def test_the_second_draw_is_in_proportion_to_what_is_left(select: SimpleNamespace) -> None:
    found = select.choose(
        [{"dense": SCORES}] * TRIALS,
        [{9: 1.0}] * TRIALS,
        num_negatives=2,
        sampler="softmax",
        temperature=0.1,
        corpus=select.corpus(query_ids=[f"query {n}" for n in range(TRIALS)]),
    )
    pairs = found.negatives.doc.reshape(TRIALS, 2)
    weights = [math.exp(s / 0.1) for s in SCORES.values()]
    after_zero = pairs[pairs[:, 0] == 0][:, 1]
    wanted = weights[1] / sum(weights[1:])
    deviation = math.sqrt(wanted * (1 - wanted) / len(after_zero))
    assert abs((after_zero == 1).mean() - wanted) < 5 * deviation
    assert (pairs[:, 0] != pairs[:, 1]).all()


@pytest.mark.parametrize("sampler", ["softmax", "simans"])
def test_scores_of_any_size_are_drawn_from(select: SimpleNamespace, sampler: str) -> None:
    """exp(30000 / 0.05) overflows, exp(-1e9) is nothing; only differences may count."""
    scores = {0: 30000.0, 1: 29999.0, 2: 10.0, 3: -40000.0}
    found = select.choose([{"bm25": scores}], [{9: 29999.5}], sampler=sampler, num_negatives=4)
    assert sorted(select.chosen(found)) == [0, 1, 2, 3]
    assert select.chosen(found)[2:] == [2, 3]


def test_top_is_the_order_of_the_scores_that_are_named(select: SimpleNamespace) -> None:
    two = [{"dense": {0: 0.9, 1: 0.8, 2: 0.7}, "bm25": {2: 9.0, 1: 8.0, 5: 1.0}}]
    positive = [{9: 1.0}]
    assert select.chosen(select.choose(two, positive, num_negatives="all")) == [0, 1, 2, 5]  # block's order
    by_bm25 = select.choose(two, positive, num_negatives="all", order_by="bm25")
    assert select.chosen(by_bm25) == [2, 1, 5, 0]  # 0 has no such score: last
    both = select.choose(two, positive, num_negatives="all", score_by="bm25", order_by="dense")
    assert select.chosen(both) == [0, 1, 2, 5]


def test_ties_go_by_place(select: SimpleNamespace) -> None:
    found = select.choose(
        [{"dense": {4: 0.5, 2: 0.5, 3: 0.5}, "ce": {4: 1.0, 2: 2.0, 3: 2.0}}],
        [{9: 1.0}],
        scorers=["ce"],
        order_by="ce",
        num_negatives=3,
    )
    assert select.chosen(found) == [2, 3, 4]


def test_score_bands_are_of_equal_width() -> None:
    value = np.array([[8.0, 7.0, 6.0, 5.0, 4.0, 0.0]], np.float32)
    everything = np.ones(value.shape, np.bool_)
    # From 8 to 0 in four: above 6, above 4, above 2, the rest; 6 and 4 lie on cuts and belong below.
    assert score_bands(value, everything, 4).tolist() == [[0, 0, 1, 1, 2, 3]]
    inner = np.array([[False, True, True, True, True, False]])
    assert score_bands(value, inner, 3)[0, 1:5].tolist() == [0, 1, 2, 2]
    assert score_bands(np.full((1, 3), 2.0, np.float32), np.ones((1, 3), np.bool_), 4).tolist() == [[0, 0, 0]]


def test_stratified_takes_of_each_band_in_turn(select: SimpleNamespace) -> None:
    value = np.array([[10.0, 9.9, 9.8, 9.7, 5.0, 0.1, 0.0]], np.float32)
    uniform = uniforms(stream_keys(0, [(b"q",)]), 7)
    block, reference = None, None  # it looks at neither
    order = Stratified(4).order(block, value < 10, value, reference, uniform, 7)[0].tolist()  # type: ignore[arg-type]
    # Eligible from 9.9 to 0: cuts at 7.425, 4.95 and 2.475; 5.0 lies in the second band, the third is empty.
    top, middle, low = [1, 2, 3], [4], [5, 6]
    assert order[0] in top and order[1] in middle and order[2] in low
    assert order[3] in top and order[4] in low and order[5] in top and order[6] == NO_DOC
    by_draw = sorted(top, key=lambda place: uniform[0, place])
    assert [order[0], order[3], order[5]] == by_draw


class Stored:
    """Vectors of documents, as the store gives them."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors.astype(np.float32)
        self.shape = vectors.shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows]

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.vectors[start:stop]


def brute_force(relevance: list[float], vectors: np.ndarray, diversity: float, limit: int) -> list[int]:
    left, picked = list(range(len(relevance))), []
    while left and len(picked) < limit:

        def worth(place: int) -> float:
            if not picked:
                return relevance[place]
            nearest = max(float(vectors[place] @ vectors[other]) for other in picked)
            return (1 - diversity) * relevance[place] - diversity * nearest

        best = max(left, key=lambda place: (worth(place), -place))
        left.remove(best)
        picked.append(best)
    return picked


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
def test_diverse_is_maximal_marginal_relevance(diversity: float) -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(5, 12, 8))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    relevance = random.random((5, 12))
    eligible = np.ones((5, 12), np.bool_)
    found = marginal_order(relevance, vectors.astype(np.float32), eligible, diversity, 6)
    for row in range(5):
        assert found[row].tolist() == brute_force(relevance[row].tolist(), vectors[row], diversity, 6)


def test_diverse_skips_a_near_copy_of_the_first(select: SimpleNamespace) -> None:
    """0 and 1 point the same way. Scaled relevance: 1, 0.98, 0.5, 0; at diversity 0.5 document 1 is worth
    0.5 * 0.98 - 0.5 * 1 = -0.01, document 2 0.5 * 0.5 - 0.5 * 0 = 0.25, document 3 0 - 0 = 0."""
    vectors = np.zeros((100, 3))
    vectors[0], vectors[1], vectors[2], vectors[3] = [2, 0, 0], [5, 0, 0], [0, 1, 0], [0, 0, 1]
    found = select.choose(
        [{"dense": {0: 1.0, 1: 0.99, 2: 0.75, 3: 0.5}}],
        [{9: 1.0}],
        sampler="diverse",
        num_negatives=4,
        corpus=select.corpus(documents=Stored(vectors)),
    )
    assert select.chosen(found) == [0, 2, 3, 1]


def test_scaling_is_over_the_eligible_only() -> None:
    value = np.array([[9.0, 3.0, 2.0, 1.0]], np.float32)
    assert scaled(value, np.array([[False, True, True, True]]))[0, 1:].tolist() == [1.0, 0.5, 0.0]
    assert scaled(np.full((1, 2), 3.0, np.float32), np.ones((1, 2), np.bool_)).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("sampler", ["top", "random", "softmax", "simans", "stratified", "diverse"])
def test_no_sampler_takes_what_is_not_eligible_or_anything_twice(
    select: SimpleNamespace, sampler: str
) -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 4))
    scores = {doc: 1 - doc / 50 for doc in range(30)}
    found = select.choose(
        [{"dense": scores}] * 20,
        [{3: 0.94, 7: 0.86}] * 20,
        sampler=sampler,
        window="5:20",
        num_negatives=10,
        corpus=select.corpus(documents=Stored(vectors)),
    )
    for query in range(20):
        mine = select.chosen(found, query)
        assert len(set(mine)) == len(mine) == 10
        assert set(mine) <= set(range(5, 20)) - {7}
