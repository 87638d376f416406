"""The guard's model of a run: weights a fold, the run's calibration, and what cuts it off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hardneg.guard.fitted.episodes import Rows
from hardneg.guard.fitted.features import COLUMNS
from hardneg.guard.fitted.regression import Weights, fit
from hardneg.records import Float32, Float64, Int32

FOLDS = 10
CALIBRATING = 3
"""Folds after a query's own that its cut is calibrated on; the other six are fitted on."""
STRENGTH = 3.0
ENOUGH = 20
"""Queries with several positives, one of them found, from which on a run is fitted."""


@dataclass(frozen=True)
class Model:
    """How likely a candidate is a positive.

    folds     weights for the queries of each fold; one alone serves all (the prior)
    shift     added to log-odds, so that candidates' probabilities add up to what the labels say
    ratio     unlabelled positives among the candidates for each known one there
    spread    of the ratio, as a factor: it may well be ratio / spread or ratio × spread
    held      for each fold log-odds of its calibration's held-out positives, ascending, and their weights
    """

    folds: tuple[Weights, ...]
    shift: float
    ratio: float
    spread: float
    held: tuple[tuple[Float64, Float64], ...]

    @property
    def fitted(self) -> bool:
        return len(self.folds) > 1

    def save(self, handle: BinaryIO) -> None:
        """As arrays (npz)."""
        arrays = {
            f"{name}-{number}": getattr(weights, name)
            for number, weights in enumerate(self.folds)
            for name in ("mean", "scale", "weight")
        }
        arrays |= {f"held-{number}": np.stack(pair) for number, pair in enumerate(self.held)}
        arrays["intercepts"] = np.array([weights.intercept for weights in self.folds])
        np.savez(handle, numbers=np.array([self.shift, self.ratio, self.spread]), **arrays)

    @classmethod
    def load(cls, path: Path) -> Model:
        with np.load(path, allow_pickle=False) as stored:
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
            shift, ratio, spread = stored["numbers"].tolist()
        return cls(folds, shift, ratio, spread, held)

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
        """Of being a positive without a label. With o the odds of label against no label among equal
        candidates, and r unlabelled positives for each labelled one, that is r·o (Elkan & Noto 2008, section
        2, for labels chosen at random); here 1 - exp(-r·o), which is the same where it is small and stays
        below 1."""
        chance: Float64 = -np.expm1(-self.ratio * np.exp(np.clip(log_odds + self.shift, -40, 40)))
        return chance

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
    rows: Rows, fold: Int32, prior: Weights
) -> tuple[tuple[Weights, ...], tuple[tuple[Float64, Float64], ...]]:
    """Weights and held-out positives of each fold. `fold` int32 (queries of the run,)."""
    folds, held = [], []
    for number in range(FOLDS):
        away = (fold[rows.query] - number) % FOLDS
        weights = fit_rows(rows.of(away > CALIBRATING), prior)
        folds.append(weights)
        part = rows.of((away > 0) & (away <= CALIBRATING) & (rows.label > 0))
        held.append(_weighted_by_query(weights.log_odds(part.values), part))
    return tuple(folds), tuple(held)


def fit_rows(rows: Rows, prior: Weights, strength: float = STRENGTH) -> Weights:
    """The weights; those believed beforehand where there is no held-out positive, or nothing beside one."""
    if len(np.unique(rows.label)) < 2:
        return prior
    return fit(rows.values, rows.label, rows.share, COLUMNS, prior=prior, strength=strength)


def _weighted_by_query(scores: Float64, part: Rows) -> tuple[Float64, Float64]:
    _, place, count = np.unique(part.query, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    return scores[order], (1.0 / count[place])[order]


def out_of_fold(rows: Rows, fold: Int32, folds: Sequence[Weights]) -> Float64:
    """Log-odds of training rows by weights that saw neither their query nor its fold."""
    own = fold[rows.query]
    out = np.empty(len(rows.label))
    for number, weights in enumerate(folds):
        out[own == number] = weights.log_odds(rows.values[own == number])
    return out


def bound_of_ratio(rows: Rows, log_odds: Float64) -> tuple[float, float]:
    """Unlabelled positives for each labelled one, and a factor that it is known to.

    Where held-out positives are densest beside unlabelled candidates, the latter are taken to be positives
    all (as the mixture proportion estimators do: Blanchard et al. 2010; it can only be too high). The densest
    twentieth, tenth and fifth are looked at, and the lowest is taken.
    """
    held, other = rows.label > 0, rows.label == 0
    order = np.argsort(-log_odds[held], kind="stable")
    passed = np.cumsum(rows.share[held][order])
    found = []
    for part in (0.05, 0.1, 0.2):
        at = min(int(np.searchsorted(passed, part * passed[-1])), len(order) - 1)
        bar = log_odds[held][order][at]
        beside = rows.share[other & (log_odds >= bar)].sum()
        found.append((max(beside, 0.5) / passed[at], at + 1))
    ratio, count = min(found)
    return float(ratio), float(np.exp(1.645 * np.sqrt(1 / count + 0.02)))


def matching_shift(log_odds: Float64, ratio: float, labels: float) -> float:
    """What to add to candidates' log-odds so that their probabilities add up to ratio × labels."""
    low, high = -10.0, 10.0
    wanted = min(ratio * labels, 0.999 * len(log_odds))
    for _ in range(60):
        middle = (low + high) / 2
        total = -np.expm1(-ratio * np.exp(np.clip(log_odds + middle, -40, 40))).sum()
        low, high = (middle, high) if total < wanted else (low, middle)
    return (low + high) / 2
