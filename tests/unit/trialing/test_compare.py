"""Which arms can be told apart: by hand, against plain loops, and how often chance alone calls one better."""

from __future__ import annotations

import importlib
import math
from itertools import permutations

import numpy as np
import pytest

from hardneg.records import Float64
from hardneg.trialing import FEWEST_QUERIES, Comparison, compare

# The package exports the function of that name.
MODULE = importlib.import_module("hardneg.trialing.compare")


def noise(seed: int, arms: int, seeds: int, queries: int) -> Float64:
    """Arms that are equal but for chance: hard and easy queries, and what an arm makes of each."""
    draws = np.random.default_rng(seed)
    hard = draws.normal(size=(1, 1, queries))
    of_arm = draws.normal(0, 1, (arms, 1, queries))
    return hard + of_arm + draws.normal(0, 0.2, (arms, seeds, queries))


def test_equal_arms_differ_by_nothing() -> None:
    values = np.random.default_rng(0).random((1, 3, 200)).repeat(4, axis=0)
    found = compare(values, seed=0)
    every = found.among(range(4))
    for one, other in permutations(range(4), 2):
        assert every.difference(one, other) == {"difference": 0, "low": 0, "high": 0}
        assert not every.better(one, other)
        assert every.queries_needed(one, other) is None
    assert every.group(range(4)) == [0, 1, 2, 3]


def test_an_arm_twice_changes_no_bound() -> None:
    values = np.random.default_rng(1).random((2, 3, 200))
    twice = values[[0, 0, 0, 1, 1]]
    assert compare(twice, 0).among(range(5)).bound == pytest.approx(compare(values, 0).among([0, 1]).bound)


def test_a_shift_is_found() -> None:
    values = np.random.default_rng(2).random((3, 3, 100))
    values[1] = values[0] + 0.01  # always better, by little
    values[2] = values[0] - 0.02
    found = compare(values, seed=0)
    every = found.among([0, 1, 2])
    assert every.difference(1, 0)["difference"] == pytest.approx(0.01)
    assert every.better(1, 0) and every.better(1, 2) and every.better(0, 2)
    assert not every.better(0, 1) and not every.better(2, 0)
    assert every.group([0, 1, 2]) == [1] and every.group([2, 0]) == [0]
    assert every.told_apart([0, 1, 2]) == [(0, 2), (1, 0), (1, 2)]
    assert found.against(0).better(1, 0) and found.against(0).better(0, 2)


def test_a_shift_in_noise_is_found_when_it_is_large_enough() -> None:
    values = noise(3, 3, 3, 400)
    values[1] += 0.5  # the standard error of a difference is about √(2 / 400) = 0.07
    every = compare(values, seed=0).among(range(3))
    assert every.group(range(3)) == [1]
    low, high = (every.difference(1, 0)[key] for key in ("low", "high"))
    assert 0 < low < 0.5 < high < 1


NORMAL = 1.959964
STUDENT = {1: 0.0, 2: 12.706205, 3: 4.302653, 5: 2.776445}
"""Quantiles at 0.975, of seeds - 1 degrees of freedom; from a table."""


def test_resamples_are_weighted_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "RESAMPLES", 4)
    monkeypatch.setattr(MODULE, "AT_ONCE", 2)
    arms, seeds, queries = 2, 3, 5
    values = np.random.default_rng(4).random((arms, seeds, queries))
    found = compare(values, seed=9)
    draws = np.random.Generator(np.random.Philox(key=9))
    expected = []
    for _ in range(2):
        by_query = draws.multinomial(queries, [1 / queries] * queries, 2)
        by_seed = draws.multinomial(seeds, [1 / seeds] * seeds, 2)
        for of_queries, of_seeds in zip(by_query, by_seed, strict=True):
            added = []
            for value in values:
                mean = sum(value[s, q] for s in range(seeds) for q in range(queries)) / 15
                drawn = sum(of_queries[q] * value[s, q] for s in range(seeds) for q in range(queries)) / 15
                other = sum(of_seeds[s] * value[s, q] for s in range(seeds) for q in range(queries)) / 15
                added.append(drawn - mean + math.sqrt(3 / 2) * STUDENT[3] / NORMAL * (other - mean))
            expected.append(added)
    np.testing.assert_allclose(found.drawn, expected, atol=1e-6)
    np.testing.assert_allclose(found.mean, values.mean(axis=(1, 2)))
    spread = np.std([one - other for one, other in expected])
    np.testing.assert_allclose(found.error, [[0, spread], [spread, 0]], atol=1e-6)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_errors_are_those_of_queries_and_seeds_together(seeds: int) -> None:
    draws = np.random.default_rng(5)
    values = draws.normal(size=(2, 1, 80)) + draws.normal(0, 0.2, (2, seeds, 1)) * np.ones((1, 1, 80))
    difference = values[0] - values[1]
    of_queries = np.var(difference.mean(axis=0)) / 80
    of_seeds = np.var(difference.mean(axis=1), ddof=1) / seeds if seeds > 1 else 0
    of_seeds *= (STUDENT[seeds] / NORMAL) ** 2
    assert compare(values, 0).error[0, 1] == pytest.approx(np.sqrt(of_queries + of_seeds), rel=0.06)


def test_intervals_and_bounds_by_hand() -> None:
    # Drawn differences 0, 1, ..., 100 less 50; the second arm stands still.
    drawn = np.zeros((101, 2))
    drawn[:, 0] = np.arange(101) - 50
    error = np.array([[0, 10.0], [10.0, 0]])
    found = Comparison(np.array([60.0, 10.0]), drawn, error, np.zeros((2, 2)), queries=80)
    assert found.interval(0) == pytest.approx((60 - 47.5, 60 + 47.5))
    assert found.interval(1) == (10, 10)
    contrast = found.among([0, 1])
    # |difference| is 0 once and 1 to 50 twice each: of 101 values the one at place 95 from 0 is 48.
    assert contrast.bound == pytest.approx(48 / 10)
    assert contrast.difference(0, 1) == pytest.approx({"difference": 50, "low": 2, "high": 98})
    assert contrast.difference(1, 0) == pytest.approx({"difference": -50, "low": -98, "high": -2})
    assert contrast.better(0, 1) and not contrast.better(1, 0)
    assert contrast.queries_needed(0, 1) == math.ceil(80 * (48 / 50) ** 2)
    assert contrast.queries_needed(1, 0) == contrast.queries_needed(0, 1)


@pytest.mark.parametrize(
    ("luck", "queries", "needed"),
    [
        # The bound is 4.8 errors of 10: a difference of 50 must be 4.8 errors. Of the squared error of 100,
        # 36 are luck, which no query makes less: 80 * 64 / ((50 / 4.8) ** 2 - 36).
        (6.0, 80, math.ceil(80 * 64 / ((50 / 4.8) ** 2 - 36))),
        (10.0, 80, 20),  # all of it is luck, and little enough
        (10.5, 80, None),  # luck alone is more than the difference allows
        (0.0, 19, None),  # nobody can tell by so few
    ],
)
def test_queries_do_not_lessen_the_luck_of_training(luck: float, queries: int, needed: int | None) -> None:
    drawn = np.zeros((101, 2))
    drawn[:, 0] = np.arange(101) - 50
    off = np.array([[0, 1.0], [1.0, 0]])
    found = Comparison(np.array([60.0, 10.0]), drawn, 10 * off, luck * off, queries)
    assert found.among([0, 1]).queries_needed(0, 1) == needed


def test_luck_is_the_part_of_the_error_that_is_the_seeds() -> None:
    draws = np.random.default_rng(5)
    of_seed = draws.normal(0, 0.2, (2, 5, 1))
    alike = of_seed * np.ones((1, 1, 80))
    found = compare(alike, 0)
    assert found.luck[0, 1] == pytest.approx(found.error[0, 1], rel=1e-9) and found.luck[0, 1] > 0
    found = compare(draws.normal(size=(2, 1, 80)) * np.ones((1, 5, 1)), 0)
    assert found.luck[0, 1] == pytest.approx(0, abs=1e-12) and found.error[0, 1] > 0


def test_as_many_queries_as_are_needed_are_enough() -> None:
    values = noise(6, 2, 3, 60)
    values[1] += 0.1
    contrast = compare(values, 0).among([0, 1])
    needed = contrast.queries_needed(1, 0)
    assert needed is not None and (needed > 60) == (not contrast.better(1, 0) and not contrast.better(0, 1))
    # The same queries again and again: the difference stays, the error falls.
    more = np.tile(values, (1, 1, math.ceil(2 * needed / 60)))
    best, other = (1, 0) if contrast.of.mean[1] > contrast.of.mean[0] else (0, 1)
    assert compare(more, 0).among([0, 1]).better(best, other)


def test_the_more_are_compared_the_more_is_asked() -> None:
    found = compare(noise(7, 8, 3, 150), seed=1)
    planned, every = found.among([0, 1]).bound, found.among(range(8)).bound
    assert 1.8 < planned < 2.2 < found.against(0).bound < every
    for size in range(2, 9):
        assert found.among(range(size)).bound >= found.among(range(size - 1)).bound
    assert found.against(0).bound >= max(found.among([0, arm]).bound for arm in range(1, 8))
    assert found.among([3]).bound == found.among([]).bound == 0
    assert found.among([3]).group([3]) == [3] and found.among([]).group([]) == []
    assert compare(noise(7, 1, 3, 50), 0).against(0).bound == 0


def test_chance_alone_seldom_calls_an_arm_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "RESAMPLES", 300)
    repeats, among, planned = 200, 0, 0
    for repeat in range(repeats):
        found = compare(noise(repeat, 3, 3, 200), seed=repeat)
        every, control = found.among(range(3)), found.against(0)
        among += len(every.group(range(3))) < 3
        planned += any(control.better(arm, 0) or control.better(0, arm) for arm in (1, 2))
    # One of twenty: a binomial count of 200 is at most 16 in 97 of 100, and at least 4 in 99 of 100.
    assert 4 <= among <= 16 and 4 <= planned <= 16


@pytest.mark.parametrize("luck", [0.05, 0.2])
def test_the_luck_of_few_trainings_seldom_calls_an_arm_better(
    luck: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two arms that differ by what a seed did to each as a whole: as large as queries' spread, and larger."""
    monkeypatch.setattr(MODULE, "RESAMPLES", 300)
    called = 0
    for repeat in range(200):
        draws = np.random.default_rng(repeat)
        values = draws.normal(size=(2, 1, 200)) + draws.normal(0, luck, (2, 3, 1))
        called += len(compare(values, repeat).among([0, 1]).group([0, 1])) < 2
    assert called <= 20


@pytest.mark.parametrize("queries", [1, FEWEST_QUERIES - 1, FEWEST_QUERIES])
def test_with_few_queries_nothing_is_better(queries: int) -> None:
    values = np.random.default_rng(8).random((2, 3, queries))
    values[1] += 5
    contrast = compare(values, 0).among([0, 1])
    assert contrast.better(1, 0) == (queries == FEWEST_QUERIES == 20)
    assert contrast.group([0, 1]) == ([1] if queries == 20 else [1, 0])


def test_one_seed_is_enough() -> None:
    values = noise(9, 2, 1, 100)
    values[0] += 2
    contrast = compare(values, 0).among([0, 1])
    assert np.isfinite(contrast.of.drawn).all() and contrast.of.queries == 100
    assert contrast.better(0, 1)


def test_the_group_is_ordered_by_its_means_then_by_place() -> None:
    found = Comparison(
        np.array([1.0, 3.0, 3.0, 2.0]), np.zeros((5, 4)), np.ones((4, 4)), np.zeros((4, 4)), 50
    )
    assert found.among(range(4)).group([3, 2, 1, 0]) == [1, 2]
    few = Comparison(found.mean, found.drawn, found.error, found.luck, queries=5)
    assert few.among(range(4)).group([3, 2, 1, 0]) == [1, 2, 3, 0]


def test_the_same_seed_gives_the_same() -> None:
    values = noise(10, 3, 3, 60)
    one, other, third = compare(values, 4), compare(values, 4), compare(values, 5)
    assert one.drawn.tobytes() == other.drawn.tobytes() != third.drawn.tobytes()
    assert one.drawn.shape == (2000, 3)
