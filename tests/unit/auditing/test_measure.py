"""Sums, resampled queries and intervals, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.auditing import Sums, exact, resampled
from hardneg.auditing.measure import AT_ONCE, interval


def test_values_of_one_query_add_up() -> None:
    sums = Sums(points=2, queries=3)
    sums.add(1, np.array([0, 2, 2]), hidden=np.array([True, False, True]), chosen=1)
    sums.add(1, np.array([2]), hidden=np.array([1]), chosen=1)
    assert sums.of["hidden"].tolist() == [[0, 0, 0], [1, 0, 2]]
    assert sums.of["chosen"].tolist() == [[0, 0, 0], [1, 0, 3]]


def test_exact_values_sum_to_the_same_in_any_order() -> None:
    draws = np.random.default_rng(0)
    values = exact(draws.normal(0, 37, 20_000))
    sums = {draws.permutation(values).sum() for _ in range(20)} | {float(np.add.accumulate(values)[-1])}
    assert len(sums) == 1
    assert exact(np.array([0.1, np.nan, -3.0]))[0] == pytest.approx(0.1, abs=1e-8)
    assert exact(np.zeros(2)).tolist() == [0.0, 0.0]


def test_resampled_totals_are_those_of_a_plain_bootstrap() -> None:
    draws = np.random.default_rng(1)
    sums = {"hidden": draws.integers(0, 3, (2, 7)) * 1.0, "chosen": draws.integers(3, 5, (2, 7)) * 1.0}
    resamples = AT_ONCE + 7
    found = resampled(sums, seed=5, resamples=resamples)
    plain = np.random.Generator(np.random.Philox(key=5))
    picked = np.concatenate([plain.integers(0, 7, (AT_ONCE, 7)), plain.integers(0, 7, (7, 7))])
    shares = [[sums["hidden"][p].sum() / sums["chosen"][p].sum() for p in range(2)]]
    for queries in picked:
        shares.append(
            [
                sum(sums["hidden"][p][q] for q in queries) / sum(sums["chosen"][p][q] for q in queries)
                for p in range(2)
            ]
        )
    np.testing.assert_allclose(found.ratio("hidden", "chosen"), shares, rtol=1e-12)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draws, inside = np.random.default_rng(2), 0
    for trial in range(200):
        hidden = draws.binomial(4, 0.2, (1, 80)).astype(np.float64)
        found = interval(
            resampled({"h": hidden, "c": np.full((1, 80), 4.0)}, trial, 300).ratio("h", "c")[:, 0]
        )
        inside += found["low"] <= 0.2 <= found["high"]
    assert 0.88 <= inside / 200 <= 0.99


def test_an_interval_needs_values() -> None:
    assert interval(np.array([0.5, *[np.nan] * 20, *[0.4] * 80])) == {"share": 0.5, "low": None, "high": None}
    assert interval(np.array([np.nan, *[0.4] * 100])) == {"share": None, "low": 0.4, "high": 0.4}
    assert interval(np.array([0.5, *np.linspace(0, 1, 101)])) == {"share": 0.5, "low": 0.025, "high": 0.975}
