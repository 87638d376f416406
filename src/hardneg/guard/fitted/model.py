"""The guard's model of a run: weights a fold, the run's calibration, and what cuts it off."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardneg.files import read_arrays, write_arrays
from hardneg.guard.fitted.episodes import Rows
from hardneg.guard.fitted.features import COLUMNS
from hardneg.guard.fitted.ratio import likeliest_ratio
from hardneg.guard.fitted.regression import Likelihood, Weights
from hardneg.records import Float32, Float64, Int32

FOLDS = 10
CALIBRATING = 3
"""Folds after a query's own that its cut is calibrated on; the other six are fitted on."""
STRENGTH = 5.0
SLOPE = 0.85
"""A fit is surer of itself than it should be: on judged collections so much of its log-odds is right."""
GIVEN = 1.1
"""Factor that a ratio is known to where the user gives it."""
ENOUGH = 20
"""Queries with several positives, one of them found, from which on a run is fitted."""


@dataclass(frozen=True)
class Model:
    """How likely a candidate is a positive.

    folds     weights for the queries of each fold; one alone serves all (the prior)
    slope     of the log-odds of a probability over those of the weights
    shift     of the same: so that candidates' probabilities add up to what the labels say
    ratio     unlabelled positives among the candidates for each known one there
    spread    of the ratio, as a factor: it may well be ratio / spread or ratio × spread
    held      for each fold log-odds of its calibration's held-out positives, ascending, and their weights
    """

    folds: tuple[Weights, ...]
    slope: float
    shift: float
    ratio: float
    spread: float
    held: tuple[tuple[Float64, Float64], ...]

    @property
    def fitted(self) -> bool:
        return len(self.folds) > 1

    def save(self, path: Path, mark: str) -> None:
        """As arrays (npz), whole or not at all; `mark` says of what it is."""
        arrays = {
            f"{name}-{number}": getattr(weights, name)
            for number, weights in enumerate(self.folds)
            for name in ("mean", "scale", "weight")
        }
        arrays |= {f"held-{number}": np.stack(pair) for number, pair in enumerate(self.held)}
        arrays["intercepts"] = np.array([weights.intercept for weights in self.folds])
        write_arrays(
            path, mark, numbers=np.array([self.slope, self.shift, self.ratio, self.spread]), **arrays
        )

    @classmethod
    def load(cls, path: Path, mark: str) -> Model:
        """Raises DamagedError where the file is not as it was saved."""
        stored = read_arrays(path, mark)
        folds = tuple(
            Weights(
                COLUMNS,
                stored[f"mean-{number}"],
                stored[f"scale-{number}"],
                stored[f"weight-{number}"],
                float(intercept),
            )
            for number, intercept in enumerate(stored["intercepts"])
        )
        names = [f"held-{number}" for number in range(len(folds)) if f"held-{number}" in stored]
        held = tuple((stored[name][0], stored[name][1]) for name in names)
        slope, shift, ratio, spread = stored["numbers"].tolist()
        return cls(folds, slope, shift, ratio, spread, held)

    def mean_weights(self) -> dict[str, float]:
        """What a column counts, in log-odds for one standard deviation of it; the mean over folds."""
        mean = np.mean([weights.weight for weights in self.folds], axis=0)
        return dict(zip(COLUMNS, mean.tolist(), strict=True))

    def log_odds(self, values: Float32, fold: Int32) -> Float64:
        """float32 (queries, width, columns), int32 (queries,) → float64 (queries, width)."""
        if not self.fitted:
            return self.folds[0].log_odds(values)
        out = np.empty(values.shape[:-1], np.float64)
        for number in np.unique(fold).tolist():
            rows = fold == number
            out[rows] = self.folds[number].log_odds(values[rows])
        return out

    def probability(self, log_odds: Float64) -> Float64:
        """Of being a positive, for log-odds of the weights."""
        return chances(self.slope * log_odds + self.shift)

    def cuts(self, rate: float) -> Float64:
        """For each fold the log-odds from which candidates are dropped, so that on average at most this share
        of the positives passes (split conformal, Lei et al. 2018; queries are the exchangeable units, each
        of weight one). -inf where there are too few queries to say."""
        return np.array([conformal_cut(scores, weight, rate) for scores, weight in self.held])


def conformal_cut(scores: Float64, weight: Float64, rate: float) -> float:
    """The highest cut below which lies at most `rate` of the held-out positives' weight, one more query of
    weight one, which nobody has seen, counted as below."""
    total = weight.sum()
    passed = np.concatenate([[0.0], np.cumsum(weight)]) + 1.0
    allowed = int(np.searchsorted(passed, rate * (total + 1.0), side="right")) - 1
    if allowed < 0:
        return -np.inf
    return float(scores[allowed]) if allowed < len(scores) else np.inf


def fit_model(
    rows: Rows, fold: Int32, prior: Weights, ratio: float, start: Weights, threads: Executor
) -> tuple[tuple[Weights, ...], tuple[tuple[Float64, Float64], ...]]:
    """Weights and held-out positives of each fold. `fold` int32 (queries of the run,)."""

    def one(number: int) -> tuple[Weights, tuple[Float64, Float64]]:
        away = (fold[rows.query] - number) % FOLDS
        weights = _fit_rows(rows.of(away > CALIBRATING), prior, ratio, start)
        part = rows.of((away > 0) & (away <= CALIBRATING) & (rows.label > 0))
        return weights, _weighted_by_query(weights.log_odds(part.values), part)

    folds, held = zip(*threads.map(one, range(FOLDS)), strict=True)
    return folds, held


def ratio_of(rows: Rows, prior: Weights, known: float | None) -> tuple[float, float, Weights]:
    """(ratio, spread, weights): positives without a label for each labelled one, a factor that it is known
    to, and the weights that all rows give with it. `known` is the ratio where the user gives it."""
    every = _likelihood(rows)

    def fit(ratio: float, start: Weights | None) -> tuple[Weights, float]:
        return every.likeliest(prior=prior, strength=STRENGTH, ratio=ratio, start=start)

    ratio, spread = likeliest_ratio(fit) if known is None else (known, GIVEN)
    return ratio, spread, fit(ratio, None)[0]


def _fit_rows(rows: Rows, prior: Weights, ratio: float, start: Weights) -> Weights:
    """The weights; those believed beforehand where there is no held-out positive, or nothing beside one."""
    if len(np.unique(rows.label)) < 2:
        return prior
    return _likelihood(rows).likeliest(prior=prior, strength=STRENGTH, ratio=ratio, start=start)[0]


def _likelihood(rows: Rows) -> Likelihood:
    return Likelihood(rows.values, rows.label, rows.share, COLUMNS)


def _weighted_by_query(scores: Float64, part: Rows) -> tuple[Float64, Float64]:
    _, place, count = np.unique(part.query, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    return scores[order], (1.0 / count[place])[order]


def matching_shift(log_odds: Float64, ratio: float, labels: float) -> float:
    """What to add to candidates' log-odds (already times SLOPE) so that their probabilities add up to
    ratio × labels."""
    low, high = -20.0, 20.0
    wanted = min(ratio * labels, 0.999 * len(log_odds))
    for _ in range(60):
        middle = (low + high) / 2
        total = chances(log_odds + middle).sum()
        low, high = (middle, high) if total < wanted else (low, middle)
    return (low + high) / 2


def chances(log_odds: Float64) -> Float64:
    found: Float64 = np.clip(log_odds, -40, 40)
    np.negative(found, out=found)  # in place: these are arrays of millions
    np.exp(found, out=found)
    found += 1
    return np.divide(1, found, out=found)
