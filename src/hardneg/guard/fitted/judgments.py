"""People's judgments set the guard's probabilities right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Bool, Float64

INTERCEPT_DEVIATION, SLOPE_DEVIATION = 1.0, 0.5
"""How far, in log-odds, the guard may well be off (a factor of e), and by how much too steep or too flat."""
FLATTEST = 0.1
"""Least slope: judgments may flatten the guard's order, they do not turn it around."""
EXTREME = 30.0
ROUNDS = 50


@dataclass(frozen=True)
class Correction:
    """p → sigmoid(intercept + slope · log-odds of p); rises with p.

    covariance  float64 (2, 2): how well intercept and slope are known
    judged      on how many pairs they rest
    """

    intercept: float
    slope: float
    covariance: Float64
    judged: int

    def probability(self, chance: Float64) -> Float64:
        """The probabilities set right, like `chance`; NaN stays NaN."""
        odds = np.clip(self.intercept + self.slope * log_odds(chance), -EXTREME, EXTREME)
        corrected: Float64 = 1 / (1 + np.exp(-odds))
        return corrected

    def spread(self, corrected: Float64) -> float:
        """The factor within which the mean of these corrected probabilities is known, 90 times of 100 (delta
        method)."""
        odds = (log_odds(corrected) - self.intercept) / self.slope
        slopes = corrected * (1 - corrected)
        gradient = np.array([slopes.sum(), (slopes * odds).sum()]) / corrected.sum()
        return float(np.exp(1.645 * np.sqrt(gradient @ self.covariance @ gradient)))


def log_odds(chance: Float64) -> Float64:
    """Within ±EXTREME."""
    with np.errstate(divide="ignore"):
        odds: Float64 = np.clip(np.log(chance) - np.log1p(-chance), -EXTREME, EXTREME)
    return odds


def calibrate(chance: Float64, relevant: Bool, weight: Float64) -> Correction:
    """Platt scaling of the guard's own log-odds (Platt 1999), pulled towards no correction.

    chance    float64 (judged,): what the guard says of a pair as if nobody had judged it
    relevant  bool (judged,)
    weight    float64 (judged,): how many pairs each stands for, on any scale

    A normal prior on intercept and slope lies around 0 and 1, so few judgments change little. Weights are
    scaled to add up to the number of equally weighted pairs that they are worth (Kish 1965).
    """
    odds = log_odds(chance)
    share = weight * (weight.sum() / (weight**2).sum()) if len(weight) else weight
    rows = np.stack([np.ones(len(odds)), odds], axis=1)
    pull = np.array([INTERCEPT_DEVIATION, SLOPE_DEVIATION]) ** -2.0
    solution, curvature = _newton(rows, relevant, share, pull, np.array([0.0, 1.0]))
    if solution[1] < FLATTEST:
        flat = rows[:, :1], relevant, share, pull[:1], np.zeros(1), FLATTEST * odds
        solution = np.array([_newton(*flat)[0][0], FLATTEST])
    covariance = np.linalg.inv(curvature).astype(np.float64)
    return Correction(float(solution[0]), float(solution[1]), covariance, len(odds))


def _newton(
    rows: Float64,
    relevant: Bool,
    share: Float64,
    pull: Float64,
    centre: Float64,
    offset: Float64 | float = 0.0,
) -> tuple[Float64, Float64]:
    """(likeliest coefficients, curvature there) of log-odds = offset + rows · coefficients."""

    def height(at: Float64) -> float:
        odds = offset + rows @ at
        return float(share @ (relevant * odds - np.logaddexp(0.0, odds)) - pull @ (at - centre) ** 2 / 2)

    at, curvature = centre, np.diag(pull)
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(offset + rows @ at, -EXTREME, EXTREME)))
        curvature = rows.T @ (rows * (share * chance * (1 - chance))[:, None]) + np.diag(pull)
        step = np.linalg.solve(curvature, rows.T @ (share * (relevant - chance)) - pull * (at - centre))
        while np.abs(step).max() > 1e-10 and height(at + step) < height(at):
            step = step / 2
        at = at + step
        if np.abs(step).max() < 1e-10:
            break
    return at, curvature
