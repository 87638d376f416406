"""How many positives have no label, found from simulated labels of which a known share is missing."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.guard.fitted.ratio import likeliest_ratio
from hardneg.guard.fitted.regression import Likelihood, Weights


def hidden(ratio: float, count: int = 40_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of two columns, whether they are labelled, and whether they are positives: of one labelled there
    are `ratio` that are not."""
    draws = np.random.default_rng(seed)
    values = draws.normal(size=(count, 2)).astype(np.float32)
    odds = 2.0 * values[:, 0] - 1.0 * values[:, 1] - 2.5
    positive = draws.random(count) < 1 / (1 + np.exp(-odds))
    labelled = positive & (draws.random(count) < 1 / (1 + ratio))
    return values, labelled.astype(np.float64), positive


def found(values: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    every = Likelihood(values, label, np.ones(len(label)), "ab")

    def fit(ratio: float, start: Weights | None) -> tuple[Weights, float]:
        return every.likeliest(ratio=ratio, start=start)

    return likeliest_ratio(fit)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_the_ratio_is_found_within_what_it_says(ratio: float) -> None:
    values, label, _ = hidden(ratio)
    said, spread = found(values, label)
    assert ratio / 1.25 < said < ratio * 1.25
    assert said / spread < ratio < said * spread and spread < 1.8


def test_complete_labels_leave_hardly_any() -> None:
    values, label, _ = hidden(0.0)
    said, _ = found(values, label)
    assert said < 0.12


def test_where_nothing_is_known_it_says_half_and_a_wide_interval() -> None:
    draws = np.random.default_rng(0)
    values = draws.normal(size=(60, 2)).astype(np.float32)
    said, spread = found(values, (draws.random(60) < 0.1).astype(np.float64))
    assert 0.4 < said < 2.5 and spread > 2.5


def test_with_the_ratio_the_probabilities_of_all_positives_are_right() -> None:
    values, label, positive = hidden(3.0)
    rows = Likelihood(values, label, np.ones(len(label)), "ab")
    weights, _ = rows.likeliest(ratio=3.0, strength=0.01)
    assert weights.weight / weights.scale == pytest.approx([2.0, -1.0], abs=0.15)
    # Odds of a label times the ratio are those of a positive without one.
    chance = 1 / (1 + np.exp(-weights.log_odds(values) - np.log(3.0)))
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0)):
        some = (chance >= low) & (chance < high) & (label == 0)
        assert positive[some].mean() == pytest.approx(chance[some].mean(), abs=0.04)
    # The usual regression, for which rows without a label are negatives, is too flat.
    flat, _ = rows.likeliest(strength=0.01)
    assert flat.weight[0] / flat.scale[0] < 1.7


def test_a_start_that_is_not_far_changes_nothing() -> None:
    values, label, _ = hidden(2.0, 5000)
    rows = Likelihood(values, label, np.ones(len(label)), "ab")
    near = Weights(("a", "b"), np.ones(2), np.full(2, 0.5), np.array([0.5, -0.1]), -1.0)
    one, height = rows.likeliest(ratio=2.0)
    other, as_high = rows.likeliest(ratio=2.0, start=near)
    assert other.weight == pytest.approx(one.weight, abs=1e-2) and as_high == pytest.approx(height, rel=1e-6)


@pytest.mark.parametrize(("centre", "deviation"), [(0.0, 0.3), (1.0, 0.5), (-1.5, 0.8), (0.7, 2.0)])
def test_what_is_said_by_hand(centre: float, deviation: float) -> None:
    """Heights of a normal distribution of the logarithm: two rows count as one, so half the precision; that
    of a mean of 0 and a deviation of 0.7 is added, and a variance of 0.25² that the model does not hold."""
    nothing = Weights((), np.zeros(0), np.ones(0), np.zeros(0), 0.0)

    def fit(ratio: float, _: Weights | None) -> tuple[Weights, float]:
        return nothing, -((np.log(ratio) - centre) ** 2) / (2 * deviation**2)

    said, spread = likeliest_ratio(fit)
    precision = 1 / (2 * deviation**2) + 1 / 0.7**2
    assert np.log(said) == pytest.approx(centre / (2 * deviation**2) / precision, abs=1e-3)
    assert np.log(spread) == pytest.approx(1.645 * np.sqrt(1 / precision + 0.25**2), rel=1e-3)


@pytest.mark.parametrize("slope", [3.0, -3.0])
def test_ratios_from_a_64th_to_64_are_looked_at(slope: float) -> None:
    asked = []

    def fit(ratio: float, _: Weights | None) -> tuple[Weights, float]:
        asked.append(ratio)
        return Weights((), np.zeros(0), np.ones(0), np.zeros(0), 0.0), slope * np.log(ratio)

    likeliest_ratio(fit)
    assert [min(asked), max(asked)] == pytest.approx([1 / 64, 64])
