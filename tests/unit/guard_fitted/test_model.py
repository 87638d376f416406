"""Cuts, probabilities and what is kept of a model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardneg.guard.fitted.episodes import Rows
from hardneg.guard.fitted.estimate import contamination
from hardneg.guard.fitted.features import COLUMNS
from hardneg.guard.fitted.model import FOLDS, Model, conformal_cut, fit_model, matching_shift
from hardneg.guard.fitted.regression import Weights


def test_a_cut_by_hand() -> None:
    scores, weight = np.arange(1.0, 10.0), np.ones(9)
    # Of ten queries, the unseen one counted as passing, at 0.3 two seen ones may pass: 1 and 2, cut at 3.
    assert conformal_cut(scores, weight, 0.3) == 3.0
    assert conformal_cut(scores, weight, 0.1) == 1.0
    assert conformal_cut(scores, weight, 0.05) == -np.inf
    assert conformal_cut(scores, weight, 0.999) == 9.0


def test_a_query_counts_once_however_many_positives_it_has() -> None:
    scores, weight = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.25, 0.25, 0.25, 0.25, 1.0])
    assert conformal_cut(scores, weight, 0.5) == 3.0  # (1 + 0.25 + 0.25) / 3 may pass


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_the_rate_is_kept_on_average(rate: float) -> None:
    draws = np.random.default_rng(0)
    passed = []
    for _ in range(600):
        scores = np.sort(draws.normal(size=59))
        passed.append(draws.normal(size=50) < conformal_cut(scores, np.ones(59), rate))
    assert rate - 0.03 < np.mean(passed) <= rate + 0.005


def model(folds: int = 2) -> Model:
    draws = np.random.default_rng(1)
    count = len(COLUMNS)
    one = lambda: Weights(COLUMNS, draws.normal(size=count), np.ones(count), draws.normal(size=count), 0.5)  # noqa: E731
    held = tuple((np.sort(draws.normal(size=4)), np.ones(4)) for _ in range(folds))
    return Model(tuple(one() for _ in range(folds)), 0.75, 0.25, 2.0, 1.5, held)


def test_saved_and_loaded(tmp_path: Path) -> None:
    one = model()
    with (tmp_path / "model.npz").open("wb") as handle:
        one.save(handle)
    again = Model.load(tmp_path / "model.npz")
    values = np.random.default_rng(2).normal(size=(6, 3, len(COLUMNS))).astype(np.float32)
    fold = np.array([0, 1, 1, 0, 1, 0], np.int32)
    assert (again.log_odds(values, fold) == one.log_odds(values, fold)).all()
    assert (again.cuts(0.5) == one.cuts(0.5)).all()
    assert (again.slope, again.shift, again.ratio, again.spread) == (0.75, 0.25, 2.0, 1.5)


def test_each_query_is_judged_by_its_folds_weights() -> None:
    one = model()
    values = np.random.default_rng(2).normal(size=(2, 3, len(COLUMNS))).astype(np.float32)
    found = one.log_odds(values, np.array([1, 0], np.int32))
    assert (found[0] == one.folds[1].log_odds(values[0])).all()
    assert (found[1] == one.folds[0].log_odds(values[1])).all()


def test_no_fit_sees_its_own_fold_nor_its_calibration() -> None:
    draws = np.random.default_rng(4)
    query = np.repeat(np.arange(5 * FOLDS), 12)
    label = np.tile([1.0] + 11 * [0.0], 5 * FOLDS)
    values = (draws.normal(size=(len(query), len(COLUMNS))) + label[:, None]).astype(np.float32)
    rows, fold = Rows(values, label, np.ones(len(query)), query), np.arange(5 * FOLDS, dtype=np.int32) % FOLDS
    first = model().folds[0]

    def fitted(disturbed: list[int]) -> tuple[Weights, np.ndarray]:
        """Weights and calibration of fold 0 where the rows of some folds are others."""
        there = np.isin(fold[query], disturbed)
        other = np.where(there[:, None], -values[::-1], values)
        with ThreadPoolExecutor(1) as threads:
            folds, held = fit_model(replace(rows, values=other), fold, first, 1.0, first, threads)
        return folds[0], held[0][0]

    before, calibration = fitted([])
    assert len(calibration) == 15  # the held-out positives of three folds of five queries
    away, same = fitted([0, 1, 2, 3])
    assert (away.weight == before.weight).all() and (away.mean == before.mean).all()
    assert (fitted([0])[1] == calibration).all() and not (same == calibration).any()
    for other in range(4, FOLDS):
        weights, moved = fitted([other])
        assert (weights.weight != before.weight).any() and (moved != calibration).any()


def test_probabilities_rise_with_the_odds_and_add_up() -> None:
    odds = np.linspace(-8, 3, 500)
    shift = matching_shift(0.5 * odds, ratio=2.0, labels=30.0)
    chance = Model((), 0.5, shift, 2.0, 1.0, ()).probability(odds)
    assert (np.diff(chance) > 0).all() and chance[0] > 0 and chance[-1] < 1
    assert chance.sum() == pytest.approx(60.0, rel=1e-6)


def test_an_estimate_is_the_mean_and_its_interval_holds_the_truth() -> None:
    draws, inside = np.random.default_rng(3), 0
    for _ in range(100):
        chance = draws.beta(1, 9, 800)
        truth = (draws.random(800) < chance).mean()
        found = contamination(chance, np.repeat(np.arange(200), 4), 1.0)
        assert found is not None and found.share == pytest.approx(chance.mean())
        inside += found.low <= truth <= found.high
    assert inside >= 80
    assert contamination(np.zeros(0), np.zeros(0, np.int64), 1.0) is None
