"""People's judgments set the guard's probabilities right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Bool, Float64

DEVIATION = 1.0
"""How far the guard's log-odds may well be off, all together: a factor of e in the odds."""
EXTREME = 30.0
ROUNDS = 60


@dataclass(frozen=True)
class Correction:
    """p → the probability of log-odds higher by `shift`.

    deviation  how well the shift is known
    judged     on how many pairs it rests
    """

    shift: float
    deviation: float
    judged: int

    def probability(self, chance: Float64) -> Float64:
        """The probabilities set right, like `chance`; NaN stays NaN."""
        return _sigmoid(log_odds(chance) + self.shift)

    def spread(self, corrected: Float64) -> float:
        """The factor within which the mean of these corrected probabilities is known, 90 times of 100 (delta
        method)."""
        slope = float((corrected * (1 - corrected)).sum() / corrected.sum())
        return float(np.exp(1.645 * slope * self.deviation))


def log_odds(chance: Float64) -> Float64:
    """Within ±EXTREME."""
    with np.errstate(divide="ignore"):
        odds: Float64 = np.clip(np.log(chance) - np.log1p(-chance), -EXTREME, EXTREME)
    return odds


def calibrate(chance: Float64, relevant: Bool, weight: Float64) -> Correction:
    """The likeliest shift of the guard's log-odds given the answers, pulled towards none by a normal prior,
    so that few judgments change little: a logistic regression of an intercept alone.

    chance    float64 (judged,): what the guard says of a pair as if nobody had judged it
    relevant  bool (judged,)
    weight    float64 (judged,): how many pairs each stands for, on any scale; they are made to add up to the
              number of equally weighted pairs that they are worth (Kish 1965)

    A slope as well (Platt 1999) is not fitted: it would be that of the riskiest, where the guard errs most,
    and carry over to the many candidates that are far from them. Unweighted, the intercept would be theirs.
    """
    odds = log_odds(chance)
    share = weight * (weight.sum() / (weight**2).sum()) if len(weight) else weight
    wanted = float(share @ relevant)
    low, high = -EXTREME, EXTREME
    for _ in range(ROUNDS):  # what is left falls as the shift rises
        shift = (low + high) / 2
        left = wanted - float(share @ _sigmoid(odds + shift)) - shift / DEVIATION**2
        low, high = (shift, high) if left > 0 else (low, shift)
    now = _sigmoid(odds + shift)
    curvature = float(share @ (now * (1 - now))) + 1 / DEVIATION**2
    return Correction(shift, curvature**-0.5, len(odds))


def _sigmoid(odds: Float64) -> Float64:
    chance: Float64 = 1 / (1 + np.exp(-np.clip(odds, -EXTREME, EXTREME)))
    return chance
