"""People's judgments and the guard's probabilities: what is off is set right, a few change little."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.guard.fitted.judgments import Correction, calibrate, log_odds


def said_and_true(count: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities as said, and answers drawn from log-odds that are higher by the shift."""
    draws = np.random.default_rng(0)
    odds = draws.normal(-1, 1.5, count)
    true = draws.random(count) < 1 / (1 + np.exp(-(odds + shift)))
    return 1 / (1 + np.exp(-odds)), true


@pytest.mark.parametrize("shift", [-1.2, 0.0, 0.8])
def test_it_finds_how_far_the_probabilities_are_off(shift: float) -> None:
    chance, relevant = said_and_true(20_000, shift)
    found = calibrate(chance, relevant, np.ones(20_000))
    assert found.shift == pytest.approx(shift, abs=0.05)
    assert found.probability(chance).mean() == pytest.approx(relevant.mean(), abs=0.002)


def test_without_judgments_nothing_changes() -> None:
    found = calibrate(np.zeros(0), np.zeros(0, bool), np.zeros(0))
    assert (found.shift, found.judged) == (pytest.approx(0, abs=1e-12), 0)
    chance = np.array([0.001, 0.3, 0.9])
    assert found.probability(chance) == pytest.approx(chance)


def test_few_judgments_change_little_and_more_change_more() -> None:
    steps = [calibrate(np.full(n, 0.5), np.ones(n, bool), np.ones(n)).shift for n in (1, 4, 40, 400)]
    assert 0 < steps[0] < 0.5
    assert steps == sorted(steps)
    # Of one judgment at p = 0.5 by hand: the maximum of log sigmoid(a) - a² / 2, where 1 - sigmoid(a) = a.
    assert steps[0] == pytest.approx(1 - 1 / (1 + np.exp(-steps[0])), abs=1e-6)


def test_each_pair_counts_for_those_that_it_stands_for() -> None:
    """The risky half is as bad as the guard says, the rest twice as good: who stands for more decides."""
    chance = np.repeat([0.8, 0.2], 100)
    relevant = np.concatenate([np.arange(100) < 80, np.arange(100) < 5])
    even = calibrate(chance, relevant, np.ones(200)).shift
    weighted = calibrate(chance, relevant, np.repeat([1.0, 50.0], 100))
    assert weighted.shift < even < 0
    assert weighted.probability(np.array([0.2]))[0] == pytest.approx(0.05, abs=0.02)
    again = calibrate(chance, relevant, np.repeat([7.0, 350.0], 100))
    assert again.shift == pytest.approx(weighted.shift)


def test_the_spread_shrinks_with_judgments() -> None:
    chance, relevant = said_and_true(5000, 0.3)
    spreads = []
    for count in (0, 20, 200, 5000):
        found = calibrate(chance[:count], relevant[:count], np.ones(count))
        spreads.append(found.spread(found.probability(chance)))
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 1.1


def test_the_order_stays_and_certain_probabilities_are_finite() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    found = calibrate(np.array([0.0, 1.0, 1.0]), np.array([True, False, False]), np.ones(3))
    assert np.isfinite(found.shift)
    assert (np.diff(found.probability(np.linspace(0.01, 0.99, 50))) > 0).all()
    assert np.isnan(found.probability(np.array([np.nan]))).all()


def test_a_weighted_shift_and_its_deviation_by_hand() -> None:
    """Weights 1 and 3 are worth (1 + 3)² / (1 + 9) = 1.6 equal pairs, 0.4 and 1.2 of them."""
    found = calibrate(np.array([0.5, 0.2]), np.array([False, True]), np.array([1.0, 3.0]))
    one, other = 1 / (1 + np.exp(-found.shift)), 0.2 / (0.2 + 0.8 * np.exp(-found.shift))
    assert found.shift == pytest.approx(1.2 * (1 - other) - 0.4 * one, abs=1e-9)
    curvature = 0.4 * one * (1 - one) + 1.2 * other * (1 - other) + 1
    assert found.deviation == pytest.approx(1 / np.sqrt(curvature)) and found.judged == 2


def test_the_spread_by_hand() -> None:
    """Were the log-odds higher by 0.4, the mean would be by 0.4 Σ p (1 - p) / Σ p of itself."""
    found = Correction(0.0, 0.4, 9).spread(np.array([0.1, 0.2, 0.5]))
    assert found == pytest.approx(np.exp(1.645 * 0.4 * (0.1 * 0.9 + 0.2 * 0.8 + 0.5 * 0.5) / 0.8))
