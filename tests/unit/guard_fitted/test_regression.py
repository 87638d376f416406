"""The regression: the likeliest weights, as scikit-learn finds them, and the pull of what is believed."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.guard.fitted.regression import SMALLEST, Likelihood, Weights


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    values = draws.normal(size=(count, 3)).astype(np.float32) * [1.0, 3.0, 0.5] + [0.0, 5.0, 0.0]
    odds = values[:, 0] * 2 - (values[:, 1] - 5) / 3 - 1
    label = (draws.random(count) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return values.astype(np.float32), label, draws.integers(1, 4, count).astype(np.float64)


def test_as_scikit_learn_finds_them() -> None:
    from sklearn.linear_model import LogisticRegression

    values, label, share = rows(4000)
    found, _ = Likelihood(values, label, share, "abc").likeliest(strength=2.0)
    scaled = (values - found.mean) / found.scale
    theirs = LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=1000).fit(scaled, label, sample_weight=share)
    assert found.weight == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert found.intercept == pytest.approx(theirs.intercept_[0], abs=1e-5)
    assert found.log_odds(values) == pytest.approx(theirs.decision_function(scaled), abs=1e-4)


def test_few_rows_stay_at_what_is_believed_and_many_leave_it() -> None:
    believed = Weights(("a", "b", "c"), np.zeros(3), np.ones(3), np.array([-1.0, 0.0, 0.5]), 0.0)
    few, _ = Likelihood(*rows(6), "abc").likeliest(prior=believed, strength=50.0)
    many, _ = Likelihood(*rows(20_000), "abc").likeliest(prior=believed, strength=50.0)
    assert few.weight / few.scale == pytest.approx(believed.weight, abs=0.3)
    assert many.weight / many.scale == pytest.approx([2.0, -1 / 3, 0.0], abs=0.1)


def test_it_ends_at_the_top_from_anywhere() -> None:
    values, label, share = rows(3000)
    far = Weights(("a", "b", "c"), np.zeros(3), np.ones(3) / 100, np.array([30.0, -30.0, 30.0]), 0.0)
    assert Likelihood(values, label, share, "abc").likeliest(prior=far, strength=1e-6)[
        0
    ].weight == pytest.approx(
        Likelihood(values, label, share, "abc").likeliest(strength=1e-6)[0].weight, abs=1e-4
    )


def test_a_column_that_never_changes_does_no_harm() -> None:
    values, label, share = rows(500)
    values[:, 2] = 7.0
    assert np.isfinite(Likelihood(values, label, share, "abc").likeliest()[0].log_odds(values)).all()


def test_stored_and_read_again() -> None:
    found = Likelihood(*rows(500), "abc").likeliest()[0]
    again = Weights.from_dict(found.as_dict())
    assert again.weight == pytest.approx(found.weight, rel=1e-5) and again.columns == ("a", "b", "c")


def test_no_shape_changes_a_bit() -> None:
    found = Likelihood(*rows(500), "abc").likeliest()[0]
    values = rows(60, seed=3)[0]
    assert (found.log_odds(values.reshape(4, 15, 3)).ravel() == found.log_odds(values)).all()
    assert found.log_odds(values[7]) == found.log_odds(values)[7]


def test_columns_are_standardised_as_the_rows_count() -> None:
    values = np.array([[1.0, 5.0], [2.0, 5.1], [4.0, 5.0]], np.float32)
    share = np.array([1.0, 1.0, 2.0])
    found, _ = Likelihood(values, np.array([0.0, 1.0, 0.0]), share, "ab").likeliest()
    mean = (1 + 2 + 2 * 4) / 4
    assert found.mean == pytest.approx([mean, (5 + 5.1 + 2 * 5) / 4])
    variance = ((1 - mean) ** 2 + (2 - mean) ** 2 + 2 * (4 - mean) ** 2) / 4
    assert found.scale == pytest.approx([np.sqrt(variance), SMALLEST])  # the other one hardly varies


def test_rows_are_added_up_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    every = Likelihood(*rows(500), "abc")
    whole, height = every.likeliest(ratio=1.0)
    monkeypatch.setattr("hardneg.guard.fitted.regression.CHUNK", 70)
    parts, as_high = every.likeliest(ratio=1.0)
    assert parts.weight == pytest.approx(whole.weight, abs=1e-9) and as_high == pytest.approx(height)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_start_far_off_leads_to_the_same_top(ratio: float) -> None:
    values, label, share = rows(800)
    every = Likelihood(values, label, share, "abc")
    far = Weights(("a", "b", "c"), np.zeros(3), np.ones(3), np.array([6.0, -6.0, 6.0]), 3.0)
    wanted, height = every.likeliest(ratio=ratio)
    found, as_high = every.likeliest(ratio=ratio, start=far)
    assert found.weight == pytest.approx(wanted.weight, abs=1e-2) and as_high == pytest.approx(height)
