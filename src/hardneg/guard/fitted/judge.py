"""Learning from a run's labels, and judging its candidates by what was learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from hardneg.guard.fitted.episodes import MOST_EPISODES, Rows, training_rows
from hardneg.guard.fitted.features import Sight, features, only
from hardneg.guard.fitted.model import (
    ENOUGH,
    Model,
    bound_of_ratio,
    fit_model,
    matching_shift,
    out_of_fold,
)
from hardneg.guard.fitted.regression import Weights
from hardneg.records import Block, Bool, Float32, Float64, Int32

EPISODES = 6000
"""Of a fit, about: more make it slower and no better."""
AT_ONCE = 64
"""Queries whose features are worked out at once."""


@dataclass(frozen=True)
class Judge:
    """fold  int32 (queries of the run,): which queries are judged by which weights"""

    sight: Sight
    model: Model
    fold: Int32

    def log_odds(self, block: Block, candidate: Bool) -> Float64:
        """float64 (queries, width), NaN where `candidate` is false."""
        out = np.full(block.doc.shape, np.nan)
        for part in _parts(len(block.query)):
            one = only(block.rows(part), candidate[part])
            found = self.model.log_odds(features(one, self.sight), self.fold[one.query])
            out[part] = np.where(candidate[part], found, np.nan)
        return out


def prior_model(prior: Weights) -> Model:
    """The shipped weights alone. They were fitted on judged collections, so their odds stand as they are."""
    return Model((prior,), shift=0.0, ratio=1.0, spread=2.0, held=())


def learn(
    blocks: Iterable[tuple[Block, Bool]],
    sight: Sight,
    prior: Weights,
    fold: Int32,
    *,
    queries: int,
    must_fit: bool = False,
    completeness: float | None = None,
) -> Model:
    """The model of a run.

    blocks        blocks of queries with bool (queries, width): candidates that are asked about
    queries       how many queries the blocks hold, about
    must_fit      fit however few labels there are
    completeness  share of the positives among the candidates that are labelled; None: estimated

    Few labels: the shipped weights. More: weights pulled towards those, the less the more labels there are.
    """
    per_query = int(np.clip(EPISODES // max(queries, 1), 1, MOST_EPISODES))
    see: Callable[[Block], Float32] = lambda block: features(block, sight)  # noqa: E731
    rows_of, values_of, number_of, labels = [], [], [], 0.0
    for block, candidate in blocks:
        for part in _parts(len(block.query)):
            one, there = block.rows(part), candidate[part]
            rows = training_rows(one, there, per_query, see)
            rows_of.append(rows)
            several = (one.positive >= 0).sum(axis=1) >= 2
            values_of.append(see(only(one, there))[there & several[:, None]])
            number_of.append(np.repeat(one.query[several], there[several].sum(axis=1)))
            labels += float(rows.share[rows.label > 0].sum())
    if not rows_of:
        return prior_model(prior)
    rows = Rows.joined(rows_of)
    held = np.unique(rows.query[rows.label > 0])
    if not len(held) or (len(held) < ENOUGH and not must_fit):
        return prior_model(prior)
    folds, calibration = fit_model(rows, fold, prior)
    unlabelled = np.concatenate(values_of)
    of_fold = fold[np.concatenate(number_of)]
    odds = np.empty(len(unlabelled))
    for number, weights in enumerate(folds):
        odds[of_fold == number] = weights.log_odds(unlabelled[of_fold == number])
    if completeness is None:
        ratio, spread = bound_of_ratio(rows, out_of_fold(rows, fold, folds))
    else:
        ratio, spread = (1 - completeness) / completeness, 1.1
    return Model(folds, matching_shift(odds, ratio, labels), ratio, spread, calibration)


def _parts(count: int) -> list[slice]:
    return [slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE)]
