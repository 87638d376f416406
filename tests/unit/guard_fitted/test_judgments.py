"""People's judgments and the guard's probabilities: what is off is set right, a few change little."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.guard.fitted.judgments import FLATTEST, calibrate, log_odds


def said_and_true(count: int, intercept: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities as said, and answers drawn from sigmoid(intercept + slope · log-odds)."""
    draws = np.random.default_rng(0)
    odds = draws.normal(-1, 1.5, count)
    true = draws.random(count) < 1 / (1 + np.exp(-(intercept + slope * odds)))
    return 1 / (1 + np.exp(-odds)), true


def test_it_finds_how_far_the_probabilities_are_off() -> None:
    chance, relevant = said_and_true(20_000, 0.8, 0.6)
    found = calibrate(chance, relevant, np.ones(20_000))
    assert found.intercept == pytest.approx(0.8, abs=0.06)
    assert found.slope == pytest.approx(0.6, abs=0.06)
    assert found.probability(chance).mean() == pytest.approx(relevant.mean(), abs=0.002)


def test_without_judgments_nothing_changes() -> None:
    found = calibrate(np.zeros(0), np.zeros(0, bool), np.zeros(0))
    assert (found.intercept, found.slope, found.judged) == (0.0, 1.0, 0)
    chance = np.array([0.001, 0.3, 0.9])
    assert found.probability(chance) == pytest.approx(chance)


def test_few_judgments_change_little_and_more_change_more() -> None:
    steps = [calibrate(np.full(n, 0.5), np.ones(n, bool), np.ones(n)).intercept for n in (1, 4, 40, 400)]
    assert 0 < steps[0] < 0.5
    assert steps == sorted(steps)
    # Of one judgment at p = 0.5 by hand: the maximum of log sigmoid(a) - a² / 2, where 1 - sigmoid(a) = a.
    assert steps[0] == pytest.approx(1 - 1 / (1 + np.exp(-steps[0])), abs=1e-6)


def test_the_scale_of_the_weights_does_not_matter() -> None:
    chance, relevant = said_and_true(100, 0.5, 1)
    weight = np.where(np.arange(100) < 50, 1.0, 20.0)
    one, two = calibrate(chance, relevant, weight), calibrate(chance, relevant, 7 * weight)
    assert (one.intercept, one.slope) == pytest.approx((two.intercept, two.slope))


def test_the_order_stays_even_where_judgments_contradict_it() -> None:
    chance, relevant = said_and_true(2000, 0, -2)
    found = calibrate(chance, relevant, np.ones(2000))
    assert found.slope == FLATTEST
    assert (np.diff(found.probability(np.linspace(0.01, 0.99, 50))) > 0).all()
    assert found.probability(chance).mean() == pytest.approx(relevant.mean(), abs=0.03)


def test_the_spread_shrinks_with_judgments() -> None:
    chance, relevant = said_and_true(5000, 0.3, 1)
    spreads = []
    for count in (0, 20, 200, 5000):
        found = calibrate(chance[:count], relevant[:count], np.ones(count))
        spreads.append(found.spread(found.probability(chance)))
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 1.1


def test_certain_probabilities_stay_finite() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    found = calibrate(np.array([0.0, 1.0, 1.0]), np.array([True, False, False]), np.ones(3))
    assert np.isfinite([found.intercept, found.slope]).all()
    assert np.isnan(found.probability(np.array([np.nan]))).all()
