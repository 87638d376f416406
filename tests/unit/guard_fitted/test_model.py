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
from hardneg.guard.fitted.model import (
    FOLDS,
    GIVEN,
    STRENGTH,
    Model,
    conformal_cut,
    fit_model,
    matching_shift,
    ratio_of,
)
from hardneg.guard.fitted.regression import Likelihood, Weights


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
    one.save(tmp_path / "model.npz", "mark")
    again = Model.load(tmp_path / "model.npz", "mark")
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


def test_no_cut_where_every_positive_may_pass() -> None:
    assert conformal_cut(np.arange(3.0), np.ones(3), 1.0) == np.inf


def test_an_estimate_by_hand() -> None:
    """400 of p = 0.2, a query each: only the draw of them is unknown; its deviation is √(0.2 × 0.8 / 400)."""
    found = contamination(np.full(400, 0.2), np.arange(400), 1.0)
    assert found is not None and (found.share, found.judged) == (pytest.approx(0.2), 400)
    deviation = np.sqrt(0.2 * 0.8 / 400)
    assert (0.2 - found.low) / deviation == pytest.approx(1.645, abs=0.3)
    assert (found.high - 0.2) / deviation == pytest.approx(1.645, abs=0.3)


def test_an_estimates_interval_is_over_queries() -> None:
    """One query of three that are surely positives to each of one that surely is none: queries are drawn."""
    chance, query = np.tile([1.0, 1.0, 1.0, 0.0], 100), np.repeat(np.arange(200), [3, 1] * 100)
    found = contamination(chance, query, 1.0)
    assert found is not None and (found.share, found.judged) == (3 / 4, 400)
    draws = np.random.default_rng(0).binomial(200, 0.5, 20_000)
    low, high = np.quantile(3 * draws / (3 * draws + 200 - draws), [0.05, 0.95])
    assert (found.low, found.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_an_estimate_is_as_wide_as_the_scale_is_unknown_and_stays_a_share() -> None:
    chance, query = np.full(400, 0.2), np.arange(400)
    known, unknown, hardly = (contamination(chance, query, spread) for spread in (1.0, 2.0, 9.0))
    assert known is not None and unknown is not None and hardly is not None
    assert (unknown.low, unknown.high) == (pytest.approx(known.low / 2), pytest.approx(known.high * 2))
    assert (unknown.share, hardly.high) == (known.share, 1.0)
    few = contamination(np.full(3, 0.01), np.arange(3), 1.0)
    assert few is not None and few.low == 0.0


def test_no_shift_makes_more_positives_than_there_are_candidates() -> None:
    # 0.999 of ten is the most: log-odds of 0.999 each.
    assert matching_shift(np.zeros(10), ratio=100.0, labels=5.0) == pytest.approx(np.log(999), abs=1e-6)


def test_mean_weights_are_those_of_all_folds() -> None:
    one = model(folds=3)
    wanted = np.mean([weights.weight for weights in one.folds], axis=0)
    assert one.mean_weights() == pytest.approx(dict(zip(COLUMNS, wanted.tolist(), strict=True)))


def labelled(per_query: list[int], seed: int = 7) -> tuple[Rows, np.ndarray]:
    """Rows of as many queries in turn in each fold, so many of twelve of each labelled; and the folds."""
    draws, count = np.random.default_rng(seed), len(per_query)
    query = np.repeat(np.arange(count), 12)
    label = np.concatenate([np.arange(12) < number for number in per_query]).astype(np.float64)
    values = (draws.normal(size=(len(query), len(COLUMNS))) + label[:, None]).astype(np.float32)
    rows = Rows(values, label, draws.integers(1, 4, len(query)).astype(np.float64), query)
    return rows, np.arange(count, dtype=np.int32) % FOLDS


def test_a_fold_is_what_the_rows_of_six_others_give_and_held_positives_are_weighed_by_query() -> None:
    rows, fold = labelled([1, 2, 3] * 2 * FOLDS)
    prior = start = model().folds[0]
    with ThreadPoolExecutor(1) as threads:
        folds, held = fit_model(rows, fold, prior, 3.0, start, threads)
    for number in range(FOLDS):
        away = np.array([(f - number) % FOLDS for f in fold.tolist()])[rows.query]
        seen = rows.of(away >= 4)
        wanted, _ = Likelihood(seen.values, seen.label, seen.share, COLUMNS).likeliest(
            prior=prior, strength=STRENGTH, ratio=3.0
        )
        assert folds[number].weight == pytest.approx(wanted.weight, abs=1e-3)
        part = rows.of((away >= 1) & (away <= 3) & (rows.label == 1))
        odds = folds[number].log_odds(part.values)
        weight = [1 / (part.query == q).sum() for q in part.query]
        assert list(zip(*held[number], strict=True)) == sorted(zip(odds, weight, strict=True))


def test_where_no_positive_is_left_out_for_a_fold_its_weights_are_those_believed_beforehand() -> None:
    rows, fold = labelled([2 if n % FOLDS in (1, 2, 3) else 0 for n in range(3 * FOLDS)])
    prior = model().folds[0]
    with ThreadPoolExecutor(1) as threads:
        folds, _ = fit_model(rows, fold, prior, 1.0, prior, threads)
    assert folds[0] is prior and folds[5] is not prior


def test_a_ratio_that_is_given_is_taken() -> None:
    rows, _ = labelled([1, 2, 3] * 10)
    prior = model().folds[0]
    ratio, spread, weights = ratio_of(rows, prior, 3.0)
    every = Likelihood(rows.values, rows.label, rows.share, COLUMNS)
    wanted, _ = every.likeliest(prior=prior, strength=STRENGTH, ratio=3.0)
    assert (ratio, spread) == (3.0, GIVEN) and GIVEN > 1
    assert weights.weight == pytest.approx(wanted.weight)
